"""Mailboxes and their cursors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import TupleRow

from postwire.errors import CursorMoved, NotFound
from postwire.model import AccountId, Cursor, Mailbox, MailboxId


def keep(
    connection: Connection[TupleRow],
    account_id: AccountId,
    name: str,
    delimiter: str | None,
    special_use: str | None,
) -> Mailbox:
    """The mailbox of that name, added where it is new.

    Raises:
        NotFound: the account is gone.
    """
    try:
        row = connection.execute(
            """
            INSERT INTO mailbox (account_id, name, delimiter, special_use)
            VALUES (%s, %s, %s, %s)
            ON CONFLICT (account_id, name)
                DO UPDATE SET delimiter = EXCLUDED.delimiter, special_use = EXCLUDED.special_use
            RETURNING id, account_id, name, delimiter, special_use,
                      uidvalidity, uidnext, backfill_uid, checked_at
            """,
            [account_id, name, delimiter, special_use],
        ).fetchone()
    except ForeignKeyViolation:
        raise NotFound("The account was removed.") from None
    return _mailbox(row)


def start(connection: Connection[TupleRow], mailbox: Mailbox, after: Cursor) -> None:
    """Begin to store the mailbox at `after`; no UID stored before means anything any more.

    Raises:
        CursorMoved: another worker was first.
    """
    before = mailbox.cursor
    moved = connection.execute(
        """
        UPDATE mailbox SET uidvalidity = %s, uidnext = %s, backfill_uid = %s
         WHERE id = %s AND (uidvalidity, uidnext) IS NOT DISTINCT FROM (%s::bigint, %s::bigint)
        """,
        [after.uidvalidity, after.uidnext, after.backfill_uid, mailbox.id,
         before and before.uidvalidity, before and before.uidnext],
    )  # fmt: skip
    if not moved.rowcount:
        raise CursorMoved
    connection.execute(
        "DELETE FROM placement WHERE account_id = %s AND mailbox_id = %s",
        [mailbox.account_id, mailbox.id],
    )


def move_cursor(
    connection: Connection[TupleRow], mailbox_id: MailboxId, before: Cursor, after: Cursor
) -> None:
    """Move the cursor if it still is the one that was read.

    Raises:
        CursorMoved: another worker was first.
    """
    moved = connection.execute(
        """
        UPDATE mailbox SET uidnext = %s, backfill_uid = %s
         WHERE id = %s AND uidvalidity = %s AND uidnext = %s AND backfill_uid = %s
        """,
        [after.uidnext, after.backfill_uid,
         mailbox_id, before.uidvalidity, before.uidnext, before.backfill_uid],
    )  # fmt: skip
    if not moved.rowcount:
        raise CursorMoved


def checked(connection: Connection[TupleRow], account_id: AccountId) -> None:
    """All mailboxes of the account were compared with the server just now."""
    connection.execute("UPDATE mailbox SET checked_at = now() WHERE account_id = %s", [account_id])


@dataclass(frozen=True, slots=True)
class Counted:
    """A mailbox with the number of messages that are stored of it."""

    mailbox: Mailbox
    messages: int
    unread: int

    @property
    def checked_at(self) -> datetime | None:
        """When it was last compared with the server."""
        return self.mailbox.checked_at


def list_of_account(connection: Connection[TupleRow], account_id: AccountId) -> list[Counted]:
    """The account's mailboxes by name, INBOX first."""
    listed = connection.execute(
        r"""
        SELECT mailbox.id, mailbox.account_id, name, delimiter, special_use,
               mailbox.uidvalidity, uidnext, backfill_uid, checked_at,
               count(placement.uid),
               count(placement.uid) FILTER (WHERE NOT ('\Seen' = ANY (placement.flags)))
          FROM mailbox
          LEFT JOIN placement ON placement.account_id = mailbox.account_id
                             AND placement.mailbox_id = mailbox.id
         WHERE mailbox.account_id = %s
         GROUP BY mailbox.id
         ORDER BY upper(name) <> 'INBOX', name
        """,
        [account_id],
    )
    return [Counted(_mailbox(row[:-2]), row[-2], row[-1]) for row in listed]


def _mailbox(row: TupleRow | None) -> Mailbox:
    assert row is not None, "an upsert returns its row"  # noqa: S101
    id_, account_id, name, delimiter, special_use, *cursor, checked_at = row
    at = None if cursor[0] is None else Cursor(*cursor)
    return Mailbox(id_, account_id, name, delimiter, special_use, at, checked_at)
