"""A short storm with a fixed seed, and proof that the audit finds what it looks for."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chaos.audit import audit
from chaos.faults import KINDS, Deck
from chaos.world import Size, World, make_world
from support.dovecot import Dovecot
from support.processes import descendants, eventually, is_alive

TESTS = Path(__file__).parents[1]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "chaos", "--logs", str(folder), *arguments]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(420)
def test_nothing_is_lost_in_a_short_storm(dovecot: Dovecot, faketime: Path, tmp_path: Path) -> None:
    # Given a seed that always brings the same faults, for half a minute
    assert dovecot
    assert faketime
    with start(tmp_path, "--seed", "4", "--minutes", "0.4", "--accounts", "4") as storm:
        # When they are over
        told, _ = storm.communicate(timeout=400)

    # Then all is well, and the summary says what there was
    assert storm.returncode == 0, told
    assert ", 0 lost, 0 duplicated, 0 unequal" in told
    assert "longest recovery" in told


@pytest.mark.timeout(180)
def test_a_storm_that_is_interrupted_leaves_no_process(
    dovecot: Dovecot, faketime: Path, tmp_path: Path
) -> None:
    # Given a storm that has begun
    assert dovecot
    assert faketime
    storm = start(tmp_path, "--seed", "4", "--accounts", "2", "--viewers", "1")
    assert storm.stdout
    while "killed" not in (line := storm.stdout.readline()) and "stopped" not in line:
        assert line, "it ended by itself"
    ours = descendants(storm.pid)
    assert len(ours) > 5

    # When it is interrupted
    storm.send_signal(signal.SIGINT)
    told, _ = storm.communicate(timeout=60)

    # Then it says so, and everything it had started is gone
    assert storm.returncode == 130
    assert "stopped: SIGINT" in told
    assert eventually(lambda: not any(map(is_alive, ours)))


@pytest.fixture(scope="module")
def world(
    dovecot: Dovecot, faketime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """All of it, with one account, one viewer and no storm."""
    assert dovecot
    assert faketime
    size = Size(accounts=1, viewers=1, rate=1)
    with make_world(size, "4", tmp_path_factory.mktemp("logs")) as world:
        deadline = time.monotonic() + 30
        while found := audit(world).troubles():
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        yield world


#: What somebody breaks, and what the audit says of it.
_DAMAGE = {
    "lost": "DELETE FROM placement WHERE uid = 1",
    "unequal": r"UPDATE placement SET flags = '{\Flagged}' WHERE uid = 2",
    "stored twice": "UPDATE message SET subject = 'before-3' WHERE subject = 'before-4'",
    "another view": "UPDATE message SET revision = revision + 1 WHERE subject = 'before-0'",
    "is active for": """
        INSERT INTO job (id, account_id, user_id, reason, state, created_at, held_until)
        SELECT 'sync-' || id || '-1', id, user_id, 'push', 'active', now() - interval '1 hour',
               now() + interval '1 hour'
          FROM account ON CONFLICT DO NOTHING""",
    "is unreachable": "UPDATE account SET state = 'unreachable'",
}


@pytest.mark.parametrize("said", _DAMAGE)
def test_the_audit_finds_damage(world: World, said: str) -> None:
    # Given a system at rest whose processes do nothing meanwhile
    for service in world.system.services:
        if service.name != "api":
            service.process.send_signal(signal.SIGSTOP)
    try:
        with psycopg.connect(world.postgres.direct, autocommit=True) as database:
            database.execute("DELETE FROM job")
            # When somebody damages it
            database.execute(_DAMAGE[said])

        # Then the audit says so
        assert any(said in trouble for trouble in audit(world).troubles())
    finally:
        for service in world.system.services:
            service.process.send_signal(signal.SIGCONT)


def test_the_same_seed_brings_the_same_faults() -> None:
    # Given two decks of one seed and one of another
    one, same, other = (Deck(random.Random(seed)) for seed in (1, 1, 2))  # noqa: S311

    # When waves are drawn
    waves = [one.wave() for _ in range(30)]

    # Then they are the same for one seed only, and hold every fault there is
    assert waves == [same.wave() for _ in range(30)]
    assert waves != [other.wave() for _ in range(30)]
    assert {kind for wave in waves for kind in wave} == set(KINDS)
    assert all(1 <= len(wave) <= 3 for wave in waves)
    assert all(a.bears(b) for wave in waves for a in wave for b in wave if a is not b)
