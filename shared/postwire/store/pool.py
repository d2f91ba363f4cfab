"""The connection pool, and the one border where the driver's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString, TypeAlias

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
#: Times a statement is run until it is prepared: planned once, lists of conversations take a third
#: of their time.
_PREPARE_AFTER = 5
#: A statement that runs for longer, or a transaction that idles for longer, is ended. Said with
#: each BEGIN, in the same round trip: a session is not ours alone where PgBouncer lends it out by
#: the transaction, and it refuses to have any of this set when a client connects.
_LIMITS = (
    "SET LOCAL statement_timeout = '30s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '30s'; "
    "SET LOCAL timezone = 'UTC'"
)
_BEGIN: LiteralString = f"BEGIN; {_LIMITS}"


def make_pool(url: str, size: int, *, prepare: bool = True) -> Pool:
    """A pool of at most `size` connections; it opens them when it can, and does not wait here.

    Without `prepare` no statement is prepared, for a PgBouncer that cannot keep them.
    """
    return ConnectionPool(
        url,
        configure=_configure,
        min_size=1,
        max_size=size,
        timeout=WAIT,
        max_waiting=size * 50,
        max_lifetime=30 * 60,
        check=_begin,
        open=True,
        kwargs={
            "connect_timeout": int(WAIT),
            # A peer that vanished is noticed within this many milliseconds (tcp(7)).
            "tcp_user_timeout": 15_000,
            # We begin transactions ourselves.
            "autocommit": True,
            "prepare_threshold": _PREPARE_AFTER if prepare else None,
        },
    )


def _begin(connection: Connection[TupleRow]) -> None:
    """Begin the transaction the connection is taken for; the pool takes another where it cannot.

    So that it is alive costs no round trip of its own.
    """
    # Never prepared: it is several statements.
    connection.execute(_BEGIN, prepare=False)


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
    with _begun(pool) as connection:
        yield connection


@contextmanager
def snapshot(pool: Pool) -> Iterator[Connection[TupleRow]]:
    """One transaction to read in: all its statements see what its first one saw.

    Raises:
        StoreUnavailable: the database does not answer, or ended the connection.
    """
    with _begun(pool) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection


@contextmanager
def _begun(pool: Pool) -> Iterator[Connection[TupleRow]]:
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


def check(pool: Pool) -> str | None:
    """What is wrong with the database in words, or None; for readiness."""
    try:
        with transaction(pool) as connection:
            connection.execute("SELECT 1")
    except StoreUnavailable as error:
        return str(error)
    return None
