"""What changed of messages that are stored: flags, and what was expunged.

Expunged messages are taken over after all new mail is stored, so that a message that was moved
is never without a place: it is found in its new mailbox before it is missed in the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from postwire.errors import CursorMoved
from postwire.model import Mailbox
from postwire.store import mailboxes, placements
from postwire.store.pool import transaction
from postwire_worker.answers import State
from postwire_worker.listing import Committed, Run, committed, flags_are_old

#: UIDs that are compared with the server's by one SEARCH.
PAGE = 20_000

#: Stores the mail that has arrived anywhere since the run began.
StoreArrived = Callable[[], Iterator[Committed]]


def take_flags(run: Run, mailbox: Mailbox, state: State, last: int) -> Iterator[Committed]:
    """Take over the flags of stored messages up to UID `last`, as they were at `state`.

    Afterwards `run.known` says up to where flags are stored; it is not written yet.
    """
    now = datetime.now(UTC)
    before = run.known[mailbox.id]
    if state.highestmodseq and before.highestmodseq == state.highestmodseq:
        return
    if state.highestmodseq or _counts_differ(run, before) or flags_are_old(before, now):
        yield from _compare_flags(run, before, _changed_since(before, state), last)
        run.known[mailbox.id] = replace(
            run.known[mailbox.id], highestmodseq=state.highestmodseq, flags_at=now
        )


def _changed_since(mailbox: Mailbox, state: State) -> int | None:
    """The modseq up to which flags are stored; None where all have to be compared."""
    before, now = mailbox.highestmodseq, state.highestmodseq
    # One that went down is of a server that lost its index: it means nothing any more.
    return before if before and now and before < now else None


def _counts_differ(run: Run, mailbox: Mailbox) -> bool:
    state = run.states.get(mailbox.id)
    if state is None or state.unseen is None:
        return True
    return state.unseen != (mailbox.unseen or 0) + run.unseen[mailbox.id]


def _compare_flags(
    run: Run, mailbox: Mailbox, changed_since: int | None, last: int
) -> Iterator[Committed]:
    with transaction(run.pool) as connection:
        first = next(iter(placements.uids(connection, mailbox, 0, 1)), None)
    if first is None or last < first:
        return
    run.open(mailbox)
    labels = any(one.label_of == mailbox.id for one in run.known.values())
    for said in run.session.uid_fetch_flags(first, last, changed_since, labels=labels):
        with transaction(run.pool) as connection:
            stored = placements.set_flags(connection, mailbox, said, force=changed_since is None)
        if stored:
            yield committed("flags", mailbox, stored)


def take_expunged(
    run: Run, mailbox: Mailbox, state: State, store_arrived: StoreArrived
) -> Iterator[Committed]:
    """Remove what the server does not have any more, if its count shows that there is any."""
    mailbox = run.known[mailbox.id]
    if mailbox.messages is not None and mailbox.messages == _messages(run, mailbox, state):
        return
    after = 0
    while True:
        with transaction(run.pool) as connection:
            stored = placements.uids(connection, mailbox, after, PAGE)
        if not stored:
            break
        run.open(mailbox)
        have = run.session.uid_search_ranges(stored[0], stored[-1])
        if gone := missing(stored, have):
            # What was moved while this run went on has to be found before it is missed.
            yield from store_arrived()
            yield from _expunge(run, mailbox, gone)
        after = stored[-1]


def _messages(run: Run, mailbox: Mailbox, state: State) -> int | None:
    """How many there were at `state`, and what was stored since."""
    return None if state.messages is None else state.messages + run.late[mailbox.id]


def missing(uids: Sequence[int], have: Sequence[tuple[int, int]]) -> list[int]:
    """Those of the ascending `uids` that are in none of the ascending ranges `have`."""
    found: list[int] = []
    ranges = iter(have)
    low, high = next(ranges, (0, -1))
    for uid in uids:
        while high < uid and (following := next(ranges, None)):
            low, high = following
        if not low <= uid <= high:
            found.append(uid)
    return found


def _expunge(run: Run, mailbox: Mailbox, gone: Sequence[int]) -> Iterator[Committed]:
    for start in range(0, len(gone), placements.PAGE):
        with transaction(run.pool) as connection:
            stored = placements.expunge(connection, mailbox, gone[start : start + placements.PAGE])
        if stored:
            yield committed("expunged", mailbox, stored)


def finish(run: Run, before: Mailbox, state: State, *, reset: bool) -> None:
    """Note down that the mailbox was compared with the server at `state`."""
    known = run.known[before.id]
    told = run.states.get(before.id)
    if known.cursor is None:
        raise CursorMoved
    after = replace(
        known,
        messages=_messages(run, known, state),
        unseen=None if state.highestmodseq or told is None else told.unseen,
        object_id=(told and told.object_id) or known.object_id,
        resets=known.resets if reset else 0,
        parked_at=None,
        problem=None,
    )
    with transaction(run.pool) as connection:
        mailboxes.compared(connection, replace(before, cursor=known.cursor), after)
    run.known[before.id] = after


def remove_gone(run: Run) -> Iterator[Committed]:
    """Remove mailboxes that are not there any more, or not in the setting, and what lay in them."""
    for mailbox in run.gone:
        while True:
            with transaction(run.pool) as connection:
                stored = placements.empty(connection, mailbox)
                if stored is None:
                    mailboxes.remove(connection, mailbox)
                    break
            yield committed("expunged", mailbox, stored)
    run.gone = []


def take_homeless(run: Run) -> Iterator[Committed]:
    """Mark what was in a mailbox that was numbered anew, and was not found there again."""
    homeless = [mailbox for mailbox in run.known.values() if mailbox.homeless]
    if not homeless:
        return
    while True:
        with transaction(run.pool) as connection:
            stored = placements.expunge_homeless(connection, run.account.id)
        if stored is None:
            break
        yield committed("expunged", homeless[0], stored)
    for mailbox in homeless:
        run.note(mailbox, replace(mailbox, homeless=False))
