"""The continuous audit: when an account is due, how far its audit has come, what is stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import AccountId, Mailbox, MailboxId, Stored
from postwire.store import placements, rows

#: How long an audit that failed is left alone: it must not keep the account from being synced.
PUT_OFF = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where an account was compared: all mailboxes with a lower id, and this one to `uid`."""

    mailbox_id: MailboxId
    uid: int


def take_due(
    connection: Connection[TupleRow], account_id: AccountId, every: timedelta
) -> Position | None:
    """Where the account's audit begins or goes on; None where none is due.

    An account's first is due within `every`, at random: accounts that were added together are not
    audited together.
    """
    connection.execute(
        """
        INSERT INTO audit (account_id, due_at)
        SELECT id, now() + %s * random() FROM account
         WHERE id = %s AND NOT EXISTS (SELECT FROM audit WHERE account_id = account.id)
        ON CONFLICT DO NOTHING
        """,
        [every, account_id],
    )
    cursor = connection.cursor(row_factory=rows.of(Position))
    return cursor.execute(
        "SELECT mailbox_id, uid FROM audit WHERE account_id = %s AND due_at <= now()", [account_id]
    ).fetchone()


def note(connection: Connection[TupleRow], account_id: AccountId, position: Position) -> None:
    """The account was compared up to here; should the run be cut off, the next goes on there."""
    connection.execute(
        "UPDATE audit SET mailbox_id = %s, uid = %s WHERE account_id = %s",
        [position.mailbox_id, position.uid, account_id],
    )


def put_off(connection: Connection[TupleRow], account_id: AccountId) -> None:
    """The audit failed; it goes on where it was, after a while."""
    connection.execute(
        "UPDATE audit SET due_at = now() + %s WHERE account_id = %s", [PUT_OFF, account_id]
    )


def finish(connection: Connection[TupleRow], account_id: AccountId, every: timedelta) -> None:
    """All of the account was compared; the next audit is due after `every`, or a tenth off it."""
    connection.execute(
        """
        UPDATE audit SET mailbox_id = 0, uid = 0, due_at = now() + %s * (0.9 + 0.2 * random())
         WHERE account_id = %s
        """,
        [every, account_id],
    )
    connection.execute("UPDATE account SET audited_at = now() WHERE id = %s", [account_id])


def placed(connection: Connection[TupleRow], mailbox: Mailbox, first: int, last: int) -> list[int]:
    """The UIDs from `first` to `last` that are stored of the mailbox, lowest first."""
    found = connection.execute(
        """
        SELECT uid FROM placement
         WHERE account_id = %s AND mailbox_id = %s AND uidvalidity = %s AND uid BETWEEN %s AND %s
         ORDER BY uid
        """,
        [mailbox.account_id, mailbox.id, mailbox.cursor and mailbox.cursor.uidvalidity,
         first, last],
    )  # fmt: skip
    return [uid for (uid,) in found]


def set_aside(
    connection: Connection[TupleRow], mailbox: Mailbox, uids: Collection[int]
) -> set[int]:
    """Those of the UIDs that are set aside."""
    found = connection.execute(
        "SELECT uid FROM set_aside WHERE mailbox_id = %s AND uidvalidity = %s AND uid = ANY(%s)",
        [mailbox.id, mailbox.cursor and mailbox.cursor.uidvalidity, list(uids)],
    )
    return {uid for (uid,) in found}


def expunge_homeless(
    connection: Connection[TupleRow], account_id: AccountId
) -> tuple[int, Stored] | None:
    """As `placements.expunge_homeless`, with the number of messages."""
    stored = placements.expunge_homeless(connection, account_id)
    if stored is None:
        return None
    row = connection.execute(
        "SELECT count(*) FROM message WHERE account_id = %s AND revision = %s",
        [account_id, stored.revision],
    ).fetchone()
    return (row[0] if row else 0), stored
