"""Which watcher holds which account.

A lease lasts as long as its holder is alive (see `processes`), or until the holder gives it back.
The fence grows with each new holder, so that what an earlier one still does can be told apart.
Accounts are watched only while they are `active` or `unreachable`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import Account, AccountId
from postwire.store import rows


@dataclass(frozen=True, slots=True)
class Standing:
    """How many accounts are to be watched, how many of them nobody holds, and how many one does."""

    accounts: int
    free: int
    own: int


def standing(connection: Connection[TupleRow], holder: str) -> Standing:
    """How things stand with all accounts, and with `holder`, which is alive."""
    cursor = connection.cursor(row_factory=rows.of(Standing))
    found = cursor.execute(
        """
        SELECT count(*) AS accounts, count(*) - count(live_process.holder) AS free,
               count(*) FILTER (WHERE live_process.holder = %s) AS own
          FROM account
          LEFT JOIN lease ON lease.account_id = account.id
          LEFT JOIN live_process USING (holder)
         WHERE account.state IN ('active', 'unreachable')
        """,
        [holder],
    ).fetchone()
    return found or Standing(0, 0, 0)


def claim(connection: Connection[TupleRow], holder: str, limit: int) -> list[AccountId]:
    """Up to `limit` accounts that nobody holds, now leased to `holder`.

    The sign of life of `holder` must be committed already. Those who claim at once pass over each
    other's rows, so that each gets something and none waits.
    """
    connection.execute(
        """
        INSERT INTO lease (account_id, holder, fence, expires_at)
        SELECT id, '', 0, now()
          FROM account
         WHERE state IN ('active', 'unreachable')
           AND NOT EXISTS (SELECT FROM lease WHERE account_id = account.id)
         ORDER BY id
        ON CONFLICT DO NOTHING
        """
    )
    claimed = connection.execute(
        """
        UPDATE lease
           SET holder = %(holder)s, fence = fence + 1, since = now(), watched = false,
               expires_at = now() + interval '1 day'  -- for the release before
         WHERE account_id IN (
               SELECT account_id
                 FROM lease
                 JOIN account ON account.id = lease.account_id
                WHERE account.state IN ('active', 'unreachable')
                  AND lease.holder NOT IN (SELECT holder FROM live_process)
                LIMIT %(limit)s
                  FOR UPDATE OF lease SKIP LOCKED)
        RETURNING account_id
        """,
        {"holder": holder, "limit": limit},
    )
    return [AccountId(id_) for (id_,) in claimed]


def held(connection: Connection[TupleRow], holder: str) -> list[Account]:
    """The accounts that `holder` is to watch, as they are now."""
    cursor = connection.cursor(row_factory=rows.of(Account))
    return cursor.execute(
        """
        SELECT account.*
          FROM lease
          JOIN account ON account.id = lease.account_id
         WHERE lease.holder = %s AND account.state IN ('active', 'unreachable')
        """,
        [holder],
    ).fetchall()


def give_back(
    connection: Connection[TupleRow], holder: str, limit: int | None = None
) -> set[AccountId]:
    """Let others have up to `limit` of the holder's leases, the newest first; or all of them."""
    given = connection.execute(
        """
        UPDATE lease SET holder = '', expires_at = now()
         WHERE account_id IN (SELECT account_id FROM lease
                               WHERE holder = %s
                               ORDER BY since DESC, account_id
                               LIMIT %s)
        RETURNING account_id
        """,
        [holder, limit],
    )
    return {AccountId(id_) for (id_,) in given}


def mark_watched(connection: Connection[TupleRow], holder: str, ids: Collection[AccountId]) -> None:
    """`holder` watches those of the accounts that it holds: who watched them before need not."""
    connection.execute(
        "UPDATE lease SET watched = true"
        " WHERE holder = %s AND NOT watched AND account_id = ANY(%s::uuid[])",
        [holder, list(ids)],
    )


def unwatched(connection: Connection[TupleRow], ids: Collection[AccountId]) -> list[Account]:
    """Those of the accounts that are to be watched, and that no holder watches yet."""
    cursor = connection.cursor(row_factory=rows.of(Account))
    return cursor.execute(
        """
        SELECT account.*
          FROM account
          LEFT JOIN lease ON lease.account_id = account.id
         WHERE account.id = ANY(%s::uuid[]) AND account.state IN ('active', 'unreachable')
           AND (lease.watched IS NOT TRUE OR lease.holder NOT IN (SELECT holder FROM live_process))
        """,
        [list(ids)],
    ).fetchall()
