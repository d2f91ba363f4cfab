"""Content of attachments that nobody needs any more, and failures that nobody asks about.

Each content is looked at when it is due, and then once a `GRACE`. The account's row is locked
meanwhile, as it is when a message comes back or another attachment turns out to have the same
bytes: neither is ever left with a content that is about to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import AccountId
from postwire.store import rows

#: Seconds that content is kept after its last message was expunged. Whoever began to read it while
#: the message was there has as long to come to the end.
GRACE = 24 * 60 * 60
#: Seconds that a failed request is remembered.
_REMEMBERED = 60 * 60

#: `unneeded`: no message has it any more; `unfinished`: its worker died.
Reason: TypeAlias = Literal["unneeded", "unfinished"]


@dataclass(frozen=True, slots=True)
class Due:
    """A content that is to be looked at."""

    account_id: AccountId
    id: int


def take(connection: Connection[TupleRow]) -> Due | None:
    """A content that is due, locked with its account until the caller's transaction ends.

    None where there is none, or others have them all.
    """
    cursor = connection.cursor(row_factory=rows.of(Due))
    return cursor.execute(
        """
        SELECT content.account_id, content.id
          FROM content
          JOIN account ON account.id = content.account_id
         WHERE content.due_at <= now()
         ORDER BY content.due_at
         LIMIT 1
           FOR NO KEY UPDATE SKIP LOCKED
        """
    ).fetchone()


def settle(connection: Connection[TupleRow], due: Due) -> Reason | None:
    """Remove what `take` gave, and say why; or keep it, None, until it is due again."""
    removed = connection.execute(
        """
        DELETE FROM content
         WHERE account_id = %(account_id)s AND id = %(id)s
           AND (hash IS NULL OR NOT EXISTS (
                SELECT FROM attachment
                  JOIN message ON message.account_id = attachment.account_id
                              AND message.id = attachment.message_id
                 WHERE attachment.account_id = content.account_id
                   AND attachment.hash = content.hash
                   AND coalesce(message.expunged_at, now())
                     > now() - make_interval(secs => %(grace)s)))
        RETURNING hash
        """,
        {"account_id": due.account_id, "id": due.id, "grace": GRACE},
    ).fetchone()
    if removed:
        return "unneeded" if removed[0] else "unfinished"
    connection.execute(
        """
        UPDATE content SET due_at = now() + make_interval(secs => %s)
         WHERE account_id = %s AND id = %s
        """,
        [GRACE, due.account_id, due.id],
    )
    return None


def forget_failed(connection: Connection[TupleRow], limit: int) -> None:
    """Remove up to `limit` requests that failed long ago."""
    connection.execute(
        """
        DELETE FROM attachment_request
         WHERE (account_id, message_id, n) IN (
               SELECT account_id, message_id, n
                 FROM attachment_request
                WHERE failed_at < now() - make_interval(secs => %s)
                LIMIT %s
                  FOR UPDATE SKIP LOCKED)
        """,
        [_REMEMBERED, limit],
    )
