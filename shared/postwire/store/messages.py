"""Messages, their bodies, attachments and placements: what a batch stores, what a reader gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row
from psycopg.types.json import Jsonb

from postwire.errors import NotFound
from postwire.model import (
    AccountId,
    Address,
    Attachment,
    Batch,
    Body,
    Direction,
    Headers,
    Incoming,
    Message,
    MessageId,
    Stored,
    ThreadId,
)
from postwire.store import documents, labels, mailboxes, set_aside, threads

#: The header fields with people in them, as they are kept in `message.addresses`.
_PEOPLE = ("from_", "to", "cc", "bcc", "reply_to")
#: RFC 6154: what lies here was written by the account's owner.
_OWN = ("\\Sent", "\\Drafts")


def find_known(
    connection: Connection[TupleRow], account_id: AccountId, digests: Sequence[bytes]
) -> set[bytes]:
    """Which of the messages are stored already, so that their bodies need not be fetched."""
    # A lookup for each, by the index in whose order it is: to a database that is new any index of
    # the account is as good as another, and it would read all its messages.
    known = connection.execute(
        """
        SELECT stored.digest
          FROM unnest(%s::bytea[]) AS wanted (digest)
          CROSS JOIN LATERAL (
                SELECT digest FROM message
                 WHERE account_id = %s AND digest >= wanted.digest AND digest <= wanted.digest
                 ORDER BY digest
                 LIMIT 1) AS stored
        """,
        [list(digests), account_id],
    )
    return {digest for (digest,) in known}


def recognise(
    connection: Connection[TupleRow], account_id: AccountId, server_ids: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    """Size and digest of the stored messages that the server knows by these ids.

    An id that leads to several messages is none: it is left out.
    """
    found = connection.execute(
        """
        SELECT server_id, (array_agg(size))[1], (array_agg(digest))[1]
          FROM message
         WHERE account_id = %s AND server_id = ANY(%s)
         GROUP BY server_id HAVING count(*) = 1
        """,
        [account_id, list(server_ids)],
    )
    return {server_id: (size, digest) for server_id, size, digest in found}


def store(connection: Connection[TupleRow], batch: Batch) -> Stored:
    """Store the batch in the caller's transaction and move the cursor.

    A message that is there already gets a further placement and stays one.

    Raises:
        CursorMoved: another worker stored this first; nothing may be committed.
        NotFound: the account is gone.
    """
    mailboxes.move_cursor(
        connection, batch.mailbox.id, batch.before, batch.after, arrived=batch.arrived
    )
    epoch, revision, stored_at = raise_revision(connection, batch.mailbox.account_id)
    own = _own_addresses(connection, batch.mailbox.account_id)
    thread_of = _join_threads(connection, batch, revision)
    added = _add_messages(connection, batch, revision, own, thread_of)
    _add_bodies(connection, batch.mailbox.account_id, added)
    _add_attachments(connection, batch.mailbox.account_id, added)
    placed = [(one.id, one.incoming) for one in added]
    labels.place(connection, batch.mailbox, batch.before.uidvalidity, placed)
    set_aside.add(connection, batch)
    documents.index(connection, batch.mailbox.account_id, _sources(added))
    new = [one for one in added if one.new]
    return Stored(
        epoch=epoch,
        revision=revision,
        new=len(new),
        inbound=sum(_direction(batch, one.incoming, own) == "inbound" for one in new),
        received_at=max((one.incoming.internaldate for one in new), default=None),
        stored_at=stored_at,
        oldest_received_at=min((one.incoming.internaldate for one in new), default=None),
    )


def begin_again(connection: Connection[TupleRow], account_id: AccountId) -> Stored:
    """History was rebuilt: a new epoch, which tells everyone to load again.

    Raises:
        NotFound: the account is gone.
    """
    connection.execute("UPDATE account SET epoch = epoch + 1 WHERE id = %s", [account_id])
    epoch, revision, stored_at = raise_revision(connection, account_id)
    return Stored(epoch, revision, new=0, inbound=0, received_at=None, stored_at=stored_at)


def raise_revision(
    connection: Connection[TupleRow], account_id: AccountId
) -> tuple[int, int, datetime]:
    """Raise the account's revision, once in each transaction that changes it.

    The row lock this takes puts revisions in the order of the commits.

    Returns:
        epoch, the new revision, and the time of the transaction.

    Raises:
        NotFound: the account is gone.
    """
    row = connection.execute(
        "UPDATE account SET revision = revision + 1 WHERE id = %s RETURNING epoch, revision, now()",
        [account_id],
    ).fetchone()
    if row is None:
        raise NotFound("The account was removed.")
    epoch, revision, stored_at = row
    return epoch, revision, stored_at


@dataclass(frozen=True, slots=True)
class _Added:
    id: MessageId
    new: bool
    incoming: Incoming


def _own_addresses(connection: Connection[TupleRow], account_id: AccountId) -> set[str]:
    own = connection.execute(
        "SELECT unnest(ARRAY[address, username]) FROM account WHERE id = %s", [account_id]
    )
    return {address.casefold() for (address,) in own}


def _direction(batch: Batch, incoming: Incoming, own: set[str]) -> Direction:
    """Who wrote it says so, or that it lies where only what its owner wrote lies."""
    written = any(author.address.casefold() in own for author in incoming.headers.from_)
    lies = {batch.mailbox.special_use, *(incoming.labels or ())}
    return "outbound" if written or not lies.isdisjoint(_OWN) else "inbound"


def _join_threads(
    connection: Connection[TupleRow], batch: Batch, revision: int
) -> dict[bytes, ThreadId]:
    """The thread of each message that is not there yet, by its digest.

    Before they are stored, under the lock on the account: a row that is written once costs half of
    one that is changed at once.
    """
    by_digest: dict[bytes, Incoming] = {}
    for incoming in batch.incoming:
        by_digest.setdefault(incoming.digest, incoming)
    known = find_known(connection, batch.mailbox.account_id, list(by_digest))
    new = [incoming for digest, incoming in by_digest.items() if digest not in known]
    arrivals = [
        threads.Arrival(incoming.headers, incoming.internaldate, incoming.server_thread)
        for incoming in new
    ]
    joined = threads.join(connection, batch.mailbox.account_id, revision, arrivals)
    return {
        incoming.digest: joined[arrival] for incoming, arrival in zip(new, arrivals, strict=True)
    }


def _add_messages(
    connection: Connection[TupleRow],
    batch: Batch,
    revision: int,
    own: set[str],
    thread_of: dict[bytes, ThreadId],
) -> list[_Added]:
    cursor = connection.cursor()
    cursor.executemany(
        """
        INSERT INTO message AS stored
               (account_id, digest, message_id, in_reply_to, "references", subject, date,
                internaldate, addresses, size, direction, snippet, has_attachments, problem,
                added_revision, revision, server_id, thread_id)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (account_id, digest)
            DO UPDATE SET revision = EXCLUDED.revision, expunged_at = NULL,
                          server_id = coalesce(EXCLUDED.server_id, stored.server_id),
                          -- Whichever mailbox came first: what was sent was sent.
                          direction = greatest(stored.direction, EXCLUDED.direction)
        RETURNING id, added_revision = revision
        """,
        [
            [*_message_row(batch, incoming, revision, own), thread_of.get(incoming.digest)]
            for incoming in batch.incoming
        ],
        returning=True,
    )
    added: list[_Added] = []
    seen: set[MessageId] = set()
    for result, incoming in zip(cursor.results(), batch.incoming, strict=True):
        ((id_, new),) = result.fetchall()
        # A mailbox may hold the same message twice: the second one of a batch is not new.
        added.append(_Added(id_, new and id_ not in seen, incoming))
        seen.add(id_)
    return added


def _message_row(batch: Batch, incoming: Incoming, revision: int, own: set[str]) -> list[object]:
    headers = incoming.headers
    people = {
        name: [[person.name, person.address] for person in getattr(headers, name)]
        for name in _PEOPLE
    }
    return [
        batch.mailbox.account_id,
        incoming.digest,
        headers.message_id,
        headers.in_reply_to,
        list(headers.references),
        headers.subject,
        headers.date,
        incoming.internaldate,
        Jsonb(people),
        incoming.size,
        _direction(batch, incoming, own),
        incoming.body.snippet if incoming.body else "",
        bool(incoming.attachments),
        incoming.problem,
        revision,
        revision,
        incoming.server_id,
    ]


def _add_bodies(
    connection: Connection[TupleRow], account_id: AccountId, added: Iterable[_Added]
) -> None:
    connection.cursor().executemany(
        "INSERT INTO body (account_id, message_id, text, html, flow) VALUES (%s, %s, %s, %s, %s)",
        [
            [account_id, one.id, one.incoming.body.text, one.incoming.body.html,
             one.incoming.body.flow]
            for one in added
            if one.new and one.incoming.body
        ],
    )  # fmt: skip


def _add_attachments(
    connection: Connection[TupleRow], account_id: AccountId, added: Iterable[_Added]
) -> None:
    connection.cursor().executemany(
        """
        INSERT INTO attachment (account_id, message_id, n, section, filename, content_type, size,
                                content_id, disposition)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            [account_id, one.id, n, part.section, part.filename, part.content_type, part.size,
             part.content_id, part.disposition]
            for one in added
            if one.new
            for n, part in enumerate(one.incoming.attachments, start=1)
        ],
    )  # fmt: skip


