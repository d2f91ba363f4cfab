"""Mailboxes: their cursors, and what is known of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from psycopg import Connection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import TupleRow, dict_row

from postwire.errors import CursorMoved, NotFound
from postwire.model import AccountId, Cursor, Mailbox, MailboxId
from postwire.store import labels, rows


def list_all(connection: Connection[TupleRow], account_id: AccountId) -> list[Mailbox]:
    """The account's mailboxes as they were left, oldest first."""
    cursor = connection.cursor(row_factory=dict_row)
    cursor.execute("SELECT * FROM mailbox WHERE account_id = %s ORDER BY id", [account_id])
    return [_mailbox(row) for row in cursor]


def keep(
    connection: Connection[TupleRow],
    account_id: AccountId,
    name: str,
    delimiter: str | None,
    special_use: str | None,
    *,
    object_id: str | None = None,
) -> Mailbox:
    """The mailbox of that name, added where it is new.

    Raises:
        NotFound: the account is gone.
    """
    cursor = connection.cursor(row_factory=dict_row)
    try:
        row = cursor.execute(
            """
            INSERT INTO mailbox (account_id, name, delimiter, special_use, object_id)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (account_id, name)
                DO UPDATE SET delimiter = EXCLUDED.delimiter, special_use = EXCLUDED.special_use,
                              object_id = EXCLUDED.object_id
            RETURNING *
            """,
            [account_id, name, delimiter, special_use, object_id],
        ).fetchone()
    except ForeignKeyViolation:
        raise NotFound("The account was removed.") from None
    assert row is not None, "an upsert returns its row"  # noqa: S101
    return _mailbox(row)


def all_mail(connection: Connection[TupleRow], account_id: AccountId) -> str | None:
    """The name of the mailbox that tells what lies in the account's labels, where it has any."""
    row = connection.execute(
        """
        SELECT whole.name
          FROM mailbox JOIN mailbox AS whole ON whole.id = mailbox.label_of
         WHERE mailbox.account_id = %s
         LIMIT 1
        """,
        [account_id],
    ).fetchone()
    return row[0] if row else None


def rename(connection: Connection[TupleRow], mailbox: Mailbox, name: str) -> Mailbox:
    """The same mailbox under its new name, which no other has; it is left alone no longer."""
    # It may have been parked for nothing else: renamed between LIST and EXAMINE, it was not found.
    connection.execute(
        "UPDATE mailbox SET name = %s, parked_at = NULL, problem = NULL WHERE id = %s",
        [name, mailbox.id],
    )
    return replace(mailbox, name=name, parked_at=None, problem=None)


def start(
    connection: Connection[TupleRow],
    mailbox: Mailbox,
    after: Cursor,
    *,
    highestmodseq: int | None = None,
    messages: int | None = None,
    object_id: str | None = None,
    window_start: date | None = None,
) -> Mailbox:
    """Begin to store the mailbox at `after`; no UID stored before means anything any more.

    Raises:
        CursorMoved: another worker was first.
    """
    before = mailbox.cursor
    cursor = connection.cursor(row_factory=dict_row)
    row = cursor.execute(
        """
        UPDATE mailbox
           SET uidvalidity = %s, uidnext = %s, backfill_uid = %s, highestmodseq = %s,
               messages = %s, object_id = %s, unseen = NULL, flags_at = now(),
               -- One that takes over from others reaches back as far as they did.
               window_start = CASE WHEN uidvalidity IS NULL
                                    AND NOT coalesce(window_start < %s::date, false)
                                   THEN %s::date ELSE window_start END,
               homeless = homeless OR uidvalidity IS NOT NULL,
               resets = resets + (uidvalidity IS NOT NULL)::integer,
               parked_at = NULL, problem = NULL, stumbled = NULL
         WHERE id = %s AND (uidvalidity, uidnext) IS NOT DISTINCT FROM (%s::bigint, %s::bigint)
        RETURNING *
        """,
        [after.uidvalidity, after.uidnext, after.backfill_uid, highestmodseq, messages,
         object_id, window_start, window_start, mailbox.id,
         before and before.uidvalidity, before and before.uidnext],
    ).fetchone()  # fmt: skip
    if row is None:
        raise CursorMoved
    _lock_account(connection, mailbox)
    connection.execute(
        "DELETE FROM placement WHERE account_id = %s AND mailbox_id = ANY(%s)",
        [mailbox.account_id, labels.with_labels(connection, mailbox)],
    )
    return _mailbox(row)


