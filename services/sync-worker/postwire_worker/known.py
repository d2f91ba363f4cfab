"""When the server's ids of messages are asked for by themselves, before anything else.

They come with each structure anyway (RFC 8474, X-GM-EXT-1). Asking for them first is one more round
trip where the messages are new, and saves header block and structure where the account has them:
so it is done only where a message may be known. See docs/decisions/0008-server-ids-first.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from postwire.model import Mailbox
from postwire.store import messages
from postwire.store.pool import transaction
from postwire_worker.fetch import Recognise
from postwire_worker.listing import Run

#: Where mail first appears, INBOX aside (RFC 6154).
_BORN = ("\\All", "\\Drafts", "\\Sent")


def recogniser(run: Run, mailbox: Mailbox, uid: int) -> Recognise | None:
    """How messages from `uid` on are recognised by their ids; None where none is likely known."""
    if not _may_be_known(run, run.known[mailbox.id], uid):
        return None

    def recognise(server_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        with transaction(run.pool) as connection:
            return messages.recognise(connection, mailbox.account_id, server_ids)

    return recognise


def _may_be_known(run: Run, mailbox: Mailbox, uid: int) -> bool:
    if mailbox.cursor and uid >= mailbox.cursor.uidnext:
        born = mailbox.name.upper() == "INBOX" or mailbox.special_use in _BORN
        # What was moved into a mailbox is missed in another one, which has changed then, too.
        return run.may_move or not born
    others = (one for one in (*run.known.values(), *run.gone) if one.id != mailbox.id)
    return mailbox.homeless or any(_holds_some(one) for one in others)


def _holds_some(mailbox: Mailbox) -> bool:
    cursor = mailbox.cursor
    return cursor is not None and cursor.backfill_uid < cursor.uidnext and mailbox.messages != 0
