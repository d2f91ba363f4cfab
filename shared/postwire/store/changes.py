"""What has changed in an account since a revision: how a client that missed events catches up."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from postwire.errors import NotFound
from postwire.model import AccountId, Message, MessageId
from postwire.store import messages

#: Messages of a page where one revision holds more than was asked for; past that, load again.
MOST = 5_000


@dataclass(frozen=True, slots=True)
class Changes:
    """One page: everything of the revisions after `since` up to `revision`, and nothing else.

    `reset` means that this cannot be told, and that the client loads again; `epoch` and
    `revision` are then the account's, and there is nothing else.
    """

    epoch: int
    revision: int
    added: tuple[Message, ...] = ()
    changed: tuple[Message, ...] = ()
    expunged: tuple[MessageId, ...] = ()
    more: bool = False
    reset: bool = False


def since(
    connection: Connection[TupleRow],
    user_id: str,
    account_id: AccountId,
    *,
    revision: int,
    epoch: int,
    limit: int,
) -> Changes:
    """What has changed since `revision`, in one `pool.snapshot`; some `limit` messages.

    No revision is split: a page ends between two of them, and holds more than `limit` messages
    where a single one does.

    Raises:
        NotFound: there is no such account, or it is somebody else's.
    """
    now = _position(connection, user_id, account_id)
    reset = Changes(now.epoch, now.revision, reset=True)
    if epoch != now.epoch or revision > now.revision:
        return reset
    upto = _find_end(connection, account_id, revision, limit) or now.revision
    told = _told(connection, account_id, revision, upto)
    if len(told) > MOST:
        return reset
    there = [message for message, _, gone in told if not gone]
    added = {message.id for message, added, _ in told if added > revision}
    return Changes(
        epoch=now.epoch,
        revision=upto,
        added=tuple(message for message in there if message.id in added),
        changed=tuple(message for message in there if message.id not in added),
        expunged=tuple(message.id for message, _, gone in told if gone),
        more=upto < now.revision,
    )


def _position(connection: Connection[TupleRow], user_id: str, account_id: AccountId) -> Changes:
    row = connection.execute(
        "SELECT epoch, revision FROM account WHERE id = %s AND user_id = %s", [account_id, user_id]
    ).fetchone()
    if row is None:
        raise NotFound("There is no such account.")
    return Changes(*row)


def _find_end(
    connection: Connection[TupleRow], account_id: AccountId, revision: int, limit: int
) -> int | None:
    """The last revision of the page; None where all that is left fits into it."""
    first = connection.execute(
        """
        SELECT revision FROM message
         WHERE account_id = %s AND revision > %s
         ORDER BY revision
         LIMIT %s
        """,
        [account_id, revision, limit + 1],
    ).fetchall()
    if len(first) <= limit:
        return None
    revisions: list[int] = [one for (one,) in first]
    # The last one would be split; where it is the only one, it comes whole.
    return max((one for one in revisions if one < revisions[-1]), default=revisions[0])


def _told(
    connection: Connection[TupleRow], account_id: AccountId, after: int, upto: int
) -> list[tuple[Message, int, bool]]:
    """The messages of a page with their first revision, and whether they are gone."""
    cursor = connection.cursor(row_factory=dict_row)
    rows = cursor.execute(
        """
        SELECT changed.*, placed.mailboxes, placed.flags
          FROM (SELECT * FROM message
                 WHERE account_id = %s AND revision > %s AND revision <= %s
                 ORDER BY revision, id
                 LIMIT %s) AS changed
          CROSS JOIN placed(changed.account_id, changed.id)
         ORDER BY changed.revision, changed.id
        """,
        [account_id, after, upto, MOST + 1],
    ).fetchall()
    return [
        (messages.from_row(row), row["added_revision"], row["expunged_at"] is not None)
        for row in rows
    ]
