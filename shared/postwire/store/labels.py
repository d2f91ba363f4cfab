"""Labels: mailboxes that are never opened, for another one tells what lies in them.

So it is with Gmail: every message lies in All Mail, and says by X-GM-LABELS in which mailboxes
it is shown besides. A placement of a label carries the UID and UIDVALIDITY of All Mail, and goes
when the message leaves it. A label is named by the special use of its mailbox, else by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from postwire.model import AccountId, Flagged, Incoming, Mailbox, MailboxId, MessageId

#: The mailboxes that are labels of one other, by what they are named in `Incoming.labels`.
Labels: TypeAlias = Mapping[str, MailboxId]


def of_mailbox(connection: Connection[TupleRow], mailbox: Mailbox) -> Labels:
    """The labels of the mailbox; only one that holds all mail has any."""
    if mailbox.special_use != "\\All":
        return {}
    found = connection.execute(
        "SELECT id, name, special_use FROM mailbox WHERE account_id = %s AND label_of = %s",
        [mailbox.account_id, mailbox.id],
    ).fetchall()
    by_use = {use: id_ for id_, _, use in found if use}
    return by_use | {"INBOX" if name.upper() == "INBOX" else name: id_ for id_, name, _ in found}


def with_labels(connection: Connection[TupleRow], mailbox: Mailbox) -> list[MailboxId]:
    """The mailbox and its labels: what is true of a UID in the one is true in the others."""
    return sorted({mailbox.id, *of_mailbox(connection, mailbox).values()})


def find(labels: Labels, named: Iterable[str]) -> list[MailboxId]:
    """Those of the labels that are named, lowest id first; the others are not wanted."""
    return sorted({labels[name] for name in named if name in labels})


def add(
    connection: Connection[TupleRow],
    mailbox: Mailbox,
    uidvalidity: int,
    added: Sequence[tuple[MessageId, Incoming | Flagged]],
) -> None:
    """Place each message in the labels it names, under its UID in `mailbox`."""
    _insert(connection, mailbox.account_id, uidvalidity, _labelled(connection, mailbox, added))


def place(
    connection: Connection[TupleRow],
    mailbox: Mailbox,
    uidvalidity: int,
    added: Sequence[tuple[MessageId, Incoming]],
) -> None:
    """Place each message in the mailbox, and in the labels it names."""
    here = [(mailbox.id, id_, one) for id_, one in added]
    there = _labelled(connection, mailbox, added)
    _insert(connection, mailbox.account_id, uidvalidity, [*here, *there])


def _labelled(
    connection: Connection[TupleRow],
    mailbox: Mailbox,
    added: Sequence[tuple[MessageId, Incoming | Flagged]],
) -> list[tuple[MailboxId, MessageId, Incoming | Flagged]]:
    labels = of_mailbox(connection, mailbox) if any(one.labels for _, one in added) else {}
    return [(label, id_, one) for id_, one in added for label in find(labels, one.labels or ())]


def _insert(
    connection: Connection[TupleRow],
    account_id: AccountId,
    uidvalidity: int,
    places: Sequence[tuple[MailboxId, MessageId, Incoming | Flagged]],
) -> None:
    if not places:
        return
    # One statement for all: what it triggers costs as much for one placement as for a hundred.
    connection.execute(
        """
        INSERT INTO placement (account_id, mailbox_id, uidvalidity, uid, message_id, flags, modseq)
        SELECT %s, mailbox, %s, uid, message, flags, modseq
          FROM jsonb_to_recordset(%s)
            AS placed (mailbox bigint, message bigint, uid bigint, flags text[], modseq bigint)
        ON CONFLICT DO NOTHING
        """,
        [
            account_id,
            uidvalidity,
            Jsonb(
                [
                    {
                        "mailbox": mailbox,
                        "message": id_,
                        "uid": one.uid,
                        "flags": one.flags,
                        "modseq": one.modseq,
                    }
                    for mailbox, id_, one in places
                ]
            ),
        ],
    )


def take_away(
    connection: Connection[TupleRow],
    mailbox: Mailbox,
    labels: Labels,
    uidvalidity: int,
    told: Iterable[Flagged],
) -> None:
    """Take each message out of the labels it does not name any more."""
    gone = [
        (label, one.uid)
        for one in told
        if one.labels is not None
        for label in set(labels.values()) - set(find(labels, one.labels))
    ]
    connection.execute(
        """
        DELETE FROM placement USING unnest(%s::bigint[], %s::bigint[]) AS gone (label, uid)
         WHERE account_id = %s AND uidvalidity = %s
           AND placement.mailbox_id = gone.label AND placement.uid = gone.uid
        """,
        [
            [label for label, _ in gone],
            [uid for _, uid in gone],
            mailbox.account_id,
            uidvalidity,
        ],
    )
