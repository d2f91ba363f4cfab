"""`postwire keys`, run as a process."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from postwire.credentials import make_keyring
from postwire.store.pool import Pool, make_pool, transaction
from support import rows
from support.command import POSTWIRE, environment, postwire
from support.processes import eventually

K1, K2 = f"k1:{'A' * 43}=", f"k2:{'B' * 42}A="
OLD = make_keyring(K1)


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def fill(store: Pool, count: int) -> None:
    """Accounts with passwords that the first key has sealed."""
    for _ in range(count):
        rows.sealed(store, OLD, "secret")


def test_the_key_is_changed_step_by_step(store: Pool) -> None:
    # Given an installation with one key, and a second one that seals
    fill(store, 3)
    both = {"database_url": store.conninfo, "credential_keys": f"{K2},{K1}"}
    before = postwire("keys", "status", **both)
    # When everything is sealed again
    rotated = postwire("keys", "rotate", **both)
    # Then it says so, and what is sealed with which key
    assert (before.code, rotated.code) == (0, 0), rotated.stderr
    assert [line.split() for line in before.stdout.splitlines()[1:]] == [
        ["k1", "3", "0", "0"],
        ["k2", "0", "0", "0", "seals"],
    ]
    assert [line.split() for line in rotated.stdout.splitlines()[1:]] == [
        ["k1", "0", "0", "0"],
        ["k2", "3", "0", "0", "seals"],
    ]
    assert "3 accounts were sealed again with the key k2." in rotated.stderr
    # And the old key can go
    alone = postwire("keys", "status", database_url=store.conninfo, credential_keys=K2)
    assert [line.split()[0] for line in alone.stdout.splitlines()[1:]] == ["k2"]
    # And machines can read it
    (row,) = json.loads(postwire("keys", "status", "--json", **both).stdout)[1:]
    assert row == {"key": "k2", "password": 3, "refresh token": 0, "access token": 0, "is": "seals"}


def test_what_is_left_is_named_and_ends_with_1(store: Pool) -> None:
    # Given an account whose key is gone
    fill(store, 1)
    rotated = postwire("keys", "rotate", database_url=store.conninfo, credential_keys=K2)
    # Then it is named, and so is the key
    assert rotated.code == 1
    assert "stays as it is: The stored password was sealed with the key k1" in rotated.said
    assert rotated.stdout.splitlines()[1].split() == ["k1", "1", "0", "0", "not", "set"]


def test_one_that_is_stopped_goes_on_where_it_was(store: Pool) -> None:
    # Given one that is at work, as a row that somebody holds keeps it from its end
    fill(store, 400)
    both = {"database_url": store.conninfo, "credential_keys": f"{K2},{K1}"}
    with psycopg.connect(store.conninfo) as holding:
        holding.execute("SELECT 1 FROM account ORDER BY id DESC LIMIT 1 FOR UPDATE")
        process = subprocess.Popen(
            [POSTWIRE, "keys", "rotate"],
            env=environment(**both),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests in the background has it ignored, and so have all below.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        assert eventually(lambda: _done(store) > 100, 30)
        # When it is stopped
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    # Then it says that it may be run again, and what was done is not done again
    assert process.returncode == 130, said
    assert "What was done stays done; run it again." in said
    done = _done(store)
    again = postwire("keys", "rotate", **both)
    assert f"{400 - done} accounts were sealed again" in again.stderr
    assert _done(store) == 400


def _done(store: Pool) -> int:
    with transaction(store) as connection:
        row = connection.execute(
            r"SELECT count(*) FROM account WHERE substr(credential, 1, 3) = 'k2\000'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "POSTWIRE_CREDENTIAL_KEYS: is missing"),
        ({"credential_keys": f"{K1},{K1}"}, "there is another key with its id, k1"),
        ({"credential_keys": f"k1:{'C' * 42}A="}, "the key k1 is another one than that"),
    ],
)
def test_keys_that_will_not_do_are_said_in_words_and_end_with_2(
    store: Pool, settings: dict[str, str], said: str
) -> None:
    # Given an account, and keys that will not do
    fill(store, 1)
    for what in ("status", "rotate"):
        ended = postwire("keys", what, database_url=store.conninfo, **settings)
        assert ended.code == 2
        assert said in ended.said
        assert not [key for key in ("A" * 43, "C" * 42) if key in ended.stderr]
