"""The story of one account, in sentences for whoever was woken up by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from postwire.command.times import span, when
from postwire.credentials import key_id
from postwire.model import Account, MailboxId
from postwire.store.inspection import Facts, HeldJob
from postwire.store.jobs import ATTEMPTS
from postwire.store.mailboxes import Counted

#: After so many failed jobs in a row the interval grows no further (`store.accounts.take_due`).
_GROWS = 6
_WATCHED = ("active", "unreachable")


def tell(facts: Facts) -> Iterator[tuple[str, list[str]]]:
    """What it does, why, and what comes next: headings, each with its sentences."""
    account = facts.account
    yield "account", [f"{account.address}, of the user {account.user_id}", account.id]
    yield "server", [f"{account.host}:{account.port} ({account.security}), as {account.username}"]
    yield "state", list(_state(facts))
    yield "next", [_next(facts)]
    yield "watched by", [_watched(facts)]
    yield "connections", list(_connections(facts))
    yield "credential", [_credential(account)]
    yield "mailboxes", list(_mailboxes(facts))
    yield "jobs", list(_jobs(facts))
    yield "audit", list(_audit(facts))


def _state(facts: Facts) -> Iterator[str]:
    account = facts.account
    yield f"{account.state} since {when(account.state_since, facts.now)}"
    if account.state_reason:
        yield f"because: {account.state_reason}"
    yield f"last found well: {when(account.last_synced_at, facts.now)}"
    if failures := facts.standing.failures:
        yield f"failed jobs in a row: {failures}"
    if _is_filling(facts):
        yield "its first sync is under way"


def _is_filling(facts: Facts) -> bool:
    return facts.account.last_synced_at is None and any(
        box.mailbox.cursor for box in facts.mailboxes
    )


def _next(facts: Facts) -> str:  # noqa: PLR0911 - a table
    """When it is next tried, and why then."""
    account, now = facts.account, facts.now
    if account.state == "paused":
        return "nothing: it is paused, until its user resumes it"
    if account.state == "auth_failed":
        return "nothing: no login is tried until its user enters the credential again"
    if account.busy_until and account.busy_until > now:
        return f"no login before {when(account.busy_until, now)}: the mail server asked for that"
    if job := facts.open_job:
        return _next_of_job(facts, job)
    if account.sync_every is None:
        return "nothing by itself: it has no schedule; IDLE or a person may ask for a sync"
    if account.state == "connecting":
        return "nothing: it is connecting, and the job that was to do so is gone; ask for a sync"
    return _next_by_schedule(facts)


def _next_of_job(facts: Facts, job: HeldJob) -> str:
    now = facts.now
    if job.state == "active":
        return f"a job runs, since {when(job.started_at, now)}: {job.id}"
    workers = facts.standing.workers
    lacking = "" if workers else "; NO SYNC-WORKER IS ALIVE that could run it"
    if job.state == "delayed":
        return (
            f"attempt {job.attempts + 1} of {ATTEMPTS} of a job at {when(job.run_at, now)}, "
            f"after: {job.error}{lacking}"
        )
    return f"a job waits in the queue {job.queue} since {when(job.run_at, now)}{lacking}"


def _next_by_schedule(facts: Facts) -> str:
    account, failures = facts.account, facts.standing.failures
    every = account.sync_every or 0
    at = when(account.next_sync_at, facts.now)
    lacking = "" if facts.standing.watchers else "; NO WATCHER IS ALIVE that could ask for it"
    if not failures:
        return f"a sync at {at}: by its schedule, every {span(every)}{lacking}"
    grown = every * 2 ** min(failures, _GROWS)
    return (
        f"a sync at {at}: every {span(every)} by its schedule, but now every {span(grown)}, "
        f"as {failures} jobs have failed in a row{lacking}"
    )


def _watched(facts: Facts) -> str:
    """Who holds the lease, or why nobody does."""
    standing, state = facts.standing, facts.account.state
    if state not in _WATCHED:
        return (
            f"nobody: only accounts that are active or unreachable are watched, and it is {state}"
        )
    if standing.holder and standing.alive:
        connected = "" if standing.watched else "; it has not connected yet"
        return f"{standing.holder} since {when(standing.since, facts.now)}{connected}"
    if not standing.watchers:
        return "nobody: NO WATCHER IS ALIVE"
    if standing.holder:
        return f"nobody: {standing.holder} is dead; another takes over within seconds"
    return (
        f"nobody: none of {standing.watchers} live watchers has claimed it yet; if that lasts, all "
        "are full (POSTWIRE_WATCH_ACCOUNTS)"
    )


def _connections(facts: Facts) -> Iterator[str]:
    if not facts.connections:
        yield "none open"
    for slot in facts.connections:
        dead = "" if slot.alive else " (which is dead: it does not count)"
        yield f"{slot.purpose}, since {when(slot.opened_at, facts.now)}, by {slot.holder}{dead}"


def _credential(account: Account) -> str:
    kind = f"access by {account.oauth_provider}" if account.oauth_provider else "password"
    return f"{kind}, sealed with the key {key_id(account.credential) or '(none that is known)'}"


def _mailboxes(facts: Facts) -> Iterator[str]:
    if not facts.mailboxes:
        yield "none yet: no sync has got so far"
    names = {box.mailbox.id: box.mailbox.name for box in facts.mailboxes}
    for box in facts.mailboxes:
        yield f"{box.mailbox.name}: {_counts(facts, box)}"
        yield f"  {_cursor(box, names)}"
        yield f"  checked {when(box.checked_at, facts.now)}"
        if box.mailbox.parked_at:
            yield f"  LEFT ALONE since {when(box.mailbox.parked_at, facts.now)}"
        if box.mailbox.problem:
            yield f"  problem: {box.mailbox.problem}"


def _counts(facts: Facts, box: Counted) -> str:
    there = "unknown" if box.mailbox.messages is None else str(box.mailbox.messages)
    start = box.mailbox.window_start
    window = f"window from {start}" if start else "no window"
    aside = facts.set_aside.get(box.mailbox.id, 0)
    return f"{box.messages} stored, {there} on the server, {aside} set aside; {window}"


def _cursor(box: Counted, names: Mapping[MailboxId, str]) -> str:
    mailbox, cursor = box.mailbox, box.mailbox.cursor
    if mailbox.label_of is not None:
        return f"a label: {names.get(mailbox.label_of, 'another mailbox')} tells what lies in it"
    if cursor is None:
        return "not opened yet"
    filled = (
        "window filled" if not cursor.backfill_uid else f"filled down to UID {cursor.backfill_uid}"
    )
    modseq = "no modseq" if mailbox.highestmodseq is None else f"modseq {mailbox.highestmodseq}"
    return f"uidvalidity {cursor.uidvalidity}, uidnext {cursor.uidnext}, {filled}, {modseq}"


def _jobs(facts: Facts) -> Iterator[str]:
    if not facts.jobs:
        yield "none: automatic ones that found nothing leave no history"
    for job in facts.jobs:
        at = when(job.finished_at or job.started_at or job.created_at, facts.now)
        failed = f", {job.attempts} of {ATTEMPTS} attempts failed" if job.attempts else ""
        yield f"{job.state} {at}: {job.reason}, found {job.found}{failed}"
        if job.error:
            yield f"  because: {job.error}"


def _audit(facts: Facts) -> Iterator[str]:
    standing = facts.standing
    yield f"all that is stored was last compared: {when(facts.account.audited_at, facts.now)}"
    if standing.audit_begun:
        yield "one has begun, and goes on with the next scheduled sync"
    elif standing.audit_due_at:
        yield f"next with the first scheduled sync after {when(standing.audit_due_at, facts.now)}"
    else:
        yield "none is planned yet: the first scheduled sync does that"
    yield "drift is repaired at once, and told in the sync-worker's log: drift was repaired"
