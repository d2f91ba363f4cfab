"""What happens by the clock: due accounts are asked for, what is stranded is queued again.

Any number of watchers may do so at once; rows that one has locked are passed over by the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import structlog

from postwire import events, keys
from postwire.errors import NotFound, QueueUnavailable
from postwire.jobs import (
    MANUAL_QUEUE,
    QUEUE,
    QUEUES,
    count_queued,
    enqueue_all,
    enqueue_fetch,
)
from postwire.metrics import (
    ACCOUNTS,
    ATTACHMENT_FETCHES,
    ATTACHMENTS_SWEPT,
    CLOCK_SET_BACK,
    JOBS_SWEPT,
    LIVE_PROCESSES,
    QUEUE_DEPTH,
    QUEUE_OLDEST,
    SEALED_SECRETS,
)
from postwire.model import AccountId, AccountState, JobId, Reason
from postwire.store import accounts, connections, contents, jobs, processes, wall_clock
from postwire.store.jobs import Stranded
from postwire.store.pool import transaction
from postwire.store.processes import Kind
from postwire_worker.runtime import Runtime

#: Accounts or jobs at a time: each ask is a savepoint, and PostgreSQL keeps 64 of them at hand.
_LIMIT = 50
#: Of these at a time; what is left is for the next tick.
_ROUNDS = 40

log = structlog.get_logger()


def ask_due(runtime: Runtime) -> None:
    """Ask for a sync of each account whose time has come."""
    # First, so that no account is put off by a clock that nobody has looked at.
    mind_the_clock(runtime)
    for _ in range(_ROUNDS):
        if _ask_some_due(runtime) < _LIMIT:
            break


def _ask_some_due(runtime: Runtime) -> int:
    with transaction(runtime.pool) as connection:
        due = accounts.take_due(connection, _LIMIT)
        # In one order with everyone else who asks, so that no two wait for each other.
        asked = [jobs.ask(connection, id_, user_id, "auto") for id_, user_id in sorted(due)]
    _enqueue(runtime, [(one.id, one.queue) for one in asked if one.enqueue])
    return len(due)


def ask_for(runtime: Runtime, account_id: AccountId, user_id: str, reason: Reason) -> None:
    """Ask for a sync of one account."""
    with transaction(runtime.pool) as connection:
        asked = jobs.ask(connection, account_id, user_id, reason)
    if asked.enqueue:
        _enqueue(runtime, [(asked.id, asked.queue)])


def sweep(runtime: Runtime) -> None:
    """Queue again what was lost on the way, or whose worker died."""
    for job in _again(runtime, jobs.sweep_dead):
        _tell_dead(runtime, job)
    _again(runtime, jobs.sweep_lost, MANUAL_QUEUE)
    _again(runtime, jobs.sweep_lost, QUEUE, most=_missing(runtime))


def _missing(runtime: Runtime) -> int:
    """How many more of the machine's jobs are due than are on their way.

    The others only wait for a worker, and each sweep would add as many to the queue again.
    """
    with transaction(runtime.pool) as connection:
        due = jobs.count_due(connection, QUEUE)
    try:
        return max(0, due - count_queued(runtime.broker, QUEUE))
    except QueueUnavailable as error:
        log.warning("jobs left to the next sweep", error=str(error))
        return 0


def _again(
    runtime: Runtime,
    sweep_some: Callable[..., list[Stranded]],
    *queue: str,
    most: int = _ROUNDS * _LIMIT,
) -> list[Stranded]:
    """Queue again what `sweep_some` finds, unless it has failed by now; all that was found."""
    swept: list[Stranded] = []
    for start in range(0, min(most, _ROUNDS * _LIMIT), _LIMIT):
        with transaction(runtime.pool) as connection:
            stranded = sweep_some(connection, *queue, min(_LIMIT, most - start))
        again = [(job.id, job.queue) for job in stranded if job.state != "failed"]
        if stranded:
            log.info("stranded jobs queued again", count=len(again))
            JOBS_SWEPT.inc(len(stranded))
        _enqueue(runtime, again)
        swept += stranded
        if len(stranded) < _LIMIT:
            break
    return swept


def _tell_dead(runtime: Runtime, job: Stranded) -> None:
    """Tell where the account stands: the worker may have died between a commit and its event."""
    failed = job.state == "failed"
    try:
        with transaction(runtime.pool) as connection:
            if failed:
                accounts.failed(connection, job.account_id)
            account = accounts.get(connection, job.account_id)
    except NotFound:
        return
    event = events.of_state(account)
    if failed:
        log.error("each worker that ran this job died", job=job.id)
        event = events.of_failure(account, "Each worker that ran it died.")
    events.publish(runtime.redis, event)


def sweep_attachments(runtime: Runtime) -> None:
    """Queue requests for attachments again, unless worker after worker died with one."""
    with transaction(runtime.pool) as connection:
        given_up = contents.give_up(connection, _LIMIT)
        stranded = contents.sweep(connection, _LIMIT)
    ATTACHMENT_FETCHES.labels(outcome="given_up").inc(given_up)
    ATTACHMENTS_SWEPT.inc(len(stranded))
    if stranded or given_up:
        log.info("stranded attachments", queued=len(stranded), given_up=given_up)
    try:
        for account_id in set(stranded):
            enqueue_fetch(runtime.broker, account_id)
    except QueueUnavailable as error:
        log.warning("attachments left to the next sweep", error=str(error))


def mind_the_clock(runtime: Runtime) -> None:
    """Where the database's clock was set back, let nothing wait until it shows that time again."""
    with transaction(runtime.pool) as connection:
        back = wall_clock.note(connection)
        if back:
            wall_clock.bring_nearer(connection, back)
    if back:
        CLOCK_SET_BACK.inc()
        log.warning("the database's clock was set back", seconds=round(back))


