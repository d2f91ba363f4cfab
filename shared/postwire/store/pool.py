"""The connection pool, and the one border where the driver's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from postwire.errors import StoreUnavailable

Pool: TypeAlias = ConnectionPool[Connection[TupleRow]]
#: Seconds until a caller is told that the database does not answer.
WAIT = 5.0
#: What will pass, beside what the driver calls operational: the database has become
#: a standby or lets nobody write, or it ended a transaction that idled.
_FOR_NOW = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)
#: Where PostgreSQL finds that the `*` of a prepared statement is more columns by now: a later
#: release has migrated. Its words may be in any language.
_STALE_PLAN = "RevalidateCachedQuery"
#: A statement that runs for longer, or a transaction that idles for longer, is ended.
_OPTIONS = "-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s -c timezone=UTC"


def make_pool(url: str, size: int) -> Pool:
    """A pool of at most `size` connections; it opens them when it can, and does not wait here."""
    return ConnectionPool(
        url,
        configure=_configure,
        min_size=1,
        max_size=size,
        timeout=WAIT,
        max_waiting=size * 50,
        max_lifetime=30 * 60,
        check=ConnectionPool.check_connection,
        open=True,
        kwargs={
            "connect_timeout": int(WAIT),
            # A peer that vanished is noticed within this many milliseconds (tcp(7)).
            "tcp_user_timeout": 15_000,
            "options": _OPTIONS,
        },
    )


def _configure(connection: Connection[TupleRow]) -> None:
    # An account's id is a string to everyone but PostgreSQL.
    connection.adapters.register_loader("uuid", TextLoader)


@contextmanager
def transaction(pool: Pool) -> Iterator[Connection[TupleRow]]:
    """One transaction: committed when the block ends, rolled back when it raises.

    Raises:
        StoreUnavailable: the database does not answer, ended the connection, takes no writes, or
            has new columns since the statement was prepared.
    """
    try:
        with pool.connection() as connection:
            yield connection
    except (PoolTimeout, TooManyRequests):
        raise StoreUnavailable("The database does not answer right now.") from None
    except _FOR_NOW as error:
        raise StoreUnavailable(f"The database does not answer: {type(error).__name__}.") from error
    except psycopg.errors.FeatureNotSupported as error:
        if error.diag.source_function != _STALE_PLAN:
            raise
        # Or each of the others would fail as well.
        pool.drain()
        raise StoreUnavailable("The database was just given another schema.") from error


@contextmanager
def snapshot(pool: Pool) -> Iterator[Connection[TupleRow]]:
    """One transaction to read in: all its statements see what its first one saw.

    Raises:
        StoreUnavailable: the database does not answer, or ended the connection.
    """
    with transaction(pool) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection


def check(pool: Pool) -> str | None:
    """What is wrong with the database in words, or None; for readiness."""
    try:
        with transaction(pool) as connection:
            connection.execute("SELECT 1")
    except StoreUnavailable as error:
        return str(error)
    return None
