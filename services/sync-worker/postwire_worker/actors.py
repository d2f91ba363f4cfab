"""The actors, and what the outcome of a sync means for its job and its account.

The job's row decides whether a run may begin and what comes after it; Dramatiq only carries the
id here. Commit, then tell: each batch is announced after its transaction.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

import dramatiq
import structlog

from postwire import events
from postwire.errors import (
    AuthenticationFailed,
    CredentialUnreadable,
    CursorMoved,
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
from postwire.store.pool import transaction
from postwire_worker import attachments
from postwire_worker.imap import connect
from postwire_worker.runtime import Runtime
from postwire_worker.sync import Committed, sync

#: Seconds a run may take before it makes way for others; it goes on where it stopped.
BUDGET = 20.0
#: Milliseconds after which a run is broken off: a batch that hangs in spite of all timeouts.
_TIME_LIMIT = 10 * 60 * 1000
#: Seconds before the second attempt; doubled before the third.
_BACKOFF = 5.0
#: Seconds a server may make us wait at most.
_LONGEST_WAIT = 60 * 60.0
#: States in which no login is tried.
_NO_LOGIN = ("paused", "auth_failed")

log = structlog.get_logger()


def declare(runtime: Runtime, attachment_limit: int) -> None:
    """Make the actors known to the broker; attachments have at most `attachment_limit` bytes."""

    @dramatiq.actor(
        broker=runtime.broker,
        queue_name=QUEUE,
        actor_name=ACTOR,
        time_limit=_TIME_LIMIT,
        notify_shutdown=True,
    )
    def sync_account(job_id: str) -> None:
        run(runtime, JobId(job_id))

    @dramatiq.actor(
        broker=runtime.broker,
        queue_name=MANUAL_QUEUE,
        actor_name=FETCH_ACTOR,
        time_limit=_TIME_LIMIT,
        notify_shutdown=True,
    )
    def fetch_attachment(account_id: str) -> None:
        attachments.run(runtime, AccountId(account_id), attachment_limit)


def run(runtime: Runtime, job_id: JobId) -> None:
    """Run the job if it is due and nobody has it."""
    with transaction(runtime.pool) as connection:
        job = jobs.claim(connection, job_id, runtime.holder)
    if job is None:
        return
    started = time.monotonic()
    outcome = "crashed"
    with structlog.contextvars.bound_contextvars(account=job.account_id, job=job.id):
        try:
            outcome = _attempt(runtime, job)
        finally:
            SYNC_SECONDS.labels(outcome=outcome).observe(time.monotonic() - started)


def _attempt(runtime: Runtime, job: Job) -> str:  # noqa: PLR0911 - a table
    try:
        with transaction(runtime.pool) as connection:
            account = accounts.get(connection, job.account_id)
    except NotFound:
        return "account_gone"
    try:
        return _sync(runtime, job, account)
    except CursorMoved:
        _finish(runtime, job, found=0, more=True)
        return "lost_race"
    except StoreUnavailable:
        # Nothing can be written now: the hold runs out, and the sweep queues the job again.
        raise
    except TransientError as error:
        _put_off(runtime, job, account, error)
        return "transient"
    except NotFound:
        return "account_gone"
    except PermanentError as error:
        _give_up(runtime, job, account, error)
        return "permanent"
    except Exception as error:
        log.exception("a sync failed for a reason nobody foresaw")
        _put_off(runtime, job, account, TransientError(f"Internal error: {type(error).__name__}."))
        return "crashed"


def _sync(runtime: Runtime, job: Job, account: Account) -> str:
    if account.state in _NO_LOGIN:
        raise PermanentError(account.state_reason or "The account is paused.")
    until = time.monotonic() + BUDGET
    found, more = 0, False
    with connect(account, runtime.password(account), runtime.ssl_context, "sync") as session:
        runtime.move(account, "active")
        for committed in sync(session, runtime.pool, account):
            found += committed.stored.new
            _tell(runtime, job, account, committed)
            if time.monotonic() > until:
                more = True
                break
    _finish(runtime, job, found=found, more=more)
    return "found" if found else "unchanged"


def _tell(runtime: Runtime, job: Job, account: Account, committed: Committed) -> None:
    arrived = committed.kind == "new"
    event = events.of_batch(account, committed.stored, _type(job, committed), announce=arrived)
    events.publish(runtime.redis, event)
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
    if committed.kind == "reset":
        return "reset"
    return "push" if job.reason == "push" else "sync"


def _finish(runtime: Runtime, job: Job, *, found: int, more: bool) -> None:
    with transaction(runtime.pool) as connection:
        if not more:
            accounts.looked_at(connection, job.account_id)
            mailboxes.checked(connection, job.account_id)
        state = jobs.finish(connection, job, runtime.holder, found=found, more=more)
    _queue_again(runtime, job, state)


def _put_off(runtime: Runtime, job: Job, account: Account, error: TransientError) -> None:
    delay = _delay(job, error)
    with transaction(runtime.pool) as connection:
        state = jobs.put_off(connection, job, runtime.holder, str(error), delay)
        if state == "failed":
            accounts.failed(connection, account.id)
    log.info("attempt failed", error=str(error), kind=type(error).__name__, state=state)
    if state == "failed" or account.state == "connecting":
        runtime.move(account, "unreachable", str(error))
    _told_failed(runtime, account, state, error)
    _queue_again(runtime, job, state, delay)


def _delay(job: Job, error: TransientError) -> float:
    if isinstance(error, ServerBusy) and error.retry_after:
        return min(error.retry_after, _LONGEST_WAIT)
    return _BACKOFF * float(2**job.attempts) * random.uniform(1, 2)  # noqa: S311 - jitter


def _give_up(runtime: Runtime, job: Job, account: Account, error: PermanentError) -> None:
    with transaction(runtime.pool) as connection:
        state = jobs.give_up(connection, job, runtime.holder, str(error))
        accounts.failed(connection, account.id)
    log.info("job given up", error=str(error), kind=type(error).__name__)
    if account.state not in _NO_LOGIN:
        refused = isinstance(error, AuthenticationFailed | CredentialUnreadable)
        runtime.move(account, "auth_failed" if refused else "unreachable", str(error))
    _told_failed(runtime, account, state, error)
    _queue_again(runtime, job, state)


def _told_failed(
    runtime: Runtime, account: Account, state: JobState | None, error: Exception
) -> None:
    if state == "failed":
        events.publish(runtime.redis, events.of_failure(account, str(error)))


def _queue_again(
    runtime: Runtime, job: Job, state: JobState | None, delay: float | None = None
) -> None:
    if state not in {"waiting", "delayed"}:
        return
    try:
        enqueue(runtime.broker, job.id, job.reason, delay)
    except QueueUnavailable:
        log.warning("job not queued; the sweep will")
