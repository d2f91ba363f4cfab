"""The bytes of attachments: asked for, fetched once, kept once an account, read in chunks.

Who asks writes a request; a worker claims it, writes chunk after chunk, and ends it by giving the
content its hash. Attachments with the same bytes share one content. A request that nobody does is
found by the sweep, as a job is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.errors import NotFound, NotReady
from postwire.model import AccountId, AccountState, MessageId
from postwire.store import rows
from postwire.store.jobs import ATTEMPTS, HOLD, STRANDED

#: Bytes of each chunk but the last.
CHUNK = 512 * 1024
#: Seconds in which a failure is answered again, and not tried again: nobody logs in at each click.
FRESH = 5
#: Open requests of one account; more would keep the workers from everyone else.
OPEN = 20
#: What whoever waits is told when worker after worker has died.
_GIVEN_UP = (
    f"{ATTEMPTS} times something ended the fetching of this attachment before it was done; "
    "it is not tried again for an hour."
)

#: `gone`: the message is not on the server any more; `too_large`: beyond the limit; `refused`:
#: somebody has to do something first; `transient`: trying again may help.
Failure: TypeAlias = Literal["gone", "too_large", "refused", "transient"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attachment as somebody asks for it."""

    account_id: AccountId
    message_id: MessageId
    n: int
    filename: str | None
    content_type: str
    account_state: AccountState


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are kept; `hash` is their SHA-256."""

    account_id: AccountId
    id: int
    hash: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no content, in words."""

    failure: Failure
    error: str


@dataclass(frozen=True, slots=True)
class Request:
    """An attachment that a worker is to fetch."""

    account_id: AccountId
    message_id: MessageId
    n: int
    section: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a content: all but the last have `CHUNK` bytes; `n` counts from 0."""

    content_id: int
    n: int
    bytes: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy of a message lies on the server."""

    mailbox: str
    uidvalidity: int
    uid: int


