"""Conversations: a thread as its reader sees it, newest last message first.

A page is found in two steps: which threads, each by its newest message, and then what is told of
them. What is told is counted (`thread_counts` in the migrations); which of them lie in a mailbox,
and in what order, triggers keep (`thread_mailbox`). Callers read in one `pool.snapshot`, so that
both steps see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from postwire.errors import NotFound
from postwire.model import AccountId, Conversation, Message, MessageId, ThreadId
from postwire.store import messages, threads

#: Where a page goes on: time and id of the last message seen.
Position: TypeAlias = tuple[datetime, MessageId]
#: A thread by its newest message, and that one's time.
_Newest: TypeAlias = tuple[AccountId, ThreadId, MessageId, datetime]


def list_of_user(
    connection: Connection[TupleRow],
    user_id: str,
    *,
    account_id: AccountId | None,
    mailbox: str | None,
    before: Position | None,
    limit: int,
) -> list[Conversation]:
    """The user's conversations, those with the newest message first.

    With `mailbox`, those of which some message lies there.
    """
    if mailbox is None:
        found = _newest(connection, user_id, account_id, before, limit)
    else:
        found = _newest_in(connection, user_id, account_id, before, limit, mailbox=mailbox)
    return _conversations(connection, found)


def find_thread(
    connection: Connection[TupleRow], user_id: str, thread_id: ThreadId
) -> tuple[AccountId, ThreadId]:
    """The thread of that id, or the one it became part of, reached through its owner.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = connection.execute(
        """
        SELECT account.id, coalesce(thread.merged_into, thread.id)
          FROM account
          JOIN thread ON thread.account_id = account.id AND thread.id = %s
         WHERE account.user_id = %s
        """,
        [thread_id, user_id],
    ).fetchone()
    if row is None:
        raise NotFound("There is no such conversation.")
    return row[0], row[1]


def get_of_user(
    connection: Connection[TupleRow], user_id: str, thread_id: ThreadId
) -> Conversation:
    """One conversation, reached through its owner.

    Raises:
        NotFound: there is none, it is somebody else's, or all its messages are gone.
    """
    account, thread = find_thread(connection, user_id, thread_id)
    found = connection.execute(
        """
        SELECT account_id, thread_id, id, internaldate FROM message
         WHERE account_id = %s AND thread_id = %s AND expunged_at IS NULL
         ORDER BY internaldate DESC, id DESC
         LIMIT 1
        """,
        [account, thread],
    ).fetchall()
    if not found:
        raise NotFound("There is no such conversation.")
    return _conversations(connection, found)[0]


def messages_of(
    connection: Connection[TupleRow],
    account_id: AccountId,
    thread_id: ThreadId,
    *,
    after: Position | None,
    limit: int,
) -> list[Message]:
    """The messages of a thread, oldest first, without bodies."""
    internaldate, id_ = after or (None, None)
    cursor = connection.cursor(row_factory=dict_row)
    listed = cursor.execute(
        """
        SELECT oldest.*, placed.mailboxes, placed.flags
          FROM (SELECT message.*
                  FROM message
                 WHERE account_id = %(account)s AND thread_id = %(thread)s AND expunged_at IS NULL
                   AND (internaldate, id) > (coalesce(%(at)s::timestamptz, '-infinity'),
                                             coalesce(%(id)s::bigint, 0))
                 ORDER BY internaldate, id
                 LIMIT %(limit)s) AS oldest
          CROSS JOIN placed(oldest.account_id, oldest.id)
         ORDER BY oldest.internaldate, oldest.id
        """,
        {"account": account_id, "thread": thread_id, "at": internaldate, "id": id_, "limit": limit},
    )
    return [messages.from_row(row) for row in listed]


def newest_of(
    connection: Connection[TupleRow],
    account_id: AccountId,
    thread_id: ThreadId,
    *,
    before: Position | None,
    limit: int,
) -> list[Message]:
    """The messages of a thread, newest first, without bodies."""
    internaldate, id_ = before or (None, None)
    cursor = connection.cursor(row_factory=dict_row)
    listed = cursor.execute(
        """
        SELECT newest.*, placed.mailboxes, placed.flags
          FROM (SELECT message.*
                  FROM message
                 WHERE account_id = %(account)s AND thread_id = %(thread)s AND expunged_at IS NULL
                   AND (internaldate, id) < (coalesce(%(at)s::timestamptz, 'infinity'),
                                             coalesce(%(id)s::bigint, 0))
                 ORDER BY internaldate DESC, id DESC
                 LIMIT %(limit)s) AS newest
          CROSS JOIN placed(newest.account_id, newest.id)
         ORDER BY newest.internaldate DESC, newest.id DESC
        """,
        {"account": account_id, "thread": thread_id, "at": internaldate, "id": id_, "limit": limit},
    )
    return [messages.from_row(row) for row in listed]


