"""Where messages lie, and with which flags: what changes after a message was stored.

Whatever changes here stamps the message with the account's new revision, and a message that lies
nowhere any more is marked as expunged, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from postwire.model import AccountId, Flagged, Mailbox, MailboxId, MessageId, Stored
from postwire.store import labels
from postwire.store.messages import raise_revision

#: Placements that one transaction takes away; the account's row is locked meanwhile.
PAGE = 5_000


def uids(connection: Connection[TupleRow], mailbox: Mailbox, after: int, limit: int) -> list[int]:
    """The next `limit` UIDs above `after` that are stored of the mailbox, lowest first."""
    found = connection.execute(
        """
        SELECT uid FROM placement
         WHERE account_id = %s AND mailbox_id = %s AND uidvalidity = %s AND uid > %s
         ORDER BY uid LIMIT %s
        """,
        [mailbox.account_id, mailbox.id, _uidvalidity(mailbox), after, limit],
    )
    return [uid for (uid,) in found]


def count(connection: Connection[TupleRow], mailbox: Mailbox) -> int:
    """How many messages are stored of the mailbox."""
    row = connection.execute(
        "SELECT count(*) FROM placement WHERE account_id = %s AND mailbox_id = %s",
        [mailbox.account_id, mailbox.id],
    ).fetchone()
    return int(row[0]) if row else 0


def sample(
    connection: Connection[TupleRow], mailbox: Mailbox, limit: int
) -> list[tuple[int, bytes]]:
    """UID and digest of the newest messages of the mailbox."""
    return connection.execute(
        """
        SELECT placement.uid, message.digest
          FROM placement
          JOIN message ON message.account_id = placement.account_id
                      AND message.id = placement.message_id
         WHERE placement.account_id = %s AND placement.mailbox_id = %s
         ORDER BY placement.uid DESC LIMIT %s
        """,
        [mailbox.account_id, mailbox.id, limit],
    ).fetchall()


def set_flags(
    connection: Connection[TupleRow], mailbox: Mailbox, said: Sequence[Flagged], *, force: bool
) -> Stored | None:
    """Take over flags as the server says them; None where all were so already.

    A modseq lower than the stored one comes from a slower worker and is passed over, unless
    `force` says that the server counts anew.
    """
    named = labels.of_mailbox(connection, mailbox)
    changed = _changed(connection, mailbox, said, named, force=force)
    if not changed:
        return None
    stored = _stored(connection, mailbox.account_id)
    by_uid = {one.uid: one for one in said}
    said_now = [
        {"uid": uid, "flags": by_uid[uid].flags, "modseq": by_uid[uid].modseq} for uid, _ in changed
    ]
    connection.execute(
        """
        UPDATE placement SET flags = said.flags, modseq = said.modseq
          FROM jsonb_to_recordset(%s) AS said (uid bigint, flags text[], modseq bigint)
         WHERE account_id = %s AND mailbox_id = ANY(%s) AND uidvalidity = %s
           AND placement.uid = said.uid
        """,
        [
            Jsonb(said_now),
            mailbox.account_id,
            [mailbox.id, *named.values()],
            _uidvalidity(mailbox),
        ],
    )
    if named and mailbox.cursor:
        told = [(message, by_uid[uid]) for uid, message in changed]
        uidvalidity = mailbox.cursor.uidvalidity
        labels.take_away(connection, mailbox, named, uidvalidity, [one for _, one in told])
        labels.add(connection, mailbox, uidvalidity, told)
    _stamp(connection, mailbox.account_id, {message for _, message in changed}, stored.revision)
    return stored


def differing(
    connection: Connection[TupleRow], mailbox: Mailbox, said: Sequence[Flagged]
) -> list[int]:
    """The UIDs that are stored with other flags, or labels, than the server says."""
    named = labels.of_mailbox(connection, mailbox)
    return [uid for uid, _ in _changed(connection, mailbox, said, named, force=True)]


def _changed(
    connection: Connection[TupleRow],
    mailbox: Mailbox,
    said: Sequence[Flagged],
    named: labels.Labels,
    *,
    force: bool,
) -> list[tuple[int, MessageId]]:
    # Compared as sets: servers name flags in any order. Read before anything is locked, so that
    # locks are always taken in one order, the account's row first.
    return connection.execute(
        """
        WITH said AS (
            SELECT (one ->> 0)::bigint AS uid, (one ->> 1)::bigint AS modseq,
                   ARRAY(SELECT jsonb_array_elements_text(one -> 2)) AS flags,
                   CASE WHEN one -> 3 <> 'null' THEN
                       ARRAY(SELECT jsonb_array_elements(one -> 3)::bigint) END AS labels
              FROM jsonb_array_elements(%(said)s) AS one)
        SELECT placement.uid, placement.message_id
          FROM said
          JOIN placement ON placement.account_id = %(account_id)s
                        AND placement.mailbox_id = %(mailbox_id)s
                        AND placement.uidvalidity = %(uidvalidity)s AND placement.uid = said.uid
         WHERE (NOT (placement.flags @> said.flags AND placement.flags <@ said.flags)
                OR said.labels <> ARRAY(
                    SELECT labelled.mailbox_id FROM placement AS labelled
                     WHERE labelled.account_id = %(account_id)s
                       AND labelled.message_id = placement.message_id
                       AND labelled.mailbox_id = ANY(%(labels)s)
                       AND labelled.uid = said.uid
                     ORDER BY labelled.mailbox_id))
           AND (%(force)s OR coalesce(said.modseq >= placement.modseq, true))
        """,
        {"said": Jsonb([[one.uid, one.modseq, list(one.flags), _labels(named, one)]
                        for one in said]),
         "labels": list(named.values()), "account_id": mailbox.account_id, "mailbox_id": mailbox.id,
         "uidvalidity": _uidvalidity(mailbox), "force": force},
    ).fetchall()  # fmt: skip


def _labels(named: labels.Labels, one: Flagged) -> list[MailboxId] | None:
    return labels.find(named, one.labels) if named and one.labels is not None else None


def expunge(
    connection: Connection[TupleRow], mailbox: Mailbox, gone: Sequence[int]
) -> Stored | None:
    """Remove the placements of UIDs the server does not have; None where they were gone already."""
    found = connection.execute(
        """
        SELECT uidvalidity, uid, message_id FROM placement
         WHERE account_id = %s AND mailbox_id = %s AND uidvalidity = %s AND uid = ANY(%s)
        """,
        [mailbox.account_id, mailbox.id, _uidvalidity(mailbox), list(gone)],
    ).fetchall()
    return _remove(connection, mailbox, found)


def empty(connection: Connection[TupleRow], mailbox: Mailbox) -> Stored | None:
    """Remove up to `PAGE` placements of a mailbox that is gone; None where it has none left."""
    found = connection.execute(
        """
        SELECT uidvalidity, uid, message_id FROM placement
         WHERE account_id = %s AND mailbox_id = %s
         LIMIT %s
        """,
        [mailbox.account_id, mailbox.id, PAGE],
    ).fetchall()
    return _remove(connection, mailbox, found)


def _remove(
    connection: Connection[TupleRow], mailbox: Mailbox, found: Sequence[tuple[int, int, MessageId]]
) -> Stored | None:
    if not found:
        return None
    stored = _stored(connection, mailbox.account_id)
    connection.execute(
        """
        DELETE FROM placement USING unnest(%s::bigint[], %s::bigint[]) AS gone (uidvalidity, uid)
         WHERE account_id = %s AND mailbox_id = ANY(%s)
           AND placement.uidvalidity = gone.uidvalidity AND placement.uid = gone.uid
        """,
        [
            [one[0] for one in found],
            [one[1] for one in found],
            mailbox.account_id,
            labels.with_labels(connection, mailbox),
        ],
    )
    _leave(connection, mailbox.account_id, {one[2] for one in found}, stored.revision)
    return stored


def touch(
    connection: Connection[TupleRow], mailbox: Mailbox, after: int
) -> tuple[int, Stored] | None:
    """Stamp the next `PAGE` messages above UID `after`, whose mailbox has a new name.

    Returns:
        the last UID that was stamped; None where there are no more.
    """
    found = connection.execute(
        """
        SELECT uid, message_id FROM placement
         WHERE account_id = %s AND mailbox_id = %s AND uid > %s
         ORDER BY uid LIMIT %s
        """,
        [mailbox.account_id, mailbox.id, after, PAGE],
    ).fetchall()
    if not found:
        return None
    stored = _stored(connection, mailbox.account_id)
    _stamp(connection, mailbox.account_id, {id_ for _, id_ in found}, stored.revision)
    return found[-1][0], stored


def expunge_homeless(connection: Connection[TupleRow], account_id: AccountId) -> Stored | None:
    """Mark up to `PAGE` messages that lie nowhere since UIDs were numbered anew; None: none."""
    found = connection.execute(
        """
        SELECT id FROM message
         WHERE account_id = %s AND expunged_at IS NULL
           AND NOT EXISTS (SELECT FROM placement
                            WHERE placement.account_id = message.account_id
                              AND placement.message_id = message.id)
         LIMIT %s
        """,
        [account_id, PAGE],
    ).fetchall()
    if not found:
        return None
    stored = _stored(connection, account_id)
    _leave(connection, account_id, {id_ for (id_,) in found}, stored.revision)
    return stored


def _leave(
    connection: Connection[TupleRow],
    account_id: AccountId,
    messages: Collection[MessageId],
    revision: int,
) -> None:
    connection.execute(
        """
        UPDATE message
           SET revision = %(revision)s,
               expunged_at = CASE WHEN EXISTS (
                   SELECT FROM placement
                    WHERE placement.account_id = message.account_id
                      AND placement.message_id = message.id) THEN NULL ELSE now() END
         WHERE account_id = %(account_id)s AND id = ANY(%(messages)s)
        """,
        {"account_id": account_id, "messages": list(messages), "revision": revision},
    )


def _stamp(
    connection: Connection[TupleRow],
    account_id: AccountId,
    messages: Collection[MessageId],
    revision: int,
) -> None:
    connection.execute(
        "UPDATE message SET revision = %s WHERE account_id = %s AND id = ANY(%s)",
        [revision, account_id, list(messages)],
    )


def _stored(connection: Connection[TupleRow], account_id: AccountId) -> Stored:
    epoch, revision, stored_at = raise_revision(connection, account_id)
    return Stored(epoch, revision, new=0, inbound=0, received_at=None, stored_at=stored_at)


def _uidvalidity(mailbox: Mailbox) -> int | None:
    return mailbox.cursor.uidvalidity if mailbox.cursor else None
