from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
import pytest

from postwire.errors import NotMigrated, SettingsError, StoreUnavailable
from postwire.store import server


def test_a_server_says_what_it_is_and_how_it_is_migrated(database_url: str) -> None:
    found = server.look(database_url)
    assert found.version >= server.OLDEST
    assert (found.standby, found.read_only, found.migrated, found.unknown) == (
        False,
        False,
        True,
        (),
    )
    assert abs(found.ahead) < 60


def test_what_is_missing_and_what_is_too_new_is_named(
    database_url: str, empty_database: str
) -> None:
    assert server.look(empty_database).missing[0] == "0001_initial"
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE _yoyo_migration SET migration_id = '9999_later'"
            " WHERE migration_id = '0001_initial'"
        )
    found = server.look(database_url)
    assert (found.missing, found.unknown) == (("0001_initial",), ("9999_later",))
    with psycopg.connect(database_url) as connection:
        with pytest.raises(NotMigrated, match="Run postwire migrate"):
            server.check_migrated(connection)


def test_a_database_that_takes_no_writes_is_seen(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    assert server.look(database_url).read_only


def test_why_it_does_not_answer_is_said_without_secrets(postgres_server: str) -> None:
    parts = urlsplit(postgres_server)
    at = f"{parts.hostname}:{parts.port}"
    for url, words in (
        (f"postgresql://{parts.username}:canary@{at}/postgres", "refuses the user or the password"),
        (f"{postgres_server.rpartition('/')[0]}/absent", "has no such database"),
        ("postgresql://127.0.0.1:1/x", "refuses connections"),
        ("postgresql://no.such.host.invalid/x", "has no such name"),
    ):
        with pytest.raises(StoreUnavailable, match=words) as caught:
            server.look(url)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["canary", "postgresql://u:can/ary@h/d", "postgresql://u:p@can@ary/d", "postgresql://%zz"],
)
def test_what_is_no_address_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        server.look(url)
    assert "can" not in str(caught.value)
