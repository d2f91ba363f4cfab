"""The database's clock, which all waiting goes by, may be set back: nothing is to wait for that.

What happened in the time that has not come yet stays as it was noted: it is for people to read.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow

#: Seconds of going back that are none: transactions do not end in the order they begin.
_SLACK = 5.0

#: Whatever is not done before its time; in the order in which others lock these tables.
_WAITING: tuple[tuple[LiteralString, LiteralString], ...] = (
    ("account", "next_sync_at"),
    ("account", "busy_until"),
    ("job", "run_at"),
    ("job", "swept_at"),
    ("audit", "due_at"),
    ("set_aside", "retry_at"),
    ("attachment_request", "asked_at"),
    ("attachment_request", "swept_at"),
    ("attachment_request", "failed_at"),
    ("oauth_token", "fresh_until"),
    ("oauth_token", "held_until"),
    ("content", "due_at"),
)


def note(connection: Connection[TupleRow]) -> float:
    """Note what the clock shows; the seconds by which it was set back since the last time, or 0."""
    row = connection.execute(
        """
        WITH before AS (SELECT seen FROM wall_clock FOR UPDATE)
        UPDATE wall_clock SET seen = now() FROM before
        RETURNING extract(epoch FROM before.seen - now())::float8
        """
    ).fetchone()
    back = float(row[0]) if row else 0.0
    return back if back > _SLACK else 0.0


def bring_nearer(connection: Connection[TupleRow], seconds: float) -> None:
    """What is due in the future is due so much earlier, or now."""
    for table, column in _WAITING:
        connection.execute(
            f"""
            UPDATE {table} SET {column} = greatest(now(), {column} - make_interval(secs => %s))
             WHERE {column} > now()
            """,  # noqa: S608 - names of our own
            [seconds],
        )
