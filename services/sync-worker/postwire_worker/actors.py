"""The actors, and what the outcome of a sync means for its job and its account.

The job's row decides whether a run may begin and what comes after it; Dramatiq only carries the
id here. Commit, then tell: each batch is announced after its transaction.
"""

from __future__ import annotations

import random
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import dramatiq
import structlog

from postwire import events
from postwire.errors import (
    AuthenticationFailed,
    CredentialUnreadable,
    CursorMoved,
    NoFreeConnection,
    NotFound,
    PermanentError,
    QueueUnavailable,
    ServerBusy,
    StoreUnavailable,
    TransientError,
)
from postwire.jobs import ACTOR, FETCH_ACTOR, MANUAL_QUEUE, QUEUE, enqueue
from postwire.metrics import FRESHNESS, MESSAGES_SET_ASIDE, MESSAGES_SYNCED, SYNC_SECONDS
from postwire.model import Account, AccountId, Job, JobId, JobState
from postwire.store import accounts, jobs, mailboxes
from postwire.store.connections import Purpose
from postwire.store.pool import transaction
from postwire_worker import attachments, audit
from postwire_worker.access import open_session
from postwire_worker.imap import using
from postwire_worker.listing import Committed
from postwire_worker.refusals import come_back_in
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync

#: Seconds a run may take before it makes way for others; it goes on where it stopped.
BUDGET = 20.0
#: Seconds until it is tried to put a job off whose run the database has broken off.
_PAUSES = (1.0, 2.0, 4.0)
#: Seconds before the second attempt; doubled before the third.
BACKOFF = 5.0
#: Seconds until a job looks again for a free connection, with jitter.
PAUSE = (1.0, 3.0)
#: States in which no login is tried.
_NO_LOGIN = ("paused", "auth_failed")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a job; `holder` is its name in the job's row."""

    runtime: Runtime
    job: Job
    holder: str


def declare(runtime: Runtime, attachment_limit: int) -> None:
    """Make the actors known to the broker; attachments have at most `attachment_limit` bytes."""

    @dramatiq.actor(broker=runtime.broker, queue_name=QUEUE, actor_name=ACTOR)
    def sync_account(job_id: str) -> None:
        try:
            run(runtime, JobId(job_id))
        except StoreUnavailable as error:
            # No news with a traceback: the job's row stays, and is queued again.
            log.warning("a run was broken off", job=job_id, error=str(error))

    @dramatiq.actor(broker=runtime.broker, queue_name=MANUAL_QUEUE, actor_name=FETCH_ACTOR)
    def fetch_attachment(account_id: str) -> None:
        try:
            attachments.run(runtime, AccountId(account_id), attachment_limit)
        except StoreUnavailable as error:
            # No news either: the request's row stays, and is queued again.
            log.warning("attachments were not fetched", account=account_id, error=str(error))


def run(runtime: Runtime, job_id: JobId) -> None:
    """Run the job if it is due and nobody has it."""
    holder = f"{runtime.holder}:{uuid.uuid4().hex[:8]}"
    with transaction(runtime.pool) as connection:
        job = jobs.claim(connection, job_id, holder)
    if job is None:
        return
    runtime.runs.add(holder)
    try:
        with structlog.contextvars.bound_contextvars(account=job.account_id, job=job.id):
            _measured(_Run(runtime, job, holder))
    finally:
        runtime.runs.discard(holder)
        runtime.lost.discard(holder)


def _measured(run: _Run) -> None:
    started = time.monotonic()
    outcome = "crashed"
    try:
        outcome = _attempt(run)
    finally:
        SYNC_SECONDS.labels(outcome=outcome).observe(time.monotonic() - started)


def _attempt(run: _Run) -> str:  # noqa: C901, PLR0911 - a table
    try:
        with transaction(run.runtime.pool) as connection:
            account = accounts.get(connection, run.job.account_id)
    except NotFound:
        return "account_gone"
    except StoreUnavailable as error:
        _break_off(run, error)
        raise
    if account.state not in _NO_LOGIN and account.busy_seconds:
        _postpone(run, come_back_in(account.busy_seconds), account.busy_seconds)
        return "too_early"
    try:
        return _sync(run, account)
    except CursorMoved:
        _finish(run, found=0, more=True)
        return "lost_race"
    except NoFreeConnection as error:
        _postpone(run, str(error), random.uniform(*PAUSE))  # noqa: S311 - jitter
        return "no_connection"
    except StoreUnavailable as error:
        _break_off(run, error)
        raise
    except TransientError as error:
        _put_off(run, account, error)
        return "transient"
    except NotFound:
        return "account_gone"
    except PermanentError as error:
        _give_up(run, account, error)
        return "permanent"
    except Exception as error:
        # One account's trouble is not the worker's.
        log.exception("a sync failed for a reason nobody foresaw")
        _put_off(run, account, TransientError(f"Internal error: {type(error).__name__}."))
        return "crashed"


def _sync(run: _Run, account: Account) -> str:
    if account.state in _NO_LOGIN:
        raise PermanentError(account.state_reason or "The account is paused.")
    runtime = run.runtime
    until = time.monotonic() + BUDGET
    found, more, changed = 0, False, False
    purpose: Purpose = "manual" if run.job.queue == MANUAL_QUEUE else "sync"
    with (
        runtime.budget.slot(account, purpose),
        using(open_session(runtime, account), "sync") as session,
    ):
        runtime.move(account, "active")
        synced = sync(session, runtime.pool, account)
        for committed in chain(synced, audit.take(session, runtime, account, run.job.reason)):
            found, changed = found + committed.stored.new, True
            _tell(run, account, committed)
            if time.monotonic() > until or _is_to_end(run) or session.throttled:
                more = True
                break
        if session.throttled:
            runtime.leave_alone(account, session.throttled)
    _finish(run, found=found, more=more)
    if found:
        return "found"
    return "changed" if changed else "unchanged"


