"""The one border to the driver."""

from __future__ import annotations

import time

import psycopg
import pytest

from postwire.errors import NotFound, StoreUnavailable
from postwire.store import pool
from postwire.store.pool import Pool, make_pool, snapshot, transaction
from support import rows


def test_a_transaction_that_raises_leaves_nothing(store: Pool) -> None:
    # When a transaction ends in an error
    account = rows.account(store)
    with pytest.raises(NotFound):  # noqa: PT012 - what comes before is undone by it
        with transaction(store) as connection:
            connection.execute("DELETE FROM account")
            raise NotFound
    # Then nothing of it happened
    with transaction(store) as connection:
        assert connection.execute("SELECT id FROM account").fetchall() == [(account.id,)]


def test_a_snapshot_sees_nothing_of_what_is_committed_meanwhile_and_writes_nothing(
    store: Pool,
) -> None:
    # Given somebody who reads
    with snapshot(store) as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (0,)
        # When another one commits something
        rows.account(store)
        # Then it is not there for the reader
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (0,)
    with snapshot(store) as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (1,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM account")


def test_a_database_that_is_not_there_is_named_within_the_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given nobody at the address
    monkeypatch.setattr(pool, "WAIT", 1.0)
    store = make_pool("postgresql://127.0.0.1:1/none", 1)
    # When something is read
    began = time.monotonic()
    with pytest.raises(StoreUnavailable), transaction(store):
        pass
    # Then the caller knows soon, and so does the check
    assert time.monotonic() - began < 3
    assert "does not answer" in str(pool.check(store))
    store.close()


def test_a_column_that_a_later_release_adds_costs_one_caller_a_try(database_url: str) -> None:
    # Given a statement that all connections have prepared, for it came again and again
    store = make_pool(database_url, 2)
    every = "SELECT * FROM account"
    with transaction(store) as one, transaction(store) as other:
        for connection in (one, other) * 8:
            connection.execute(every)
    # When a later release adds a column
    with psycopg.connect(database_url) as migration:
        migration.execute("ALTER TABLE account ADD COLUMN later text")
    # Then the first one is told to try again
    with pytest.raises(StoreUnavailable, match="another schema"), transaction(store) as connection:
        connection.execute(every)
    # And nobody else notices
    with transaction(store) as one, transaction(store) as other:
        for connection in (one, other):
            found = connection.execute(every).description or ()
            assert "later" in {column.name for column in found}
    # And what is really not supported stays what it is
    with pytest.raises(psycopg.errors.FeatureNotSupported), transaction(store) as connection:
        connection.execute("CREATE UNIQUE INDEX ON message (subject)")
    store.close()


def test_a_connection_that_was_cut_costs_one_caller_at_most(store: Pool, database_url: str) -> None:
    # Given a transaction whose connection the server ends
    with pytest.raises(StoreUnavailable), transaction(store) as connection:  # noqa: PT012
        pid = connection.info.backend_pid
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.execute("SELECT 1")
    # Then the next caller has a connection that works
    assert pool.check(store) is None


def test_a_connection_that_is_cut_while_nobody_has_it_costs_no_caller_anything(
    store: Pool, database_url: str
) -> None:
    # Given a connection that the server ended after it was given back
    with transaction(store) as connection:
        pid = connection.info.backend_pid
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    # When one is wanted again
    with transaction(store) as connection:
        # Then it is another one
        assert connection.info.backend_pid != pid


def test_a_database_that_takes_no_writes_does_not_answer(store: Pool) -> None:
    # Given a database that has become a standby, as far as anyone can tell
    with pytest.raises(StoreUnavailable), transaction(store) as connection:  # noqa: PT012
        connection.execute("SET TRANSACTION READ ONLY")
        # When something is written
        connection.execute("DELETE FROM account")
    # Then that is an outage like others, and the connection serves the next caller
    assert pool.check(store) is None


def test_a_transaction_that_idled_too_long_is_told_so(store: Pool) -> None:
    # Given a transaction that the server ended because nothing came
    with pytest.raises(StoreUnavailable), transaction(store) as connection:  # noqa: PT012
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
        time.sleep(0.5)
        # When it goes on
        connection.execute("SELECT 1")
    # Then the next caller has a connection that works
    assert pool.check(store) is None
