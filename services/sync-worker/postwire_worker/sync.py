"""One sync of an account: which mailboxes, which UIDs, in which batches.

It knows nothing of Dramatiq or Redis. `sync` yields after each commit; the caller tells the
world, and may stop between any two batches: what is committed stays, and the cursors say where
to go on. No transaction is open while the network is waited for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, TypeAlias

from postwire.errors import CursorMoved, MailboxNotFound, TransientError
from postwire.model import Account, Batch, Cursor, Mailbox, Stored
from postwire.store import mailboxes, messages
from postwire.store.pool import Pool, transaction
from postwire_worker import aside
from postwire_worker.answers import Listed, State
from postwire_worker.fetch import Fetched, fetch
from postwire_worker.imap import SEARCH_LIMIT, Session, today

#: Messages of one batch at most; `fetch.BATCH_BYTES` bounds their bytes.
BATCH = 100

_SENT = "\\Sent"
#: Where a server names no special use (RFC 6154), it is known by one of these names.
_SENT_NAMES = ("sent", "sent mail", "sent items", "sent messages")

Kind: TypeAlias = Literal["new", "backfill", "reset"]


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed change: new mail, mail of before (`backfill`), or a mailbox begun anew."""

    kind: Kind
    batch: Batch
    stored: Stored


def sync(session: Session, pool: Pool, account: Account) -> Iterator[Committed]:
    """Bring the account up to date: new mail of all its mailboxes first, then older mail."""
    for mended in aside.retry(session, pool, account):
        yield Committed("backfill", mended.batch, mended.stored)
    unfilled = []
    for mailbox in _mailboxes(session, pool, account):
        status = session.status(mailbox.name)
        if status is None or not _up_to_date(mailbox.cursor, status):
            state = session.select(mailbox.name)
            begun = yield from _begin(pool, mailbox, state)
            unfilled.append((yield from _forward(session, pool, begun, state)))
    for mailbox in unfilled:
        yield from _backfill(session, pool, mailbox, _since(account))


def _up_to_date(cursor: Cursor | None, status: State) -> bool:
    return cursor == Cursor(status.uidvalidity, status.uidnext, backfill_uid=0)


def _mailboxes(session: Session, pool: Pool, account: Account) -> list[Mailbox]:
    listed = session.list_mailboxes()
    inbox = next((one for one in listed if one.name.upper() == "INBOX"), None)
    if inbox is None:
        raise MailboxNotFound("The mail server has no INBOX for this user.")
    sent = _find_sent(listed)
    with transaction(pool) as connection:
        kept = [mailboxes.keep(connection, account.id, inbox.name, inbox.delimiter, None)]
        if sent:
            kept += [mailboxes.keep(connection, account.id, sent.name, sent.delimiter, _SENT)]
    return kept


def _find_sent(listed: Sequence[Listed]) -> Listed | None:
    by_use = [one for one in listed if _SENT.lower() in one.attributes]
    by_name = [one for one in listed if _leaf_name(one) in _SENT_NAMES]
    return next(iter(by_use + by_name), None)


def _leaf_name(listed: Listed) -> str:
    name = listed.name.rsplit(listed.delimiter, 1)[-1] if listed.delimiter else listed.name
    return name.lower()


def _begin(pool: Pool, mailbox: Mailbox, state: State) -> Generator[Committed, None, Mailbox]:
    """Give the mailbox a cursor where it has none, or where its UIDs mean nothing any more."""
    before = mailbox.cursor
    if before and before.uidvalidity == state.uidvalidity and before.uidnext <= state.uidnext:
        return mailbox
    after = Cursor(state.uidvalidity, state.uidnext, backfill_uid=state.uidnext)
    with transaction(pool) as connection:
        mailboxes.start(connection, mailbox, after)
        stored = messages.begin_again(connection, mailbox.account_id) if before else None
    begun = replace(mailbox, cursor=after)
    if stored:
        yield Committed("reset", Batch(begun, after, after), stored)
    return begun


def _forward(
    session: Session, pool: Pool, mailbox: Mailbox, state: State
) -> Generator[Committed, None, Mailbox]:
    """Store what arrived since the cursor, oldest first: the cursor can only grow."""
    cursor = _cursor(mailbox)
    for first, last in _ranges(cursor.uidnext, state.uidnext - 1):
        uids = session.uid_search(first, last)
        while uids:
            fetched = _fetch(session, pool, mailbox, uids[:BATCH])
            uids = uids[len(fetched.done) :]
            upto = fetched.done[-1] + 1 if uids else last + 1
            after = replace(cursor, uidnext=upto)
            cursor = yield from _store(pool, mailbox, cursor, after, fetched)
        cursor = _skip(pool, mailbox, cursor, replace(cursor, uidnext=last + 1))
    return replace(mailbox, cursor=cursor)


def _backfill(
    session: Session, pool: Pool, mailbox: Mailbox, since: date | None
) -> Iterator[Committed]:
    """Store what was there before, newest first, so that the inbox is useful within seconds."""
    cursor = _cursor(mailbox)
    if not cursor.backfill_uid:
        return
    if session.select(mailbox.name).uidvalidity != cursor.uidvalidity:
        # Not at once: there are servers that do so at each SELECT.
        raise TransientError("The mail server renumbers its messages while they are read.")
    for first, last in reversed(_ranges(1, cursor.backfill_uid - 1)):
        downto = first if first > 1 else 0
        uids = session.uid_search(first, last, since)[::-1]
        while uids:
            fetched = _fetch(session, pool, mailbox, uids[:BATCH])
            uids = uids[len(fetched.done) :]
            after = replace(cursor, backfill_uid=fetched.done[-1] if uids else downto)
            cursor = yield from _store(pool, mailbox, cursor, after, fetched)
        cursor = _skip(pool, mailbox, cursor, replace(cursor, backfill_uid=downto))
    _skip(pool, mailbox, cursor, replace(cursor, backfill_uid=0))


def _ranges(first: int, last: int) -> list[tuple[int, int]]:
    """`first` to `last` in ranges that one SEARCH can answer, lowest first."""
    starts = range(first, last + 1, SEARCH_LIMIT)
    return [(start, min(start + SEARCH_LIMIT - 1, last)) for start in starts]


def _fetch(session: Session, pool: Pool, mailbox: Mailbox, uids: Sequence[int]) -> Fetched:
    def find_known(digests: Sequence[bytes]) -> set[bytes]:
        with transaction(pool) as connection:
            return messages.find_known(connection, mailbox.account_id, digests)

    return fetch(session, uids, find_known)


def _store(
    pool: Pool, mailbox: Mailbox, before: Cursor, after: Cursor, fetched: Fetched
) -> Generator[Committed, None, Cursor]:
    batch = Batch(mailbox, before, after, fetched.incoming, fetched.set_aside)
    with transaction(pool) as connection:
        stored = messages.store(connection, batch)
    kind: Kind = "new" if after.uidnext > before.uidnext else "backfill"
    yield Committed(kind, batch, stored)
    return after


def _skip(pool: Pool, mailbox: Mailbox, before: Cursor, after: Cursor) -> Cursor:
    if before == after:
        return before
    with transaction(pool) as connection:
        mailboxes.move_cursor(connection, mailbox.id, before, after)
    return after


def _cursor(mailbox: Mailbox) -> Cursor:
    if mailbox.cursor is None:
        raise CursorMoved
    return mailbox.cursor


def _since(account: Account) -> date | None:
    return today() - timedelta(days=account.window_days) if account.window_days else None
