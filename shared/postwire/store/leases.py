"""Which watcher holds which account.

A lease ends by itself; whoever holds it moves its end on. The fence grows with each new holder,
so that what an earlier one still does can be told apart.
"""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import Account, AccountId
from postwire.store import rows

#: Seconds a lease lasts without a sign of its holder.
LEASE = 12


def claim(connection: Connection[TupleRow], holder: str, limit: int) -> list[AccountId]:
    """Up to `limit` accounts that nobody watches, now leased to `holder`."""
    claimed = connection.execute(
        """
        INSERT INTO lease AS held (account_id, holder, fence, expires_at)
        SELECT account.id, %(holder)s, 1, now() + make_interval(secs => %(lease)s)
          FROM account
          LEFT JOIN lease ON lease.account_id = account.id AND lease.expires_at > now()
         WHERE account.state IN ('active', 'unreachable') AND lease.account_id IS NULL
         LIMIT %(limit)s
        ON CONFLICT (account_id) DO UPDATE
           SET holder = EXCLUDED.holder, fence = held.fence + 1, expires_at = EXCLUDED.expires_at
         WHERE held.expires_at <= now()
        RETURNING account_id
        """,
        {"holder": holder, "lease": LEASE, "limit": limit},
    )
    return [AccountId(id_) for (id_,) in claimed]


def renew(connection: Connection[TupleRow], holder: str) -> list[Account]:
    """Move the end of all leases of `holder` on; return the accounts it still holds.

    An account that was removed, paused or refused by its server is not among them: its lease is
    left to end.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    return cursor.execute(
        """
        UPDATE lease SET expires_at = now() + make_interval(secs => %s)
          FROM account
         WHERE lease.holder = %s AND lease.expires_at > now() AND account.id = lease.account_id
           AND account.state IN ('active', 'unreachable')
        RETURNING account.*
        """,
        [LEASE, holder],
    ).fetchall()


def release(connection: Connection[TupleRow], holder: str) -> None:
    """Give everything back, so that others need not wait for the end of the leases."""
    connection.execute(
        "UPDATE lease SET expires_at = now() WHERE holder = %s AND expires_at > now()", [holder]
    )