def _sources(added: Iterable[_Added]) -> list[documents.Source]:
    return [
        documents.Source(
            one.id,
            one.incoming.internaldate,
            one.incoming.headers,
            one.incoming.body,
            tuple(part.filename or "" for part in one.incoming.attachments),
        )
        for one in added
        if one.new
    ]


#: Messages of a mailbox that are sorted; of more, some are soon met by going through the account's.
_FEW = 500
_NEWEST: LiteralString = """
    SELECT newest.*, placed.mailboxes, placed.flags
      FROM account
      CROSS JOIN LATERAL (
            SELECT message.*
              FROM message
             WHERE message.account_id = account.id AND expunged_at IS NULL
               AND (internaldate, message.id) < (coalesce(%(at)s::timestamptz, 'infinity'),
                                                 coalesce(%(id)s::bigint, 0))
             ORDER BY internaldate DESC, message.id DESC
             LIMIT %(limit)s) AS newest
      CROSS JOIN placed(newest.account_id, newest.id)
     WHERE account.user_id = %(user_id)s
       AND (%(account_id)s::uuid IS NULL OR account.id = %(account_id)s)
     ORDER BY newest.internaldate DESC, newest.id DESC
     LIMIT %(limit)s
"""
# Whether a message lies there is a scalar: EXISTS would be hashed, all placements of the account.
# No message there is newer than the newest of its threads: what is above need not be looked at.
_NEWEST_IN_MAILBOX: LiteralString = """
    SELECT newest.*, placed.mailboxes, placed.flags
      FROM account
      JOIN mailbox ON mailbox.account_id = account.id AND mailbox.name = %(mailbox)s
      CROSS JOIN LATERAL (
            SELECT count(*) <= %(few)s AS few
              FROM (SELECT FROM placement
                     WHERE account_id = account.id AND mailbox_id = mailbox.id
                     LIMIT %(few)s + 1) AS first) AS holds
      CROSS JOIN LATERAL (
           (SELECT message.*
              FROM message
             WHERE holds.few AND message.account_id = account.id AND expunged_at IS NULL
               AND message.id = ANY (ARRAY(
                   SELECT message_id FROM placement
                    WHERE account_id = account.id AND mailbox_id = mailbox.id))
               AND (internaldate, message.id) < (coalesce(%(at)s::timestamptz, 'infinity'),
                                                 coalesce(%(id)s::bigint, 0))
             ORDER BY internaldate DESC, message.id DESC
             LIMIT %(limit)s)
            UNION ALL
           (SELECT message.*
              FROM message
             WHERE NOT holds.few AND message.account_id = account.id AND expunged_at IS NULL
               AND internaldate <= (SELECT newest_at FROM thread_mailbox
                                     WHERE account_id = account.id AND mailbox_id = mailbox.id
                                       AND newest_at IS NOT NULL
                                     ORDER BY newest_at DESC LIMIT 1)
               AND (internaldate, message.id) < (coalesce(%(at)s::timestamptz, 'infinity'),
                                                 coalesce(%(id)s::bigint, 0))
               AND (SELECT true FROM placement
                     WHERE account_id = account.id AND message_id = message.id
                       AND mailbox_id = mailbox.id LIMIT 1)
             ORDER BY internaldate DESC, message.id DESC
             LIMIT %(limit)s)) AS newest
      CROSS JOIN placed(newest.account_id, newest.id)
     WHERE account.user_id = %(user_id)s
       AND (%(account_id)s::uuid IS NULL OR account.id = %(account_id)s)
     ORDER BY newest.internaldate DESC, newest.id DESC
     LIMIT %(limit)s
"""


