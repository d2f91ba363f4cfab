"""Messages set aside, tried again: at growing intervals by themselves, at once where asked for.

What is stored at last leaves the list; what fails again stays on it, with the new error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from postwire.errors import MailboxNotFound
from postwire.model import Batch, Cursor, Mailbox
from postwire.store import mailboxes, messages, set_aside
from postwire.store.pool import transaction
from postwire.store.set_aside import Due
from postwire_worker.fetch import fetch
from postwire_worker.listing import NEWS, Committed, Run

#: Messages that one sync tries again at most; there is always a next one.
_LIMIT = 100


def retry(run: Run) -> Iterator[Committed]:
    """Try again what is due, one at a time: one that breaks the connection takes no other along."""
    opened: Mailbox | None = None
    for _ in range(_LIMIT):
        due = _take_due(run)
        if due is None:
            return
        if opened is None or opened.id != due.mailbox_id:
            opened = _open(run, due)
        if opened and opened.cursor:
            yield from _retry(run, opened, opened.cursor, due.uid)


def _take_due(run: Run) -> Due | None:
    with transaction(run.pool) as connection:
        return set_aside.take_due(connection, run.account.id)


def _open(run: Run, due: Due) -> Mailbox | None:
    """The mailbox of what is due; None where its UIDs mean nothing any more."""
    with transaction(run.pool) as connection:
        known = mailboxes.list_all(connection, run.account.id)
    mailbox = next((one for one in known if one.id == due.mailbox_id), None)
    if mailbox is None or mailbox.cursor is None:
        return None
    try:
        state = run.session.select(mailbox.name)
    except MailboxNotFound:
        return None
    return mailbox if state.uidvalidity == mailbox.cursor.uidvalidity else None


def _retry(run: Run, mailbox: Mailbox, cursor: Cursor, uid: int) -> Iterator[Committed]:
    fetched = fetch(run.session, [uid], run.find_known)
    batch = Batch(mailbox, cursor, cursor, fetched.incoming)
    with transaction(run.pool) as connection:
        stored = messages.store(connection, batch) if batch.incoming else None
        set_aside.record(connection, mailbox.id, cursor.uidvalidity, fetched.set_aside)
        if not fetched.set_aside:
            set_aside.remove(connection, mailbox.id, cursor.uidvalidity, uid)
    if stored:
        since = datetime.now(UTC) - NEWS
        recent = any(incoming.internaldate > since for incoming in batch.incoming)
        yield Committed("new" if recent else "backfill", batch, stored)