def get_wanted(
    connection: Connection[TupleRow], user_id: str, message_id: MessageId, n: int
) -> Wanted:
    """One attachment, reached through its owner.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    cursor = connection.cursor(row_factory=rows.of(Wanted))
    found = cursor.execute(
        """
        SELECT attachment.*, account.state AS account_state
          FROM account
          JOIN message ON message.account_id = account.id AND message.id = %(id)s
          JOIN attachment ON attachment.account_id = message.account_id
                         AND attachment.message_id = message.id AND attachment.n = %(n)s
         WHERE account.user_id = %(user_id)s AND message.expunged_at IS NULL
        """,
        {"user_id": user_id, "id": message_id, "n": n},
    ).fetchone()
    if found is None:
        raise NotFound("There is no such attachment.")
    return found


def ask(connection: Connection[TupleRow], wanted: Wanted) -> None:
    """Have it fetched, unless it is being fetched, failed a moment ago, or was given up.

    Raises:
        NotReady: too many attachments of the account are being fetched.
    """
    _check_room(connection, wanted.account_id)
    connection.execute(
        """
        INSERT INTO attachment_request AS request (account_id, message_id, n) VALUES (%s, %s, %s)
        ON CONFLICT (account_id, message_id, n) DO UPDATE
           SET state = 'waiting', failure = NULL, error = NULL, failed_at = NULL, asked_at = now()
         WHERE request.failed_at < now() - make_interval(secs => %s) AND request.attempts < %s
        """,
        [wanted.account_id, wanted.message_id, wanted.n, FRESH, ATTEMPTS],
    )


def _check_room(connection: Connection[TupleRow], account_id: AccountId) -> None:
    row = connection.execute(
        "SELECT count(*) FROM attachment_request WHERE account_id = %s AND state <> 'failed'",
        [account_id],
    ).fetchone()
    if row and row[0] >= OPEN:
        raise NotReady("Many attachments of this account are being fetched; try again shortly.")


def find(connection: Connection[TupleRow], wanted: Wanted) -> Content | Failed | None:
    """The content, or why there is none; None while it is being fetched, or was not asked for."""
    row = connection.execute(
        """
        SELECT content.id, content.hash, content.size, request.failure, request.error
          FROM attachment
          LEFT JOIN content ON content.account_id = attachment.account_id
                           AND content.hash = attachment.hash
          LEFT JOIN attachment_request AS request
                 ON (request.account_id, request.message_id, request.n)
                  = (attachment.account_id, attachment.message_id, attachment.n)
         WHERE attachment.account_id = %s AND attachment.message_id = %s AND attachment.n = %s
        """,
        [wanted.account_id, wanted.message_id, wanted.n],
    ).fetchone()
    if row is None:
        return Failed("gone", "The message was removed.")
    id_, hash_, size, failure, error = row
    if hash_ is not None:
        return Content(wanted.account_id, id_, hash_, size)
    return Failed(failure, error) if failure else None


def read_chunk(connection: Connection[TupleRow], content: Content, n: int) -> bytes:
    """The chunk `n`, from 0.

    Raises:
        NotFound: it was removed meanwhile.
    """
    row = connection.execute(
        "SELECT bytes FROM content_chunk WHERE account_id = %s AND content_id = %s AND n = %s",
        [content.account_id, content.id, n],
        binary=True,
    ).fetchone()
    if row is None:
        raise NotFound("The attachment was removed.")
    return bytes(row[0])


def find_small(
    connection: Connection[TupleRow],
    account_id: AccountId,
    message_id: MessageId,
    content_types: Sequence[str],
    *,
    each: int,
    total: int,
) -> dict[int, bytes]:
    """What is kept of a message's attachments of these types, by `n`.

    Only those of at most `each` bytes, and from the first on only as many as are `total` together.
    """
    found = connection.execute(
        """
        SELECT small.n, chunk.bytes
          FROM (SELECT attachment.n, content.account_id, content.id,
                       sum(content.size) OVER (ORDER BY attachment.n) AS so_far
                  FROM attachment
                  JOIN content ON content.account_id = attachment.account_id
                              AND content.hash = attachment.hash
                 WHERE attachment.account_id = %(account_id)s AND attachment.message_id = %(id)s
                   AND attachment.content_type = ANY(%(types)s) AND content.size <= %(each)s
                   AND attachment.content_id IS NOT NULL) AS small
          JOIN content_chunk AS chunk ON chunk.account_id = small.account_id
                                     AND chunk.content_id = small.id AND chunk.n = 0
         WHERE so_far <= %(total)s
        """,
        {"account_id": account_id, "id": message_id, "types": list(content_types),
         "each": min(each, CHUNK), "total": total},
        binary=True,
    )  # fmt: skip
    return {n: bytes(content) for n, content in found}


def claim(connection: Connection[TupleRow], account_id: AccountId, holder: str) -> Request | None:
    """The account's oldest request that waits, now `holder`'s; None where there is none."""
    cursor = connection.cursor(row_factory=rows.of(Request))
    return cursor.execute(
        """
        UPDATE attachment_request AS request
           SET state = 'active', attempts = request.attempts + 1, holder = %(holder)s,
               held_until = now() + make_interval(secs => %(hold)s)
          FROM attachment
          JOIN message ON message.account_id = attachment.account_id
                      AND message.id = attachment.message_id
         WHERE (request.account_id, request.message_id, request.n) IN (
                SELECT account_id, message_id, n
                  FROM attachment_request
                 WHERE account_id = %(account_id)s AND state = 'waiting'
                 ORDER BY asked_at
                 LIMIT 1
                   FOR UPDATE SKIP LOCKED)
           AND (attachment.account_id, attachment.message_id, attachment.n)
             = (request.account_id, request.message_id, request.n)
        RETURNING attachment.account_id, attachment.message_id, attachment.n, attachment.section,
                  message.digest
        """,
        {"account_id": account_id, "holder": holder, "hold": HOLD},
    ).fetchone()


def hold(connection: Connection[TupleRow], holders: Sequence[str]) -> set[str]:
    """`holders` live: what they have stays their own for another `HOLD` seconds.

    Returns:
        those that have a request.
    """
    held = connection.execute(
        """
        UPDATE attachment_request SET held_until = now() + make_interval(secs => %s)
         WHERE holder = ANY(%s)
        RETURNING holder
        """,
        [HOLD, list(holders)],
    )
    return {holder for (holder,) in held}


def let_go(connection: Connection[TupleRow], holder: str) -> list[AccountId]:
    """What `holder` fetches waits again, for it is about to end; whose attachments these are."""
    freed = connection.execute(
        """
        UPDATE attachment_request
           SET state = 'waiting', attempts = attempts - 1, holder = NULL, held_until = NULL
         WHERE holder = %s
        RETURNING account_id
        """,
        [holder],
    )
    return [AccountId(id_) for (id_,) in freed]


def give_up(connection: Connection[TupleRow], limit: int) -> int:
    """Fail requests whose last attempt died; how many there were."""
    failed = connection.execute(
        """
        UPDATE attachment_request
           SET state = 'failed', failure = 'transient', error = %s, failed_at = now(),
               holder = NULL, held_until = NULL
         WHERE (account_id, message_id, n) IN (
               SELECT account_id, message_id, n
                 FROM attachment_request
                WHERE held_until NOT BETWEEN now() AND now() + interval '1 minute'
                  AND attempts >= %s
                LIMIT %s
                  FOR UPDATE SKIP LOCKED)
        """,
        [_GIVEN_UP, ATTEMPTS, limit],
    )
    return failed.rowcount


def sweep(connection: Connection[TupleRow], limit: int) -> list[AccountId]:
    """Whose requests were lost on the way, or with their worker: one account for each of them.

    Each waits now, and is left in peace for a while.
    """
    swept = connection.execute(
        """
        UPDATE attachment_request
           SET state = 'waiting', swept_at = now(), holder = NULL, held_until = NULL
         WHERE (account_id, message_id, n) IN (
               SELECT account_id, message_id, n
                 FROM attachment_request
                WHERE state = 'waiting'
                      AND greatest(asked_at, swept_at) < now() - make_interval(secs => %s)
                   OR held_until NOT BETWEEN now() AND now() + interval '1 minute'
                      AND attempts < %s
                ORDER BY asked_at
                LIMIT %s
                  FOR UPDATE SKIP LOCKED)
        RETURNING account_id
        """,
        [STRANDED, ATTEMPTS, limit],
    )
    return [AccountId(id_) for (id_,) in swept]


def is_waited_for(connection: Connection[TupleRow], account_id: AccountId) -> bool:
    """Whether the account has a request that waits."""
    row = connection.execute(
        """
        SELECT EXISTS (SELECT FROM attachment_request
                        WHERE account_id = %s AND state = 'waiting')
        """,
        [account_id],
    ).fetchone()
    return bool(row and row[0])


def places(connection: Connection[TupleRow], request: Request) -> list[Place]:
    """Where copies of the message lie that can be opened, INBOX first; ten are enough to try."""
    cursor = connection.cursor(row_factory=rows.of(Place))
    return cursor.execute(
        """
        SELECT mailbox.name AS mailbox, placement.uidvalidity, placement.uid
          FROM placement
          JOIN mailbox ON mailbox.id = placement.mailbox_id
         WHERE placement.account_id = %s AND placement.message_id = %s
           AND mailbox.label_of IS NULL
         ORDER BY upper(mailbox.name) <> 'INBOX', mailbox.name, placement.uid
         LIMIT 10
        """,
        [request.account_id, request.message_id],
    ).fetchall()


def begin(connection: Connection[TupleRow], account_id: AccountId) -> int:
    """The id of a content that chunks are added to."""
    row = connection.execute(
        "INSERT INTO content (account_id) VALUES (%s) RETURNING id", [account_id]
    ).fetchone()
    assert row is not None, "an insert returns its row"  # noqa: S101
    return int(row[0])


def add_chunk(
    connection: Connection[TupleRow], request: Request, holder: str, chunk: Chunk
) -> bool:
    """Add the chunk, which proves that `holder` lives; False where it lost the request."""
    held = connection.execute(
        """
        UPDATE attachment_request SET held_until = now() + make_interval(secs => %s)
         WHERE account_id = %s AND message_id = %s AND n = %s AND holder = %s
        """,
        [HOLD, request.account_id, request.message_id, request.n, holder],
    )
    if not held.rowcount:
        return False
    connection.execute(
        "INSERT INTO content_chunk (account_id, content_id, n, bytes) VALUES (%s, %s, %s, %b)",
        [request.account_id, chunk.content_id, chunk.n, chunk.bytes],
    )
    return True


def complete(
    connection: Connection[TupleRow], request: Request, content_id: int, hash_: bytes, size: int
) -> bool:
    """The content is whole, and the attachment has it; False where the same bytes were kept."""
    connection.execute(
        # Two that end at once with the same bytes: the row lock lets one wait for the other.
        "SELECT FROM account WHERE id = %s FOR NO KEY UPDATE",
        [request.account_id],
    )
    kept = connection.execute(
        """
        UPDATE content SET hash = %(hash)s, size = %(size)s
         WHERE account_id = %(account_id)s AND id = %(id)s
           AND NOT EXISTS (SELECT FROM content WHERE account_id = %(account_id)s
                                                 AND hash = %(hash)s)
        """,
        {"account_id": request.account_id, "id": content_id, "hash": hash_, "size": size},
    )
    if not kept.rowcount:
        drop(connection, request.account_id, content_id)
    connection.execute(
        "UPDATE attachment SET hash = %s WHERE account_id = %s AND message_id = %s AND n = %s",
        [hash_, request.account_id, request.message_id, request.n],
    )
    connection.execute(
        "DELETE FROM attachment_request WHERE account_id = %s AND message_id = %s AND n = %s",
        [request.account_id, request.message_id, request.n],
    )
    return bool(kept.rowcount)


def drop(connection: Connection[TupleRow], account_id: AccountId, content_id: int) -> None:
    """Remove content that did not become whole, or that there is already."""
    connection.execute(
        "DELETE FROM content WHERE account_id = %s AND id = %s AND hash IS NULL",
        [account_id, content_id],
    )


def fail(
    connection: Connection[TupleRow],
    request: Request,
    holder: str,
    failure: Failure,
    error: str,
) -> None:
    """The request came to nothing; whoever waits is told why."""
    connection.execute(
        """
        UPDATE attachment_request
           SET state = 'failed', failure = %s, error = %s, failed_at = now(), attempts = 0,
               holder = NULL, held_until = NULL
         WHERE account_id = %s AND message_id = %s AND n = %s AND holder = %s
        """,
        [failure, error, request.account_id, request.message_id, request.n, holder],
    )
