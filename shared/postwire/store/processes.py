"""Which processes are alive: each moves the end of its own row on, and is judged by that alone.

What a process holds in other tables under its name is its own while it is in `live_process`.
"""

from __future__ import annotations

from typing import Literal

from psycopg import Connection
from psycopg.rows import TupleRow

#: `leaving`: a watcher that has given its accounts back, and watches until others have them.
Kind = Literal["watcher", "sync-worker", "leaving"]

#: Seconds from a process's last sign of life until it counts as dead.
LEASE = 7
#: Seconds for which the row of a dead process is kept.
_KEPT = 60


def beat(connection: Connection[TupleRow], holder: str, kind: Kind) -> None:
    """`holder` is alive, and will be for another `LEASE` seconds; long dead ones are forgotten."""
    connection.execute(
        """
        INSERT INTO process (holder, kind, expires_at)
        VALUES (%s, %s, now() + make_interval(secs => %s))
        ON CONFLICT (holder) DO UPDATE
           SET expires_at = EXCLUDED.expires_at, kind = EXCLUDED.kind
        """,
        [holder, kind, LEASE],
    )
    # Two that come back after a long time must not wait for each other's row.
    connection.execute(
        """
        DELETE FROM process
         WHERE holder IN (SELECT holder FROM process
                           WHERE expires_at < now() - make_interval(secs => %s)
                             FOR UPDATE SKIP LOCKED)
        """,
        [_KEPT],
    )


def count(connection: Connection[TupleRow]) -> dict[str, int]:
    """How many of each kind are alive."""
    found = connection.execute("SELECT kind, count(*) FROM live_process GROUP BY kind")
    return dict(found.fetchall())


def leave(connection: Connection[TupleRow], holder: str) -> None:
    """`holder` ends: what it held is free now."""
    connection.execute("DELETE FROM process WHERE holder = %s", [holder])


def alive(connection: Connection[TupleRow], kind: Kind) -> list[str]:
    """The processes of one kind that are alive."""
    found = connection.execute("SELECT holder FROM live_process WHERE kind = %s ORDER BY 1", [kind])
    return [holder for (holder,) in found]
