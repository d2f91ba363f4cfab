"""Every command that opens the database, where that will not do."""

from __future__ import annotations

import pytest

from support.command import postwire

K1 = f"k1:{'A' * 43}="
COMMANDS = [
    ("account", "list"),
    ("account", "show", "ann@example.com"),
    ("account", "explain", "ann@example.com"),
    ("job", "list"),
    ("job", "show", "sync-1"),
    ("job", "retry", "sync-1"),
    ("keys", "status"),
    ("keys", "rotate"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_one_that_is_not_migrated_says_what_to_run(
    empty_database: str, command: tuple[str, ...]
) -> None:
    ended = postwire(*command, database_url=empty_database, credential_keys=K1)
    assert (ended.code, ended.stdout) == (1, "")
    assert "not migrated" in ended.said
    assert "Run postwire migrate." in ended.said


@pytest.mark.parametrize("command", COMMANDS)
def test_one_that_does_not_answer_is_said_in_words(command: tuple[str, ...]) -> None:
    dead = "postgresql://ann:canary@127.0.0.1:1/x"
    ended = postwire(*command, database_url=dead, credential_keys=K1)
    assert (ended.code, ended.stdout) == (1, "")
    assert "The database does not answer: 127.0.0.1:1 refuses connections" in ended.said
    assert "canary" not in ended.stderr


def test_one_that_is_not_set_is_said_in_words() -> None:
    ended = postwire("account", "list")
    assert (ended.code, ended.stdout) == (2, "")
    assert "POSTWIRE_DATABASE_URL: is missing" in ended.said


@pytest.mark.parametrize("password", ["can/ary", "can@ary", "can:ary/", "%zzcanary"])
def test_pieces_of_a_password_are_not_said(password: str) -> None:
    ended = postwire("account", "list", database_url=f"postgresql://ann:{password}@127.0.0.1:1/x")
    assert ended.code in {1, 2}
    assert "ary" not in ended.stderr.replace("temporary", "")
    assert "can" not in ended.stderr.replace("cannot", "")
