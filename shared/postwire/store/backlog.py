"""Messages that were stored before there was a search, and are yet to be indexed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from postwire.model import AccountId, Body, Headers, MessageId
from postwire.store import messages
from postwire.store.documents import INDEXED, Source


@dataclass(frozen=True, slots=True)
class Pass:
    """The pass over one account's older messages; `below` is the lowest message id looked at."""

    account_id: AccountId
    due_at: datetime
    below: MessageId | None


def take(connection: Connection[TupleRow]) -> Pass | None:
    """A pass that is due, locked until the caller's transaction ends; None where all is done."""
    row = connection.execute(
        """
        SELECT account_id, due_at, below FROM search_backlog
         WHERE due_at <= now() ORDER BY due_at, account_id
         LIMIT 1 FOR UPDATE SKIP LOCKED
        """
    ).fetchone()
    return Pass(*row) if row else None


def list_next(
    connection: Connection[TupleRow], pass_: Pass, limit: int
) -> tuple[list[Source], MessageId | None]:
    """Which of the pass's next `limit` messages are not indexed, and the lowest of them all.

    None as the lowest: there are no more.
    """
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
        SELECT message.id, internaldate, subject, addresses, snippet, body.text,
               left(body.html, %(most)s) AS html, body.message_id IS NOT NULL AS has_body,
               ARRAY(SELECT coalesce(filename, '') FROM attachment
                      WHERE attachment.account_id = message.account_id
                        AND attachment.message_id = message.id) AS filenames,
               EXISTS (SELECT FROM search
                        WHERE search.account_id = message.account_id
                          AND search.message_id = message.id) AS indexed
          FROM message
          LEFT JOIN body ON body.account_id = message.account_id AND body.message_id = message.id
         WHERE message.account_id = %(account)s
           AND (%(below)s::bigint IS NULL OR message.id < %(below)s)
         ORDER BY message.id DESC LIMIT %(limit)s
        """,
            {"account": pass_.account_id, "below": pass_.below, "limit": limit, "most": INDEXED},
        )
        .fetchall()
    )
    return [_source(row) for row in rows if not row["indexed"]], rows[-1]["id"] if rows else None


def _source(row: dict[str, Any]) -> Source:
    return Source(
        id=row["id"],
        internaldate=row["internaldate"],
        headers=Headers(subject=row["subject"], **messages.people(row["addresses"])),
        body=Body(row["text"], row["html"], row["snippet"]) if row["has_body"] else None,
        filenames=tuple(row["filenames"]),
    )


def move(connection: Connection[TupleRow], pass_: Pass, below: MessageId | None) -> None:
    """The pass got down to `below`; where that is None, it is over."""
    if below is None:
        connection.execute(
            "DELETE FROM search_backlog WHERE account_id = %s AND due_at = %s",
            [pass_.account_id, pass_.due_at],
        )
    else:
        connection.execute(
            "UPDATE search_backlog SET below = %s WHERE account_id = %s AND due_at = %s",
            [below, pass_.account_id, pass_.due_at],
        )
