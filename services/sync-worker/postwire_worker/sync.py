"""One sync of an account: which mailboxes, which UIDs, in which batches, in which order.

It knows nothing of Dramatiq or Redis. `sync` yields after each commit; the caller tells the
world, and may stop between any two batches: what is committed stays, and the rows of the mailboxes
say where to go on. No transaction is open while the network is waited for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from postwire.errors import CursorMoved
from postwire.metrics import UIDVALIDITY_CHANGES
from postwire.model import Account, Batch, Cursor, Incoming, Mailbox
from postwire.store import mailboxes, messages, placements
from postwire.store.pool import Pool, transaction
from postwire_worker import aside, changes, known, listing, stumble
from postwire_worker.answers import State
from postwire_worker.fetch import BATCH_BYTES, Fetched, fetch
from postwire_worker.imap import SEARCH_LIMIT, Session, today
from postwire_worker.listing import Committed, Kind, Run

#: Messages of one batch at most; `fetch.BATCH_BYTES` bounds their bytes.
BATCH = 100
#: Changes of UIDVALIDITY in a row after which a mailbox is left alone for a day.
MOST_RESETS = 5

_ANEW = "The mail server numbers this mailbox anew each time; it is tried again once a day."


@dataclass(frozen=True, slots=True)
class _Opened:
    """A mailbox that may have changed: as it was read, where it stood, and whether begun anew."""

    before: Mailbox
    state: State
    last: int
    reset: bool


def sync(session: Session, pool: Pool, account: Account) -> Iterator[Committed]:
    """Bring the account up to date: new mail of all mailboxes, flags, older mail, expunged mail."""
    run = Run(session, pool, account)
    yield from aside.retry(run)
    yield from listing.look(run)
    opened = []
    changed = listing.changed(run)
    run.may_move = len(changed) > 1
    for mailbox in changed:
        opened += yield from _arrived(run, mailbox)
    for one in opened:
        yield from changes.take_flags(run, one.before, one.state, one.last)
    yield from _backfill_all(run)
    for one in opened:
        yield from changes.take_expunged(run, one.before, one.state, lambda: _arrived_since(run))
        changes.finish(run, one.before, one.state, reset=one.reset)
    if run.gone:
        yield from _arrived_since(run)
    yield from changes.remove_gone(run)
    yield from changes.take_homeless(run)


def _arrived(run: Run, mailbox: Mailbox) -> Generator[Committed, None, list[_Opened]]:
    """Open the mailbox and store its new mail; none where it cannot be opened or is parked."""
    state = run.examine(mailbox)
    if state is None:
        return []
    begun = yield from _begin(run, mailbox, state)
    if begun.resets > MOST_RESETS and begun is not mailbox:
        run.park(begun, _ANEW)
        return []
    last = _cursor(begun).uidnext - 1
    yield from _forward(run, begun, state)
    reset = begun is not mailbox and mailbox.cursor is not None
    return [_Opened(begun, state, last, reset)]


def _arrived_since(run: Run) -> Iterator[Committed]:
    """Store what arrived in any mailbox since this run looked at it.

    Raises:
        CursorMoved: there are other mailboxes by now; the sync has to begin anew.
    """
    run.may_move = True
    by_name = {mailbox.name: mailbox for mailbox in run.known.values()}
    for wanted in listing.ask(run):
        mailbox, state = by_name.pop(wanted.listed.name, None), wanted.listed.state
        if mailbox is None:
            raise CursorMoved
        cursor = mailbox.cursor
        if cursor and state and state.uidnext > cursor.uidnext and not mailbox.parked_at:
            before = run.arrived[mailbox.id]
            yield from _forward(run, mailbox, replace(state, messages=None))
            run.late[mailbox.id] += run.arrived[mailbox.id] - before
    if by_name:
        raise CursorMoved


def _begin(run: Run, mailbox: Mailbox, state: State) -> Generator[Committed, None, Mailbox]:
    """Give the mailbox a cursor where it has none, or where its UIDs mean nothing any more."""
    before = mailbox.cursor
    told = run.states.get(mailbox.id)
    object_id = told.object_id if told else None
    if before and _same(mailbox, before, state, object_id):
        return mailbox
    after = Cursor(state.uidvalidity, state.uidnext, backfill_uid=state.uidnext)
    with transaction(run.pool) as connection:
        begun = mailboxes.start(
            connection,
            mailbox,
            after,
            highestmodseq=state.highestmodseq,
            messages=state.messages,
            object_id=object_id,
            window_start=_window_start(run.account),
        )
        stored = messages.begin_again(connection, mailbox.account_id) if before else None
    run.known[begun.id] = begun
    if before and stored:
        higher = state.uidvalidity > before.uidvalidity
        UIDVALIDITY_CHANGES.labels(direction="higher" if higher else "lower").inc()
        yield Committed("reset", Batch(begun, after, after), stored)
    return begun


def _same(mailbox: Mailbox, cursor: Cursor, state: State, object_id: str | None) -> bool:
    if mailbox.object_id and object_id and mailbox.object_id != object_id:
        return False
    return cursor.uidvalidity == state.uidvalidity and cursor.uidnext <= state.uidnext


def _forward(run: Run, mailbox: Mailbox, state: State) -> Iterator[Committed]:
    """Store what arrived since the cursor, oldest first: the cursor can only grow."""
    for first, last in _ranges(_cursor(mailbox).uidnext, state.uidnext - 1):
        uids = _new_uids(run, mailbox, state, first, last)
        while uids:
            fetched = _fetch(run, mailbox, uids)
            uids = uids[len(fetched.done) :]
            upto = fetched.done[-1] + 1 if uids else last + 1
            yield from _store(run, mailbox, fetched, uidnext=upto)
        _skip(run, mailbox, uidnext=last + 1)


def _new_uids(run: Run, mailbox: Mailbox, state: State, first: int, last: int) -> list[int]:
    run.open(mailbox)
    many = state.uidnext - _cursor(mailbox).uidnext
    if mailbox.messages is not None and state.messages == mailbox.messages + many:
        # Exactly so many more than there were: each of these UIDs is there, and nothing is lost.
        return list(range(first, last + 1))
    return run.session.uid_search(first, last)


def _backfill_all(run: Run) -> Iterator[Committed]:
    unfilled = listing.unfilled(run)
    for mailbox in unfilled:
        with transaction(run.pool) as connection:
            stored = placements.count(connection, mailbox)
        run.meter.expect(mailbox.id, stored, max((mailbox.messages or 0) - stored, 0))
    for mailbox in unfilled:
        yield from _backfill(run, mailbox)


def _backfill(run: Run, mailbox: Mailbox) -> Iterator[Committed]:
    """Store what was there before, newest first, so that the inbox is useful within seconds."""
    if mailbox.messages != 0:
        run.open(mailbox)
        ranges = _ranges(1, _cursor(mailbox).backfill_uid - 1)
        for first, last in reversed(ranges):
            yield from _backfill_range(run, mailbox, first, last)
    run.meter.settle(mailbox.id, 0)
    _skip(run, mailbox, backfill_uid=0)


def _backfill_range(run: Run, mailbox: Mailbox, first: int, last: int) -> Iterator[Committed]:
    downto = first if first > 1 else 0
    found = run.session.uid_search(first, last, mailbox.window_start)
    uids = _not_stored(run, mailbox, found, first)[::-1]
    if first == 1 and last == _cursor(mailbox).backfill_uid - 1:
        # All that is left of this mailbox: better than what was expected.
        run.meter.settle(mailbox.id, len(uids))
    while uids:
        fetched = _fetch(run, mailbox, uids)
        uids = uids[len(fetched.done) :]
        to = fetched.done[-1] if uids else downto
        yield from _store(run, mailbox, fetched, backfill_uid=to)
    _skip(run, mailbox, backfill_uid=downto)


def _not_stored(run: Run, mailbox: Mailbox, uids: Sequence[int], first: int) -> list[int]:
    """Those that a wider window, or a run that was broken off, has not stored before."""
    if not uids:
        return []
    with transaction(run.pool) as connection:
        stored = placements.uids(connection, mailbox, first - 1, SEARCH_LIMIT)
    known = set(stored)
    return [uid for uid in uids if uid not in known]


def _ranges(first: int, last: int) -> list[tuple[int, int]]:
    """`first` to `last` in ranges that one SEARCH can answer, lowest first."""
    starts = range(first, last + 1, SEARCH_LIMIT)
    return [(start, min(start + SEARCH_LIMIT - 1, last)) for start in starts]


def _fetch(run: Run, mailbox: Mailbox, uids: Sequence[int]) -> Fetched:
    run.pace.begin()
    run.open(mailbox)
    return stumble.carefully(
        run,
        mailbox,
        uids[: run.pace.of(BATCH)],
        lambda some: fetch(
            run.session,
            some,
            run.find_known,
            room=run.pace.of(BATCH_BYTES),
            recognise=known.recogniser(run, mailbox, some[0]),
        ),
    )


def _store(
    run: Run,
    mailbox: Mailbox,
    fetched: Fetched,
    *,
    uidnext: int | None = None,
    backfill_uid: int | None = None,
) -> Iterator[Committed]:
    """Store one batch, and move one end of the cursor with it."""
    mailbox = run.known[mailbox.id]
    before = _cursor(mailbox)
    after = _moved(before, uidnext, backfill_uid)
    arrived = len(fetched.done) if uidnext else 0
    batch = Batch(mailbox, before, after, fetched.incoming, fetched.set_aside, arrived)
    with transaction(run.pool) as connection:
        stored = messages.store(connection, batch)
    run.pace.end()
    counted = None if mailbox.messages is None else mailbox.messages + arrived
    run.known[mailbox.id] = replace(mailbox, cursor=after, messages=counted)
    if uidnext:
        run.arrived[mailbox.id] += arrived
        run.unseen[mailbox.id] += sum(_unseen(incoming) for incoming in fetched.incoming)
    kind: Kind = "new" if uidnext else "backfill"
    progress = run.meter.count(mailbox.id, len(fetched.done)) if kind == "backfill" else None
    yield Committed(kind, batch, stored, progress)


def _unseen(incoming: Incoming) -> bool:
    return "\\Seen" not in incoming.flags


def _skip(
    run: Run, mailbox: Mailbox, *, uidnext: int | None = None, backfill_uid: int | None = None
) -> None:
    mailbox = run.known[mailbox.id]
    before = _cursor(mailbox)
    after = _moved(before, uidnext, backfill_uid)
    if before == after:
        return
    with transaction(run.pool) as connection:
        mailboxes.move_cursor(connection, mailbox.id, before, after)
    run.known[mailbox.id] = replace(mailbox, cursor=after)


def _moved(cursor: Cursor, uidnext: int | None, backfill_uid: int | None) -> Cursor:
    if uidnext is not None:
        return replace(cursor, uidnext=max(uidnext, cursor.uidnext))
    return cursor if backfill_uid is None else replace(cursor, backfill_uid=backfill_uid)


def _cursor(mailbox: Mailbox) -> Cursor:
    if mailbox.cursor is None:
        raise CursorMoved
    return mailbox.cursor


def _window_start(account: Account) -> date | None:
    return today() - timedelta(days=account.window_days) if account.window_days else None