def _newest(
    connection: Connection[TupleRow],
    user_id: str,
    account_id: AccountId | None,
    before: Position | None,
    limit: int,
) -> list[_Newest]:
    """Threads in the order of their newest message.

    That is: messages from the newest down, but those that a newer one of their thread follows.
    """
    # The subquery is a lookup in an index for each message that is looked at; a join would be
    # worked out for all there are.
    internaldate, id_ = before or (None, None)
    return connection.execute(
        """
        SELECT newest.account_id, newest.thread_id, newest.id, newest.internaldate
          FROM account
          CROSS JOIN LATERAL (
                SELECT message.account_id, thread_id, id, internaldate
                  FROM message
                 WHERE message.account_id = account.id AND expunged_at IS NULL
                   AND (internaldate, id) < (coalesce(%(at)s::timestamptz, 'infinity'),
                                             coalesce(%(id)s::bigint, 0))
                   AND id = (SELECT last.id FROM message AS last
                              WHERE last.account_id = message.account_id
                                AND last.thread_id = message.thread_id
                                AND last.expunged_at IS NULL
                              ORDER BY last.internaldate DESC, last.id DESC
                              LIMIT 1)
                 ORDER BY internaldate DESC, id DESC
                 LIMIT %(limit)s) AS newest
         WHERE account.user_id = %(user)s
           AND (%(account)s::uuid IS NULL OR account.id = %(account)s)
         ORDER BY newest.internaldate DESC, newest.id DESC
         LIMIT %(limit)s
        """,
        {"user": user_id, "account": account_id, "at": internaldate, "id": id_, "limit": limit},
    ).fetchall()


def _newest_in(
    connection: Connection[TupleRow],
    user_id: str,
    account_id: AccountId | None,
    before: Position | None,
    limit: int,
    *,
    mailbox: str,
) -> list[_Newest]:
    """As `_newest`, but threads of which nothing lies in a mailbox of that name."""
    internaldate, id_ = before or (None, None)
    return connection.execute(
        """
        SELECT newest.account_id, newest.thread_id, newest.newest_id, newest.newest_at
          FROM account
          JOIN mailbox ON mailbox.account_id = account.id AND mailbox.name = %(name)s
          CROSS JOIN LATERAL (
                SELECT thread_mailbox.account_id, thread_id, newest_id, newest_at
                  FROM thread_mailbox
                 WHERE thread_mailbox.account_id = account.id AND mailbox_id = mailbox.id
                   AND (newest_at, newest_id) < (coalesce(%(at)s::timestamptz, 'infinity'),
                                                 coalesce(%(id)s::bigint, 0))
                 ORDER BY newest_at DESC, newest_id DESC
                 LIMIT %(limit)s) AS newest
         WHERE account.user_id = %(user)s
           AND (%(account)s::uuid IS NULL OR account.id = %(account)s)
         ORDER BY newest.newest_at DESC, newest.newest_id DESC
         LIMIT %(limit)s
        """,
        {"user": user_id, "account": account_id, "name": mailbox,
         "at": internaldate, "id": id_, "limit": limit},
    ).fetchall()  # fmt: skip


def _conversations(
    connection: Connection[TupleRow], found: Sequence[_Newest]
) -> list[Conversation]:
    cursor = connection.cursor(row_factory=dict_row)
    listed = cursor.execute(
        """
        SELECT thread.id, thread.account_id, thread.subject, thread.participants,
               newest.snippet, newest.internaldate AS last_message_at, newest.id AS newest,
               newest.addresses -> 'from_' AS wrote_last,
               counted.messages, counted.unread, counted.has_attachments, counted.revision
          FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) WITH ORDINALITY
                    AS shown (account_id, thread_id, message_id, n)
          JOIN thread ON thread.account_id = shown.account_id AND thread.id = shown.thread_id
          JOIN message AS newest ON newest.account_id = shown.account_id
                                AND newest.id = shown.message_id
          CROSS JOIN thread_counts(shown.account_id, shown.thread_id) AS counted
         ORDER BY shown.n
        """,
        [[row[n] for row in found] for n in range(3)],
    )
    return [_conversation(row) for row in listed]


def _conversation(row: dict[str, Any]) -> Conversation:
    kept, last = row.pop("participants"), row.pop("wrote_last")
    return Conversation(
        **row, participants=threads.participants(kept), senders=threads.senders(kept, last or ())
    )
