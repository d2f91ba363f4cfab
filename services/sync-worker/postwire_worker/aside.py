"""Messages set aside, tried again: at growing intervals by themselves, at once where asked for.

What is stored at last leaves the list; what fails again stays on it, with the new error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postwire.errors import MailboxNotFound
from postwire.model import Account, Batch, Mailbox, MailboxId, Stored
from postwire.store import mailboxes, messages, set_aside
from postwire.store.pool import Pool, transaction
from postwire_worker.fetch import FindKnown, fetch
from postwire_worker.imap import Session

#: Messages that one sync tries again at most; there is always a next one.
_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Mended:
    """Messages that were set aside, and are stored now."""

    batch: Batch
    stored: Stored


def retry(session: Session, pool: Pool, account: Account) -> Iterator[Mended]:
    """Try again what is due; each mailbox is a commit of its own."""
    with transaction(pool) as connection:
        due = set_aside.take_due(connection, account.id, _LIMIT)
        counted = mailboxes.list_of_account(connection, account.id) if due else []
    by_mailbox: defaultdict[MailboxId, list[int]] = defaultdict(list)
    for one in due:
        by_mailbox[one.mailbox_id].append(one.uid)
    for mailbox in (one.mailbox for one in counted if one.mailbox.id in by_mailbox):
        yield from _retry(session, pool, mailbox, sorted(by_mailbox[mailbox.id]))


def _retry(session: Session, pool: Pool, mailbox: Mailbox, uids: Sequence[int]) -> Iterator[Mended]:
    cursor = mailbox.cursor
    try:
        state = session.select(mailbox.name)
    except MailboxNotFound:
        return
    if cursor is None or state.uidvalidity != cursor.uidvalidity:
        return
    while uids:
        fetched = fetch(session, uids, _find_known(pool, mailbox))
        uids = uids[len(fetched.done) :]
        failed = {one.uid for one in fetched.set_aside}
        batch = Batch(mailbox, cursor, cursor, fetched.incoming)
        with transaction(pool) as connection:
            stored = messages.store(connection, batch) if batch.incoming else None
            set_aside.record(connection, mailbox.id, cursor.uidvalidity, fetched.set_aside)
            mended = set(fetched.done) - failed
            set_aside.remove(connection, mailbox.id, cursor.uidvalidity, mended)
        if stored:
            yield Mended(batch, stored)


def _find_known(pool: Pool, mailbox: Mailbox) -> FindKnown:
    def find_known(digests: Sequence[bytes]) -> set[bytes]:
        with transaction(pool) as connection:
            return messages.find_known(connection, mailbox.account_id, digests)

    return find_known
