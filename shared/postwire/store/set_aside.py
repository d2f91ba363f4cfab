"""Messages set aside: what could not be served or read, with the error, tried again later."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.errors import NotFound
from postwire.model import AccountId, Batch, MailboxId, SetAside
from postwire.store import rows


@dataclass(frozen=True, slots=True)
class Aside:
    """A message set aside, as its user sees it; `raw_size` in bytes, None where nothing was had."""

    mailbox_id: MailboxId
    mailbox: str
    uid: int
    error: str
    at: datetime
    attempts: int
    retry_at: datetime
    raw_size: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is tried again now."""

    mailbox_id: MailboxId
    uid: int


def add(connection: Connection[TupleRow], batch: Batch) -> None:
    """Set aside what the batch could not store."""
    record(connection, batch.mailbox.id, batch.before.uidvalidity, batch.set_aside)


def record(
    connection: Connection[TupleRow],
    mailbox_id: MailboxId,
    uidvalidity: int,
    messages: Collection[SetAside],
) -> None:
    """Keep the last error of each, and the bytes where there are any.

    Each is tried again soon for the first time: it may have been the network, and not the message.
    """
    connection.cursor().executemany(
        """
        INSERT INTO set_aside AS aside (mailbox_id, uidvalidity, uid, error, raw, retry_at)
        VALUES (%s, %s, %s, %s, %s, now() + interval '1 minute')
        ON CONFLICT (mailbox_id, uidvalidity, uid) DO UPDATE
           SET error = EXCLUDED.error, at = now(), raw = coalesce(EXCLUDED.raw, aside.raw)
        """,
        [[mailbox_id, uidvalidity, one.uid, one.error, one.raw] for one in messages],
    )


def take_due(connection: Connection[TupleRow], account_id: AccountId) -> Due | None:
    """The next message that is to be tried again now.

    It counts as tried from here on, and the next time is set: an hour later, then a day. So one
    that breaks the connection whenever it is asked for does so once, and not at each sync.
    """
    connection.execute(
        # A mailbox that was numbered anew: these numbers mean nothing any more.
        """
        DELETE FROM set_aside USING mailbox
         WHERE mailbox.id = set_aside.mailbox_id AND mailbox.account_id = %s
           AND set_aside.uidvalidity <> mailbox.uidvalidity
        """,
        [account_id],
    )
    cursor = connection.cursor(row_factory=rows.of(Due))
    return cursor.execute(
        """
        UPDATE set_aside AS aside
           SET attempts = attempts + 1,
               retry_at = now() + CASE WHEN attempts < 2 THEN interval '1 hour'
                                       ELSE interval '1 day' END
         WHERE (mailbox_id, uidvalidity, uid) IN (
                SELECT set_aside.mailbox_id, set_aside.uidvalidity, set_aside.uid
                  FROM set_aside
                  JOIN mailbox ON mailbox.id = set_aside.mailbox_id
                 WHERE mailbox.account_id = %s AND retry_at <= now()
                 ORDER BY set_aside.mailbox_id, set_aside.uid
                 LIMIT 1
                   FOR UPDATE OF set_aside SKIP LOCKED)
        RETURNING mailbox_id, uid
        """,
        [account_id],
    ).fetchone()


def remove(
    connection: Connection[TupleRow],
    mailbox_id: MailboxId,
    uidvalidity: int,
    uid: int,
) -> None:
    """It was stored at last, or is gone from the server."""
    connection.execute(
        "DELETE FROM set_aside WHERE mailbox_id = %s AND uidvalidity = %s AND uid = %s",
        [mailbox_id, uidvalidity, uid],
    )


def make_due(connection: Connection[TupleRow], account_id: AccountId) -> int:
    """Have all of the account tried with its next sync; how many these are."""
    made = connection.execute(
        """
        UPDATE set_aside SET retry_at = now() FROM mailbox
         WHERE mailbox.id = set_aside.mailbox_id AND mailbox.account_id = %s
        """,
        [account_id],
    )
    return made.rowcount


def list_of_account(
    connection: Connection[TupleRow], account_id: AccountId, limit: int
) -> list[Aside]:
    """The account's messages set aside, the latest first."""
    cursor = connection.cursor(row_factory=rows.of(Aside))
    return cursor.execute(
        """
        SELECT set_aside.mailbox_id, uid, error, at, attempts, retry_at,
               mailbox.name AS mailbox, octet_length(raw) AS raw_size
          FROM set_aside
          JOIN mailbox ON mailbox.id = set_aside.mailbox_id
         WHERE mailbox.account_id = %s AND set_aside.uidvalidity = mailbox.uidvalidity
         ORDER BY at DESC, set_aside.mailbox_id, uid
         LIMIT %s
        """,
        [account_id, limit],
    ).fetchall()


def get_raw(
    connection: Connection[TupleRow], account_id: AccountId, mailbox_id: MailboxId, uid: int
) -> bytes:
    """The bytes of a message set aside.

    Raises:
        NotFound: there is no such message, or none of its bytes could be had.
    """
    row = connection.execute(
        """
        SELECT raw
          FROM set_aside
          JOIN mailbox ON mailbox.id = set_aside.mailbox_id
         WHERE mailbox.account_id = %s AND mailbox.id = %s AND uid = %s
           AND set_aside.uidvalidity = mailbox.uidvalidity
        """,
        [account_id, mailbox_id, uid],
        binary=True,
    ).fetchone()
    if row is None or row[0] is None:
        raise NotFound("There is no such message set aside, or none of its bytes could be had.")
    return bytes(row[0])
