"""Messages set aside, tried again: at growing intervals by themselves, at once where asked for.

What is stored at last leaves the list; what fails again stays on it, with the new error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from postwire.errors import MailboxNotFound
from postwire.model import Account, Batch, Cursor, Mailbox, Stored
from postwire.store import mailboxes, messages, set_aside
from postwire.store.pool import Pool, transaction
from postwire.store.set_aside import Due
from postwire_worker.fetch import fetch
from postwire_worker.imap import Session

#: Messages that one sync tries again at most; there is always a next one.
_LIMIT = 100
#: How long mail that was set aside is news when it is stored at last.
_RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Mended:
    """A message that was set aside, and is stored now."""

    batch: Batch
    stored: Stored

    @property
    def recent(self) -> bool:
        """Whether it came so recently that nobody has looked for it in vain for long."""
        since = datetime.now(UTC) - _RECENT
        return any(incoming.internaldate > since for incoming in self.batch.incoming)


def retry(session: Session, pool: Pool, account: Account) -> Iterator[Mended]:
    """Try again what is due, one at a time: one that breaks the connection takes no other along."""
    opened: Mailbox | None = None
    for _ in range(_LIMIT):
        due = _take_due(pool, account)
        if due is None:
            return
        if opened is None or opened.id != due.mailbox_id:
            opened = _open(session, pool, account, due)
        if opened and opened.cursor:
            yield from _retry(session, pool, opened, opened.cursor, due.uid)


def _take_due(pool: Pool, account: Account) -> Due | None:
    with transaction(pool) as connection:
        return set_aside.take_due(connection, account.id)


def _open(session: Session, pool: Pool, account: Account, due: Due) -> Mailbox | None:
    """The mailbox of what is due; None where its UIDs mean nothing any more."""
    with transaction(pool) as connection:
        known = mailboxes.list_all(connection, account.id)
    mailbox = next((one for one in known if one.id == due.mailbox_id), None)
    if mailbox is None or mailbox.cursor is None:
        return None
    try:
        state = session.select(mailbox.name)
    except MailboxNotFound:
        return None
    return mailbox if state.uidvalidity == mailbox.cursor.uidvalidity else None


def _retry(
    session: Session, pool: Pool, mailbox: Mailbox, cursor: Cursor, uid: int
) -> Iterator[Mended]:
    def find_known(digests: Sequence[bytes]) -> set[bytes]:
        with transaction(pool) as connection:
            return messages.find_known(connection, mailbox.account_id, digests)

    fetched = fetch(session, [uid], find_known)
    batch = Batch(mailbox, cursor, cursor, fetched.incoming)
    with transaction(pool) as connection:
        stored = messages.store(connection, batch) if batch.incoming else None
        set_aside.record(connection, mailbox.id, cursor.uidvalidity, fetched.set_aside)
        if not fetched.set_aside:
            set_aside.remove(connection, mailbox.id, cursor.uidvalidity, uid)
    if stored:
        yield Mended(batch, stored)
