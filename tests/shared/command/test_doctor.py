"""`postwire doctor`, run as a process."""

from __future__ import annotations

import json

import pytest

from postwire.command import doctor
from support.command import postwire

K1 = f"k1:{'A' * 43}="


def test_each_finding_is_a_line_and_a_failure_ends_with_1(
    database_url: str, redis_url: str
) -> None:
    settings = {"database_url": database_url, "redis_url": redis_url, "credential_keys": K1}
    said = postwire("doctor", **settings)
    assert said.code == 1
    assert said.out.startswith("ok settings: complete for migrate, sync-worker, watcher")
    assert "ok database: migrated to what this release needs" in said.out
    assert "fail processes: no sync-workers alive: start one" in said.out
    found = json.loads(postwire("doctor", "--json", **settings).stdout)
    assert {"level", "what", "todo"} == set(found[0])


def test_what_fails_keeps_nothing_else_from_its_turn() -> None:
    dead = {"database_url": "postgresql://127.0.0.1:1/x", "redis_url": "redis://127.0.0.1:1/0"}
    said = postwire("doctor", **dead, credential_keys=K1, no_such="1")
    assert said.code == 1
    assert "POSTWIRE_NO_SUCH: there is no such setting" in said.out
    assert "fail database: The database does not answer: 127.0.0.1:1 refuses" in said.out
    assert "fail redis: it does not answer (ConnectionError)" in said.out


def test_without_imap_code_it_says_where_there_is_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GROUP", "postwire.of-another-image")
    *_, said = doctor._all(None, doctor.Ask("imap.example.com:993", None, None, log_in=False))
    assert (said.level, said.what) == ("fail", "imap: there is no IMAP code here")


def test_arguments_that_contradict_each_other_end_with_2() -> None:
    both = postwire("doctor", "--imap", "h:993", "--account", "ann@example.com")
    assert (both.code, "either --imap or --account" in both.said) == (2, True)
    alone = postwire("doctor", "--imap", "h:993", "--login")
    assert (alone.code, "--login needs --account" in alone.said) == (2, True)