def _is_to_end(run: _Run) -> bool:
    return run.runtime.stopping.is_set() or run.holder in run.runtime.lost


def _tell(run: _Run, account: Account, committed: Committed) -> None:
    arrived = committed.kind == "new"
    event = events.of_batch(account, committed.stored, _type(run.job, committed), announce=arrived)
    events.publish(run.runtime.redis, event)
    if one := committed.progress:
        told = events.of_progress(
            account,
            committed.stored,
            done=one.done,
            total=one.total,
            rate=one.rate,
            left=one.left,
        )
        events.publish(run.runtime.redis, told)
    outbound = committed.stored.new - committed.stored.inbound
    MESSAGES_SYNCED.labels(direction="inbound").inc(committed.stored.inbound)
    MESSAGES_SYNCED.labels(direction="outbound").inc(outbound)
    MESSAGES_SET_ASIDE.inc(len(committed.batch.set_aside))
    if arrived:
        now = datetime.now(UTC)
        for incoming in committed.batch.incoming:
            age = (now - incoming.internaldate).total_seconds()
            FRESHNESS.labels(leg="stored").observe(max(age, 0))
    if committed.batch.set_aside:
        log.warning("messages set aside", count=len(committed.batch.set_aside))


def _type(job: Job, committed: Committed) -> events.Type:
    if committed.kind in ("reset", "flags", "expunged"):
        return committed.kind
    return "push" if job.reason == "push" else "sync"


def _finish(run: _Run, *, found: int, more: bool) -> None:
    with transaction(run.runtime.pool) as connection:
        if not more:
            accounts.looked_at(connection, run.job.account_id)
            mailboxes.checked(connection, run.job.account_id)
        state = jobs.finish(connection, run.job, run.holder, found=found, more=more)
    _queue_again(run, state)


def _postpone(run: _Run, reason: str, seconds: float) -> None:
    """No attempt is made now, and so none has failed; the job says why."""
    with transaction(run.runtime.pool) as connection:
        state = jobs.postpone(connection, run.job, run.holder, reason, seconds)
    _queue_again(run, state, seconds)


def _put_off(run: _Run, account: Account, error: TransientError) -> None:
    delay = _delay(run.job, error)
    if isinstance(error, ServerBusy):
        run.runtime.leave_alone(account, error)
    with transaction(run.runtime.pool) as connection:
        state = jobs.put_off(connection, run.job, run.holder, str(error), delay)
        if state == "failed":
            accounts.failed(connection, account.id)
    log.info("attempt failed", error=str(error), kind=type(error).__name__, state=state)
    busy = isinstance(error, ServerBusy)
    if (state == "failed" and not busy) or account.state == "connecting":
        run.runtime.move(account, "unreachable", str(error))
    _told_failed(run, account, state, error)
    _queue_again(run, state, delay)


def _break_off(run: _Run, error: StoreUnavailable) -> None:
    """Put the job off once the database answers; else its hold runs out, and the sweep finds it.

    What the database did is no fault of the account's, whose state stays as it is.
    """
    for pause in _PAUSES:
        if run.runtime.stopping.wait(pause):
            return
        delay = _delay(run.job, error)
        with suppress(StoreUnavailable, NotFound):
            with transaction(run.runtime.pool) as connection:
                state = jobs.put_off(connection, run.job, run.holder, str(error), delay)
                account = accounts.get(connection, run.job.account_id)
            _told_failed(run, account, state, error)
            _queue_again(run, state, delay)
            return


def _delay(job: Job, error: TransientError) -> float:
    if isinstance(error, ServerBusy):
        return error.retry_after
    return BACKOFF * float(2**job.attempts) * random.uniform(1, 2)  # noqa: S311 - jitter


def _give_up(run: _Run, account: Account, error: PermanentError) -> None:
    with transaction(run.runtime.pool) as connection:
        state = jobs.give_up(connection, run.job, run.holder, str(error))
        accounts.failed(connection, account.id)
    log.info("job given up", error=str(error), kind=type(error).__name__)
    if account.state not in _NO_LOGIN:
        refused = isinstance(error, AuthenticationFailed | CredentialUnreadable)
        run.runtime.move(account, "auth_failed" if refused else "unreachable", str(error))
    _told_failed(run, account, state, error)
    _queue_again(run, state)


def _told_failed(run: _Run, account: Account, state: JobState | None, error: Exception) -> None:
    if state == "failed":
        events.publish(run.runtime.redis, events.of_failure(account, str(error)))


def _queue_again(run: _Run, state: JobState | None, delay: float | None = None) -> None:
    if state not in {"waiting", "delayed"}:
        return
    try:
        with transaction(run.runtime.pool) as connection:
            # As it is now: a person may have asked meanwhile, and then it is another queue.
            job = jobs.get_of_user(connection, run.job.user_id, run.job.id)
        enqueue(run.runtime.broker, job.id, job.queue, delay)
    except (QueueUnavailable, StoreUnavailable):
        log.warning("job not queued; the sweep will")
    except NotFound:
        return