def turn(connection: Connection[TupleRow], mailbox: Mailbox, label_of: MailboxId | None) -> Mailbox:
    """Make the mailbox a label of another one, or (None) one that is opened; it is begun anew.

    What lay in it is placed again when the one that tells of it is next compared or read.

    Raises:
        CursorMoved: another worker was first.
    """
    cursor = connection.cursor(row_factory=dict_row)
    row = cursor.execute(
        """
        UPDATE mailbox
           SET label_of = %(label_of)s, uidvalidity = NULL, uidnext = NULL, backfill_uid = NULL,
               highestmodseq = NULL, messages = NULL, unseen = NULL, flags_at = NULL,
               homeless = %(label_of)s::bigint IS NULL, resets = 0,
               parked_at = NULL, problem = NULL,
               window_start = coalesce(
                   (SELECT window_start FROM mailbox AS whole WHERE whole.id = mailbox.label_of),
                   window_start)
         WHERE id = %(id)s AND uidvalidity IS NOT DISTINCT FROM %(uidvalidity)s::bigint
           AND label_of IS NOT DISTINCT FROM %(before)s::bigint
        RETURNING *
        """,
        {"label_of": label_of, "id": mailbox.id, "before": mailbox.label_of,
         "uidvalidity": mailbox.cursor and mailbox.cursor.uidvalidity},
    ).fetchone()  # fmt: skip
    if row is None:
        raise CursorMoved
    _lock_account(connection, mailbox)
    connection.execute(
        "DELETE FROM placement WHERE account_id = %s AND mailbox_id = %s",
        [mailbox.account_id, mailbox.id],
    )
    connection.execute("DELETE FROM set_aside WHERE mailbox_id = %s", [mailbox.id])
    return _mailbox(row)


def compare_whole(
    connection: Connection[TupleRow], whole: Mailbox, taken_over: Collection[Mailbox]
) -> Mailbox:
    """`whole` has labels it had not: what is stored of it has to be compared once more.

    Some of what lay in the mailboxes `taken_over` may lie nowhere, and as far as they reached back
    it does as well, unless it was begun before.
    """
    starts = [mailbox.window_start for mailbox in taken_over if mailbox.window_start]
    cursor = connection.cursor(row_factory=dict_row)
    row = cursor.execute(
        """
        UPDATE mailbox
           SET highestmodseq = NULL, homeless = homeless OR %s,
               window_start = CASE WHEN uidvalidity IS NULL
                                   THEN least(window_start, %s::date) ELSE window_start END
         WHERE id = %s
        RETURNING *
        """,
        [bool(taken_over), min(starts, default=None), whole.id],
    ).fetchone()
    if row is None:
        raise CursorMoved
    return _mailbox(row)


def _lock_account(connection: Connection[TupleRow], mailbox: Mailbox) -> None:
    # Locks are taken in one order: the mailbox, the account, then what triggers keep of placements.
    connection.execute("SELECT FROM account WHERE id = %s FOR NO KEY UPDATE", [mailbox.account_id])


