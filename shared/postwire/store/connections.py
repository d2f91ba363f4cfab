"""Who has a connection to which mail server: counted here, so that all processes keep to a limit.

A slot is the right to one connection. It lasts until it is given back, or its holder is dead (see
`processes`). Those who claim one of the same host, or of the same account where hosts have no
limit, do so one after the other: each takes one advisory lock and no other, so that no two of them
wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, NewType, TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.errors import NoFreeConnection
from postwire.model import Account, AccountId

SlotId = NewType("SlotId", str)
#: `sync` is what the machine asks for, `manual` what a person does.
Purpose: TypeAlias = Literal["sync", "manual", "attachment", "idle"]

#: Tenths of a host's connections, rounded up, that are left free for what matters more.
_TENTHS: dict[Purpose, int] = {"manual": 0, "attachment": 0, "sync": 1, "idle": 2}


def claim(
    connection: Connection[TupleRow],
    slot: SlotId,
    account: Account,
    holder: str,
    purpose: Purpose,
    *,
    account_limit: int,
    host_limit: int | None,
) -> None:
    """The new `slot` is the account's, and lies with `holder`; no `host_limit` means no limit.

    IDLE takes neither an account's last slot nor the last tenths of a host's.

    Raises:
        NoFreeConnection: there is none for that purpose now.
    """
    host = account.host.lower()
    _lock(connection, f"imap_connection {account.id if host_limit is None else host}")
    ours = account_limit - (purpose == "idle")
    if _of_account(connection, account.id) >= ours:
        raise NoFreeConnection(host, "account")
    if host_limit is not None and _of_host(connection, host) >= _share(host_limit, purpose):
        raise NoFreeConnection(host, "host")
    connection.execute(
        """
        INSERT INTO imap_connection (id, host, account_id, holder, purpose)
        VALUES (%s, %s, %s, %s, %s)
        """,
        [slot, host, account.id, holder, purpose],
    )


def _lock(connection: Connection[TupleRow], name: str) -> None:
    # Others wait until the commit has ended, and nobody needs these rows after a crash that would
    # lose them: it does not wait for the disk.
    connection.execute(
        """
        SELECT set_config('synchronous_commit', 'off', true),
               pg_advisory_xact_lock(hashtextextended(%s, 0))
        """,
        [name],
    )


def _share(host_limit: int, purpose: Purpose) -> int:
    """How many connections a host may have for one more of this purpose to be too many."""
    share = host_limit - _TENTHS[purpose] * math.ceil(host_limit / 10)
    # However few there are, a sync is not kept waiting for ever.
    return share if purpose == "idle" else max(share, 1)


def _of_account(connection: Connection[TupleRow], account_id: AccountId) -> int:
    row = connection.execute(
        """
        SELECT count(*) FROM imap_connection JOIN live_process USING (holder)
         WHERE account_id = %s
        """,
        [account_id],
    ).fetchone()
    return int(row[0]) if row else 0


def _of_host(connection: Connection[TupleRow], host: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM imap_connection JOIN live_process USING (holder) WHERE host = %s",
        [host],
    ).fetchone()
    return int(row[0]) if row else 0


def give_back(connection: Connection[TupleRow], slots: Collection[SlotId]) -> None:
    """The connections are closed, or were never opened."""
    connection.execute("SET LOCAL synchronous_commit = off")
    connection.execute("DELETE FROM imap_connection WHERE id = ANY(%s::uuid[])", [list(slots)])


def forget_dead(connection: Connection[TupleRow]) -> None:
    """Remove what long dead processes held.

    What died a moment ago is not counted, but kept: it may turn out to have only been silent.
    """
    # Several do so at once, and must not wait for each other's rows.
    connection.execute(
        """
        DELETE FROM imap_connection
         WHERE id IN (SELECT id FROM imap_connection
                       WHERE holder NOT IN (SELECT holder FROM process)
                         FOR UPDATE SKIP LOCKED)
        """
    )
