"""The predecessor's tables, whatever its columns are called."""

from __future__ import annotations

import psycopg
import pytest

from postwire.errors import NotFound, StoreUnavailable
from postwire.store.legacy_accounts import fold, read

TABLE = """
    CREATE SCHEMA old;
    CREATE TABLE old."EmailAccount" (
        id serial, "userId" text, email_address text, port integer, secure boolean, picture bytea
    );
    INSERT INTO old."EmailAccount" ("userId", email_address, port, secure)
    VALUES ('ann', 'ann@example.com', 993, true), ('bob', NULL, 143, false);
"""
WANTED = {fold(name) for name in ("USER_ID", "emailAddress", "port", "secure", "iv")}


def test_columns_are_found_by_name_and_read_as_text(database_url: str) -> None:
    # Given a table with other columns beside
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLE)
    # When it is read, then those that are wanted are there, and no more rows than wanted
    found = read(database_url, "old.EmailAccount", WANTED, 9)
    assert found == [
        {"userid": "ann", "emailaddress": "ann@example.com", "port": "993", "secure": "true"},
        {"userid": "bob", "emailaddress": None, "port": "143", "secure": "false"},
    ]
    assert read(database_url, "old.EmailAccount", WANTED, 1) == found[:1]
    assert read(database_url, "old.EmailAccount", {"nothing"}, 9) == []


@pytest.mark.parametrize("table", ["away", "no.where", 'x"; DROP TABLE account; --'])
def test_a_table_that_is_not_there_is_said(database_url: str, table: str) -> None:
    with pytest.raises(NotFound, match="name it with --table"):
        read(database_url, table, WANTED, 9)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (0,)


@pytest.mark.parametrize(
    "url", ["postgresql://ann:hunter2@127.0.0.1:1/x", "postgresql://ann:hunter2@[/x"]
)
def test_a_database_that_does_not_answer_is_said_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        read(url, "accounts", WANTED, 9)
    assert "hunter2" not in str(raised.value)