def forget_connections(runtime: Runtime) -> None:
    """Remove what is left of the connections of processes that died."""
    with transaction(runtime.pool) as connection:
        connections.forget_dead(connection)


def measure(runtime: Runtime) -> None:
    """Export how much waits, and for how long; PostgreSQL knows, Redis only thinks it does."""
    with transaction(runtime.pool) as connection:
        depths = jobs.depths(connection)
        alive = processes.count(connection)
        states = accounts.count_states(connection)
    found = {(depth.queue, depth.state): depth for depth in depths}
    for queue in QUEUES:
        for state in ("waiting", "active", "delayed"):
            depth = found.get((queue, state))
            QUEUE_DEPTH.labels(queue=queue, state=state).set(depth.jobs if depth else 0)
        waiting = found.get((queue, "waiting"))
        QUEUE_OLDEST.labels(queue=queue).set(waiting.oldest if waiting else 0)
    for kind in get_args(Kind):
        LIVE_PROCESSES.labels(kind=kind).set(alive.get(kind, 0))
    for account_state in get_args(AccountState):
        ACCOUNTS.labels(state=account_state).set(states.get(account_state, 0))


def measure_keys(runtime: Runtime) -> None:
    """Export how much is sealed with which key; it looks at every account."""
    sealed = dict.fromkeys(("current", "older", "unknown"), 0)
    for key, kinds in keys.status(runtime.pool).items():
        known = "older" if key in runtime.keyring.keys else "unknown"
        sealed["current" if key == runtime.keyring.current else known] += kinds.total()
    for name, number in sealed.items():
        SEALED_SECRETS.labels(key=name).set(number)


def _enqueue(runtime: Runtime, asked: Sequence[tuple[JobId, str]]) -> None:
    try:
        enqueue_all(runtime.broker, asked)
    except QueueUnavailable as error:
        # The rows are there: the sweep finds them as soon as Redis answers.
        log.warning("jobs left to the sweep", error=str(error))