def move_cursor(
    connection: Connection[TupleRow],
    mailbox_id: MailboxId,
    before: Cursor,
    after: Cursor,
    *,
    arrived: int = 0,
) -> None:
    """Move the cursor if it still is the one that was read; `arrived` messages were counted.

    Raises:
        CursorMoved: another worker was first.
    """
    moved = connection.execute(
        """
        UPDATE mailbox SET uidnext = %s, backfill_uid = %s, messages = messages + %s
         WHERE id = %s AND uidvalidity = %s AND uidnext = %s AND backfill_uid = %s
        """,
        [after.uidnext, after.backfill_uid, arrived,
         mailbox_id, before.uidvalidity, before.uidnext, before.backfill_uid],
    )  # fmt: skip
    if not moved.rowcount:
        raise CursorMoved


def compared(connection: Connection[TupleRow], before: Mailbox, after: Mailbox) -> None:
    """Note down how the mailbox was found, if it still is as it was read.

    Raises:
        CursorMoved: another worker was first, or the mailbox is gone.
    """
    moved = connection.execute(
        """
        UPDATE mailbox
           SET highestmodseq = %s, messages = %s, unseen = %s, flags_at = %s,
               object_id = %s, resets = %s, homeless = %s, parked_at = %s, problem = %s
         WHERE id = %s AND highestmodseq IS NOT DISTINCT FROM %s
           AND uidvalidity IS NOT DISTINCT FROM %s
        """,
        [after.highestmodseq, after.messages, after.unseen, after.flags_at,
         after.object_id, after.resets, after.homeless, after.parked_at, after.problem,
         before.id, before.highestmodseq, before.cursor and before.cursor.uidvalidity],
    )  # fmt: skip
    if not moved.rowcount:
        raise CursorMoved


def stumbled(connection: Connection[TupleRow], mailbox_id: MailboxId, uids: Sequence[int]) -> None:
    """The connection broke while these messages were read."""
    connection.execute("UPDATE mailbox SET stumbled = %s WHERE id = %s", [list(uids), mailbox_id])


def widen(connection: Connection[TupleRow], account_id: AccountId, start: date | None) -> None:
    """Let the backfill of each mailbox reach back to `start` (None: all), where it does not yet."""
    connection.execute(
        """
        UPDATE mailbox SET window_start = %(start)s, backfill_uid = uidnext
         WHERE account_id = %(account_id)s AND uidvalidity IS NOT NULL
           AND window_start > coalesce(%(start)s::date, '-infinity')
        """,
        {"start": start, "account_id": account_id},
    )


def remove(connection: Connection[TupleRow], mailbox: Mailbox) -> None:
    """The mailbox is gone; its placements have been removed before."""
    connection.execute("DELETE FROM mailbox WHERE id = %s", [mailbox.id])


def checked(connection: Connection[TupleRow], account_id: AccountId) -> None:
    """All mailboxes of the account were compared with the server just now."""
    connection.execute(
        "UPDATE mailbox SET checked_at = now() WHERE account_id = %s AND parked_at IS NULL",
        [account_id],
    )


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
    """The account's mailboxes by name, INBOX first; triggers keep the numbers (`mailbox_count`)."""
    cursor = connection.cursor(row_factory=dict_row)
    cursor.execute(
        """
        SELECT mailbox.*, coalesce(counted.messages, 0) AS stored,
               coalesce(counted.unread, 0) AS unread
          FROM mailbox
          LEFT JOIN mailbox_count AS counted ON counted.mailbox_id = mailbox.id
         WHERE mailbox.account_id = %s
         ORDER BY upper(name) <> 'INBOX', name
        """,
        [account_id],
    )
    return [Counted(_mailbox(row), row["stored"], row["unread"]) for row in cursor]


def _mailbox(row: Mapping[str, object]) -> Mailbox:
    named = {name: row[name] for name in rows.names(Mailbox) if name in row}
    cursor = (row["uidvalidity"], row["uidnext"], row["backfill_uid"])
    at = None if cursor[0] is None else Cursor(*cursor)  # type: ignore[arg-type]
    return Mailbox(**named, cursor=at)  # type: ignore[arg-type]
