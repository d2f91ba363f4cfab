"""The continuous audit: what is stored is compared with the server, message by message.

A sync believes what it noted down before: cursors, counts, modseqs. The audit believes none of it,
so that what a mistake of ours or the server's has left behind is found, counted and repaired. It
goes through the mailboxes a page at a time, at the end of the machine's syncs.

Whatever changes while it looks is no drift. A page that differs is looked at once more, after
another sync: only what differed both times is. Flags count only where the server itself says that
they are no newer than what was stored. Where there is no modseq, each sync that opens the mailbox
compares all flags anyhow, every five minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from postwire.errors import NotFound, PermanentError, StoreUnavailable
from postwire.metrics import AUDITED_MESSAGES, AUDITS, DRIFT
from postwire.model import Account, Batch, Flagged, Mailbox, Reason
from postwire.store import audits, mailboxes, messages, placements
from postwire.store.audits import Position
from postwire.store.pool import transaction
from postwire_worker import stumble
from postwire_worker.changes import missing
from postwire_worker.fetch import BATCH_BYTES, Fetched, fetch
from postwire_worker.imap import SEARCH_LIMIT, Session
from postwire_worker.listing import NEWS, Committed, Kind, Run, committed
from postwire_worker.runtime import Runtime
from postwire_worker.sync import BATCH, sync

#: Stored messages that are compared at once.
PAGE = 2_000
#: Seconds of one run after which no further page is begun; the next run goes on.
SECONDS = 5.0
#: Whether a message of the window's first day is in it depends on the server's zone.
_EDGE = timedelta(days=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Page:
    """A range of UIDs of a mailbox that stands still."""

    mailbox: Mailbox
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """What differed at one look: stored and not there; there and not stored; other flags."""

    run: Run
    mailbox: Mailbox
    stored: int
    extra: set[int] = field(default_factory=set)
    missed: set[int] = field(default_factory=set)
    flags: dict[int, Flagged] = field(default_factory=dict)

    @property
    def differs(self) -> bool:
        """Whether anything did."""
        return bool(self.extra or self.missed or self.flags)


def take(
    session: Session, runtime: Runtime, account: Account, reason: Reason
) -> Iterator[Committed]:
    """Go on with the account's audit if it is due; what is repaired is yielded.

    One that fails is put off, so that the account's next sync does without it. A process audits
    one account at a time, and nobody who asked waits for it.
    """
    every = runtime.audit_every
    if every is None or reason != "auto" or not runtime.auditing.acquire(blocking=False):
        return
    try:
        with transaction(runtime.pool) as connection:
            position = audits.take_due(connection, account.id, every)
        if position:
            yield from _Audit(session, runtime, account, every).go_on(position)
    except Exception:
        AUDITS.labels(outcome="failed").inc()
        with suppress(StoreUnavailable), transaction(runtime.pool) as connection:
            audits.put_off(connection, account.id)
        raise
    finally:
        runtime.auditing.release()


@dataclass(frozen=True, slots=True)
class _Audit:
    session: Session
    runtime: Runtime
    account: Account
    every: timedelta

    def go_on(self, position: Position) -> Iterator[Committed]:
        """Compare from `position` on, for some seconds; one page at least."""
        until = time.monotonic() + SECONDS
        while page := self._next(position):
            last = page.last
            try:
                yield from self._compare(page)
            except NotFound:
                raise
            except PermanentError as error:
                # A sync says so, if it matters; the other mailboxes are compared nonetheless.
                log.warning("not audited", mailbox=page.mailbox.id, error=str(error))
                last = max(last, _newest(page.mailbox))
            position = Position(page.mailbox.id, last)
            with transaction(self.runtime.pool) as connection:
                audits.note(connection, self.account.id, position)
            if time.monotonic() > until or self.runtime.stopping.is_set():
                return
        yield from self._finish()

    def _next(self, position: Position) -> _Page | None:
        with transaction(self.runtime.pool) as connection:
            for mailbox in mailboxes.list_all(connection, self.account.id):
                if mailbox.id < position.mailbox_id or not _stands(mailbox):
                    continue
                after = position.uid if mailbox.id == position.mailbox_id else 0
                stored = placements.uids(connection, mailbox, after, PAGE)
                if last := _last(mailbox, after, stored):
                    return _Page(mailbox, after + 1, last)
        return None

    def _compare(self, page: _Page) -> Iterator[Committed]:
        first = self._look(page)
        if first and first.differs:
            # What has changed since the last sync is taken over by this one, and does not count.
            # Of a mailbox that is open, STATUS may tell what it was when it was opened.
            self.session.close_mailbox()
            yield from sync(self.session, self.runtime.pool, self.account)
            again = self._look(page)
            if again is None:
                return
            again.extra.intersection_update(first.extra)
            again.missed.intersection_update(first.missed)
            for uid in again.flags.keys() - first.flags.keys():
                del again.flags[uid]
            yield from _repair(again)
        if first:
            AUDITED_MESSAGES.inc(first.stored)

    def _look(self, page: _Page) -> _Seen | None:
        """How the page differs from the server; None where its mailbox does not stand still."""
        run = Run(self.session, self.runtime.pool, self.account)
        with transaction(run.pool) as connection:
            run.known = {row.id: row for row in mailboxes.list_all(connection, self.account.id)}
        mailbox = run.known.get(page.mailbox.id)
        if mailbox is None or not _stands(mailbox) or not _same_uids(mailbox, page.mailbox):
            return None
        run.open(mailbox)
        have = run.session.uid_search_ranges(page.first, page.last)
        wanted = have
        if mailbox.window_start:
            since = mailbox.window_start + _EDGE
            wanted = run.session.uid_search_ranges(page.first, page.last, since)
        with transaction(run.pool) as connection:
            stored = audits.placed(connection, mailbox, page.first, page.last)
            missed = within(wanted, page.first, min(page.last, _newest(mailbox))) - set(stored)
            missed -= audits.set_aside(connection, mailbox, missed) if missed else set()
        flags = _flags(run, mailbox, stored) if stored else {}
        return _Seen(run, mailbox, len(stored), set(missing(stored, have)), missed, flags)

    def _finish(self) -> Iterator[Committed]:
        """What lies nowhere is expunged, unless it may yet be found somewhere."""
        with transaction(self.runtime.pool) as connection:
            known = mailboxes.list_all(connection, self.account.id)
        opened = [mailbox for mailbox in known if not mailbox.label_of]
        if opened and all(_stands(one) and not one.homeless for one in opened):
            yield from self._expunge_homeless(opened[0])
        with transaction(self.runtime.pool) as connection:
            audits.finish(connection, self.account.id, self.every)
        AUDITS.labels(outcome="completed").inc()

    def _expunge_homeless(self, mailbox: Mailbox) -> Iterator[Committed]:
        while True:
            with transaction(self.runtime.pool) as connection:
                found = audits.expunge_homeless(connection, self.account.id)
            if found is None:
                return
            count, stored = found
            _count("homeless", count)
            yield committed("expunged", mailbox, stored)


def _stands(mailbox: Mailbox) -> bool:
    """Whether all that belongs into the mailbox should be stored by now."""
    cursor = mailbox.cursor
    left_alone = mailbox.parked_at or mailbox.label_of
    return cursor is not None and not cursor.backfill_uid and not left_alone


def _same_uids(one: Mailbox, other: Mailbox) -> bool:
    return (one.cursor and one.cursor.uidvalidity) == (other.cursor and other.cursor.uidvalidity)


def _newest(mailbox: Mailbox) -> int:
    """The newest UID that the mailbox can have by its cursor."""
    return mailbox.cursor.uidnext - 1 if mailbox.cursor else 0


def _last(mailbox: Mailbox, after: int, stored: Sequence[int]) -> int | None:
    """Where the page after `after` ends; None where the mailbox does."""
    last = stored[-1] if len(stored) == PAGE else max(_newest(mailbox), *stored[-1:], 0)
    return min(last, after + SEARCH_LIMIT) if last > after else None


def within(ranges: Sequence[tuple[int, int]], first: int, last: int) -> set[int]:
    """The UIDs from `first` to `last` in the ascending `ranges`, each counted out once."""
    found: set[int] = set()
    for low, high in ranges:
        found.update(range(max(low, first), min(high, last) + 1))
        first = max(first, min(high, last) + 1)
    return found


def _flags(run: Run, mailbox: Mailbox, stored: Sequence[int]) -> dict[int, Flagged]:
    """Messages with other flags than are stored, though by their modseq these should be theirs."""
    upto = mailbox.highestmodseq
    if not upto:
        return {}
    found: dict[int, Flagged] = {}
    labels = any(one.label_of == mailbox.id for one in run.known.values())
    flags = run.session.uid_fetch_flags(stored[0], stored[-1], labels=labels, modseq=True)
    for said in flags:
        old = {one.uid: one for one in said if one.modseq and one.modseq <= upto}
        with transaction(run.pool) as connection:
            differing = placements.differing(connection, mailbox, list(old.values()))
        found |= {uid: old[uid] for uid in differing}
    return found


def _repair(drift: _Seen) -> Iterator[Committed]:
    run, mailbox = drift.run, drift.mailbox
    if drift.missed:
        yield from _store_missed(run, mailbox, sorted(drift.missed))
    if drift.flags:
        with transaction(run.pool) as connection:
            stored = placements.set_flags(
                connection, mailbox, list(drift.flags.values()), force=True
            )
        if stored:
            _count("flags", len(drift.flags))
            yield committed("flags", mailbox, stored)
    if drift.extra:
        with transaction(run.pool) as connection:
            stored = placements.expunge(connection, mailbox, sorted(drift.extra))
        if stored:
            _count("extra", len(drift.extra))
            yield committed("expunged", mailbox, stored)


def _store_missed(run: Run, mailbox: Mailbox, uids: Sequence[int]) -> Iterator[Committed]:
    """Store what a sync should have stored, a batch at a time, newest first."""
    uids = uids[::-1]
    while uids:
        run.pace.begin()
        fetched = _fetch(run, mailbox, uids)
        uids = uids[len(fetched.done) :]
        for kind, batch in _batches(mailbox, fetched):
            with transaction(run.pool) as connection:
                stored = messages.store(connection, batch)
            _count("missing", len(batch.incoming) + len(batch.set_aside))
            yield Committed(kind, batch, stored)
        run.pace.end()


def _fetch(run: Run, mailbox: Mailbox, uids: Sequence[int]) -> Fetched:
    return stumble.carefully(
        run,
        mailbox,
        uids[: run.pace.of(BATCH)],
        lambda some: fetch(run.session, some, run.find_known, room=run.pace.of(BATCH_BYTES)),
    )


def _batches(mailbox: Mailbox, fetched: Fetched) -> Iterator[tuple[Kind, Batch]]:
    """What is told as new mail, and what as mail of before."""
    cursor = mailbox.cursor
    since = datetime.now(UTC) - NEWS
    recent = tuple(one for one in fetched.incoming if one.internaldate >= since)
    before = tuple(one for one in fetched.incoming if one.internaldate < since)
    if cursor and recent:
        yield "new", Batch(mailbox, cursor, cursor, recent)
    if cursor and (before or fetched.set_aside):
        yield "backfill", Batch(mailbox, cursor, cursor, before, fetched.set_aside)


def _count(kind: str, count: int) -> None:
    DRIFT.labels(kind=kind).inc(count)
    log.warning("drift was repaired", kind=kind, messages=count)
