"""From what the server lists to the rows of mailboxes: which are new, renamed, changed, gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from postwire.errors import CursorMoved, MailboxNotFound, PermanentError, TransientError
from postwire.model import Account, Batch, Cursor, Mailbox, MailboxId, Stored
from postwire.store import mailboxes, messages, placements
from postwire.store.pool import Pool, transaction
from postwire_worker import scope
from postwire_worker.answers import State
from postwire_worker.fetch import digest
from postwire_worker.imap import Session, Unservable
from postwire_worker.pace import Meter, Pace, Progress
from postwire_worker.scope import Wanted

#: How long a mailbox that makes trouble is left alone.
PARKED = timedelta(days=1)
#: How often flags are compared where nothing hints at a change and there is no modseq.
FLAGS_EVERY = timedelta(minutes=5)
#: Messages that tell whether a mailbox is another one under a new name.
_SAMPLE = 20
#: How long after it came mail that is stored late is still news.
NEWS = timedelta(hours=1)

Kind: TypeAlias = Literal["new", "backfill", "reset", "renamed", "flags", "expunged"]


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed change: new mail, mail of before (`backfill`), a mailbox begun anew…."""

    kind: Kind
    batch: Batch
    stored: Stored
    progress: Progress | None = None


@dataclass(slots=True)
class Run:
    """One run of a sync: what it talks with, and what it knows of each mailbox by now."""

    session: Session
    pool: Pool
    account: Account
    known: dict[MailboxId, Mailbox] = field(default_factory=dict)
    #: Where each stood when the server was last asked.
    states: dict[MailboxId, State | None] = field(default_factory=dict)
    gone: list[Mailbox] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    meter: Meter = field(default_factory=Meter)
    #: New mail of this run by mailbox, and how much of it nobody has seen.
    arrived: Counter[MailboxId] = field(default_factory=Counter)
    unseen: Counter[MailboxId] = field(default_factory=Counter)
    #: What of it came after the mailbox was opened for the comparison.
    late: Counter[MailboxId] = field(default_factory=Counter)
    #: Whether so many mailboxes have changed that something may have moved between them.
    may_move: bool = False
    _open: tuple[str, State] | None = None

    def open(self, mailbox: Mailbox) -> State:
        """Where the mailbox stands, opened for reading unless it is open already.

        Raises:
            CursorMoved: it is not there any more; the sync has to begin anew.
            TransientError: it has other UIDs than those that are known.
        """
        if self._open is None or self._open[0] != mailbox.name:
            self._open = None
            try:
                self._open = (mailbox.name, self.session.select(mailbox.name))
            except MailboxNotFound:
                raise CursorMoved from None
        state = self._open[1]
        if mailbox.cursor and mailbox.cursor.uidvalidity != state.uidvalidity:
            # Not at once: there are servers that do so at each SELECT.
            raise TransientError("The mail server renumbers its messages while they are read.")
        return state

    def find_known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Which of these messages the account has already."""
        with transaction(self.pool) as connection:
            return messages.find_known(connection, self.account.id, digests)

    def examine(self, mailbox: Mailbox) -> State | None:
        """Where the mailbox stands now, whatever its UIDs are; None where it cannot be opened.

        One that is listed and not found twice in a row is parked, as any other that makes trouble.
        """
        self._open = None
        try:
            state = self.session.select(mailbox.name)
        except PermanentError as error:
            if mailbox.name.upper() == "INBOX":
                raise
            if isinstance(error, MailboxNotFound) and mailbox.problem is None:
                # It may have gone since it was listed, and be another one when it comes back.
                self.note(mailbox, replace(mailbox, problem=str(error)))
            else:
                self.park(mailbox, str(error))
            return None
        self._open = (mailbox.name, state)
        return state

    def park(self, mailbox: Mailbox, problem: str) -> None:
        """Leave the mailbox alone for a day, and say why."""
        self.note(mailbox, replace(mailbox, parked_at=datetime.now(UTC), problem=problem))

    def note(self, before: Mailbox, after: Mailbox) -> None:
        """Keep what is known of the mailbox now; nothing is written where it is what it was."""
        if after != before:
            with transaction(self.pool) as connection:
                mailboxes.compared(connection, before, after)
        self.known[after.id] = after


def committed(
    kind: Kind, mailbox: Mailbox, stored: Stored, progress: Progress | None = None
) -> Committed:
    """A change that brought no message."""
    cursor = mailbox.cursor or Cursor(0, 0, 0)
    return Committed(kind, Batch(mailbox, cursor, cursor), stored, progress)


def look(run: Run) -> Iterator[Committed]:
    """Bring the rows of mailboxes in line with what the server lists."""
    wanted = ask(run)
    with transaction(run.pool) as connection:
        rows = mailboxes.list_all(connection, run.account.id)
    by_name = {row.name: row for row in rows}
    missing = [row for row in rows if row.name not in {one.listed.name for one in wanted}]
    for one in wanted:
        row = by_name.get(one.listed.name)
        if row is None and not one.label and (old := _former(run, one, missing)):
            missing.remove(old)
            row = yield from _rename(run, old, one.listed.name)
        _take_over(run, one, row)
    run.gone = missing
    yield from _turn(run, {one.listed.name for one in wanted if one.label})


def _turn(run: Run, names: Collection[str]) -> Iterator[Committed]:
    """Make labels of the mailboxes `names`, where they are not, and of no others."""
    whole = next(iter(run.known.values())) if names else None
    told_by = dict.fromkeys(run.known)
    if whole:
        told_by |= {row.id: whole.id for row in run.known.values() if row.name in names}
    turned = [
        row
        for row in run.known.values()
        if row.label_of != told_by[row.id] or (row.label_of and row.cursor)
    ]
    if not turned:
        return
    begun = [row for row in turned if row.cursor or row.label_of]
    with transaction(run.pool) as connection:
        for row in turned:
            run.known[row.id] = mailboxes.turn(connection, row, told_by[row.id])
        if whole:
            run.known[whole.id] = mailboxes.compare_whole(connection, whole, begun)
        stored = messages.begin_again(connection, run.account.id) if begun else None
    if stored:
        yield committed("reset", begun[0], stored)


def ask(run: Run) -> list[Wanted]:
    """The mailboxes the account's setting names, each with its state as far as it is told.

    Raises:
        MailboxNotFound: there is no INBOX, which even an empty account has.
    """
    listed = run.session.list_mailboxes()
    if not any(one.name.upper() == "INBOX" for one in listed):
        raise MailboxNotFound("The mail server has no INBOX for this user.")
    chosen = scope.choose(run.account.mailboxes, listed)
    if run.session.capable("X-GM-EXT-1"):
        chosen = scope.as_labels(chosen)
    return [_with_state(run, one) for one in chosen]


def _with_state(run: Run, wanted: Wanted) -> Wanted:
    if wanted.label or wanted.listed.state or run.session.capable("LIST-STATUS"):
        return wanted
    return replace(
        wanted, listed=replace(wanted.listed, state=run.session.status(wanted.listed.name))
    )


def changed(run: Run) -> list[Mailbox]:
    """The mailboxes that have to be opened, by what the server told of them."""
    now = datetime.now(UTC)
    return [
        mailbox
        for mailbox in run.known.values()
        if not mailbox.label_of
        and not _rests(mailbox, now)
        and not unchanged(mailbox, run.states[mailbox.id], now)
    ]


def unfilled(run: Run) -> list[Mailbox]:
    """The mailboxes whose backfill has not reached its end."""
    now = datetime.now(UTC)
    return [
        mailbox
        for mailbox in run.known.values()
        if mailbox.cursor and mailbox.cursor.backfill_uid and not _rests(mailbox, now)
    ]


def unchanged(mailbox: Mailbox, state: State | None, now: datetime) -> bool:
    """Whether the mailbox is for certain what it was when it was last compared."""
    cursor = mailbox.cursor
    if cursor is None or state is None or mailbox.parked_at:
        return False
    if (cursor.uidvalidity, cursor.uidnext) != (state.uidvalidity, state.uidnext):
        return False
    if mailbox.messages != state.messages or state.object_id not in {None, mailbox.object_id}:
        return False
    if state.highestmodseq:
        return mailbox.highestmodseq == state.highestmodseq
    return mailbox.unseen == state.unseen and not flags_are_old(mailbox, now)


def flags_are_old(mailbox: Mailbox, now: datetime) -> bool:
    """Whether all flags have to be compared, nothing but time having told so."""
    return mailbox.flags_at is None or mailbox.flags_at < now - FLAGS_EVERY


def _rests(mailbox: Mailbox, now: datetime) -> bool:
    return mailbox.parked_at is not None and mailbox.parked_at > now - PARKED


def _take_over(run: Run, wanted: Wanted, row: Mailbox | None) -> None:
    listed, use = wanted.listed, wanted.special_use
    # An object's id is taken over when the mailbox is opened: another one is another mailbox.
    if row is None or (row.delimiter, row.special_use) != (listed.delimiter, use):
        told = listed.state.object_id if listed.state else None
        object_id = row.object_id if row else told
        with transaction(run.pool) as connection:
            row = mailboxes.keep(
                connection,
                run.account.id,
                listed.name,
                listed.delimiter,
                use,
                object_id=object_id,
            )
    run.known[row.id], run.states[row.id] = row, listed.state


def _former(run: Run, wanted: Wanted, missing: Sequence[Mailbox]) -> Mailbox | None:
    """The mailbox that `wanted` was before it was renamed."""
    state = wanted.listed.state
    if state is None:
        return None
    if state.object_id:
        same = (row for row in missing if row.object_id == state.object_id)
        if found := next(same, None):
            return found
    for row in missing:
        cursor = row.cursor
        if (
            cursor
            and not (row.object_id and state.object_id)
            and cursor.uidvalidity == state.uidvalidity
            and cursor.uidnext <= state.uidnext
            and _same_messages(run, row, wanted.listed.name)
        ):
            return row
    return None


def _same_messages(run: Run, row: Mailbox, name: str) -> bool:
    """Whether messages that are stored of `row` lie under the same UIDs in the mailbox `name`.

    There are servers that give all mailboxes one UIDVALIDITY: it alone proves nothing.
    """
    with transaction(run.pool) as connection:
        sample = dict(placements.sample(connection, row, _SAMPLE))
    if not sample:
        return False
    try:
        run.session.select(name)
        found = run.session.uid_fetch_structures(list(sample), parts=False)
    except (PermanentError, Unservable):
        return False
    return bool(found) and all(sample[one.uid] == digest(one) for one in found)


def _rename(run: Run, row: Mailbox, name: str) -> Generator[Committed, None, Mailbox]:
    with transaction(run.pool) as connection:
        renamed = mailboxes.rename(connection, row, name)
    after = 0
    while True:
        with transaction(run.pool) as connection:
            stamped = placements.touch(connection, renamed, after)
        if stamped is None:
            return renamed
        after, stored = stamped
        yield committed("renamed", renamed, stored)