def list_of_user(
    connection: Connection[TupleRow],
    user_id: str,
    *,
    account_id: AccountId | None,
    mailbox: str | None,
    before: tuple[datetime, MessageId] | None,
    limit: int,
) -> list[Message]:
    """The user's messages, newest first, without bodies.

    `before` is the (internaldate, id) of the last one seen. Each account gives its own newest,
    from its index; what is left is to merge so few.
    """
    at, id_ = before or (None, None)
    cursor = connection.cursor(row_factory=dict_row)
    listed = cursor.execute(
        _NEWEST if mailbox is None else _NEWEST_IN_MAILBOX,
        {"user_id": user_id, "account_id": account_id, "mailbox": mailbox, "few": _FEW,
         "at": at, "id": id_, "limit": limit},
    )  # fmt: skip
    return [from_row(row) for row in listed]


def get_of_user(connection: Connection[TupleRow], user_id: str, message_id: MessageId) -> Message:
    """One message with its body and attachments, reached through its owner.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    cursor = connection.cursor(row_factory=dict_row)
    row = cursor.execute(
        """
        SELECT message.*, body.text, body.html, body.flow, placed.mailboxes, placed.flags
          FROM account
          JOIN message ON message.account_id = account.id AND message.id = %(id)s
          LEFT JOIN body ON body.account_id = message.account_id AND body.message_id = message.id
          CROSS JOIN placed(message.account_id, message.id)
         WHERE account.user_id = %(user_id)s AND message.expunged_at IS NULL
        """,
        {"user_id": user_id, "id": message_id},
    ).fetchone()
    if row is None:
        raise NotFound("There is no such message.")
    body = Body(row["text"], row["html"], row["snippet"], row["flow"] or "")
    parts = _attachments(connection, row["account_id"], message_id)
    return replace(from_row(row), body=body, attachments=parts)


def _attachments(
    connection: Connection[TupleRow], account_id: AccountId, message_id: MessageId
) -> tuple[Attachment, ...]:
    listed = connection.execute(
        """
        SELECT section, filename, content_type, size, content_id, disposition
          FROM attachment
         WHERE account_id = %s AND message_id = %s
         ORDER BY n
        """,
        [account_id, message_id],
    )
    return tuple(Attachment(*row) for row in listed)


def list_of_ids(
    connection: Connection[TupleRow], accounts: Sequence[AccountId], ids: Sequence[MessageId]
) -> list[Message]:
    """The messages with these ids in these accounts, in no order, without bodies."""
    cursor = connection.cursor(row_factory=dict_row)
    listed = cursor.execute(
        """
        SELECT message.*, placed.mailboxes, placed.flags
          FROM message CROSS JOIN placed(message.account_id, message.id)
         WHERE message.account_id = ANY (%s::uuid[]) AND message.id = ANY (%s)
        """,
        [list(accounts), list(ids)],
    )
    return [from_row(row) for row in listed]


def people(addresses: dict[str, list[list[str]]]) -> dict[str, Any]:
    """The people in the header fields, from what `message.addresses` holds."""
    return {name: tuple(Address(*person) for person in addresses.get(name, ())) for name in _PEOPLE}


def from_row(row: dict[str, Any]) -> Message:
    """A message out of the columns of `message` and `placed`, without its body."""
    return Message(
        id=row["id"],
        account_id=row["account_id"],
        headers=Headers(
            message_id=row["message_id"],
            in_reply_to=row["in_reply_to"],
            references=tuple(row["references"]),
            subject=row["subject"],
            date=row["date"],
            **people(row["addresses"]),
        ),
        internaldate=row["internaldate"],
        size=row["size"],
        direction=row["direction"],
        snippet=row["snippet"],
        mailboxes=tuple(row["mailboxes"]),
        flags=tuple(row["flags"]),
        has_attachments=row["has_attachments"],
        revision=row["revision"],
        problem=row["problem"],
        thread_id=row["thread_id"],
    )
