"""`postwire migrate`, run as a process."""

from __future__ import annotations

from support.command import postwire


def test_a_new_database_is_migrated_once(empty_database: str) -> None:
    first = postwire("migrate", database_url=empty_database)
    assert first.code == 0, first.stderr
    assert first.stdout.startswith("applied 0001_initial\n")
    again = postwire("migrate", database_url=empty_database)
    assert (again.code, again.stdout) == (0, "the schema is up to date\n")


def test_a_database_that_will_not_do_is_said_in_words(postgres_server: str) -> None:
    dead = postwire("migrate", database_url="postgresql://127.0.0.1:1/x")
    assert dead.code == 1
    assert "127.0.0.1:1 refuses connections" in dead.said
    absent = postwire("migrate", database_url=postgres_server.rpartition("/")[0] + "/absent")
    assert absent.code == 1
    assert "has no such database" in absent.said
