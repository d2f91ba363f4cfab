"""The sync-worker: Dramatiq threads that run `sync_account`; `python -m postwire_worker`.

One process and no forks, so that its metrics are its own and Kubernetes does the restarting.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from queue import Empty, SimpleQueue

import dramatiq
import structlog
from dramatiq import Worker

from postwire import log, ops
from postwire.errors import QueueUnavailable, SettingsError, StoreUnavailable
from postwire.jobs import enqueue, enqueue_fetch
from postwire.settings import WorkerSettings, load
from postwire.store import contents, jobs, pool, processes
from postwire.store.pool import transaction
from postwire_worker.actors import declare
from postwire_worker.client import cut_overdue
from postwire_worker.ending import leave, on_signal
from postwire_worker.runtime import Runtime, make_runtime

#: Milliseconds that a thread with nothing to do waits until it looks whether it is to end.
_WORKER_TIMEOUT = 500
#: Milliseconds that running jobs have to come to their end.
_SHUTDOWN = 4_000
#: Seconds between two signs of life, of this process and for what it holds.
_HEARTBEAT = 2.5


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = load(WorkerSettings)
        log.set_up(settings.log_level, "sync-worker")
        runtime = make_runtime(settings, settings.worker_threads + 3, settings.audit_hours)
    except SettingsError as error:
        sys.stderr.write(f"postwire sync-worker: {error}\n")
        return 2
    # Not an Event, whose lock the main thread may hold when the signal comes.
    signals: SimpleQueue[None] = SimpleQueue()
    on_signal(lambda: signals.put(None))
    declare(runtime, attachment_limit=settings.attachment_limit_mb * 2**20)
    worker = make_worker(runtime.broker, settings.worker_queues, settings.worker_threads)
    _beat(runtime)
    worker.start()
    port = ops.serve(
        "sync-worker",
        settings.ops_host,
        settings.ops_port,
        live={"threads": lambda: _stopped_threads(worker)},
        ready={"database": lambda: pool.check(runtime.pool)},
    )
    structlog.get_logger().info("ready", ops_port=port, queues=settings.worker_queues)
    while not _told_to_stop(signals):
        cut_overdue()
        _beat(runtime)
        if runtime.runs:
            _hold(runtime)
    runtime.stopping.set()
    worker.stop(timeout=_SHUTDOWN)
    if runtime.runs:
        _let_go(runtime)
    _leave(runtime)
    runtime.close()
    return 0


def make_worker(broker: dramatiq.Broker, queues: Iterable[str], threads: int) -> Worker:
    """Dramatiq's worker with so many threads for the queues; it is not started yet."""
    worker = Worker(
        broker, queues=set(queues), worker_threads=threads, worker_timeout=_WORKER_TIMEOUT
    )
    # A sync takes seconds: what waits here would be kept from a worker that is free.
    worker.queue_prefetch = threads
    return worker


def _told_to_stop(signals: SimpleQueue[None]) -> bool:
    try:
        signals.get(timeout=_HEARTBEAT)
    except Empty:
        return False
    return True


def _stopped_threads(worker: Worker) -> str | None:
    dead = [thread for thread in worker.workers if not thread.is_alive()]
    return f"{len(dead)} worker threads have stopped" if dead else None


def _beat(runtime: Runtime) -> None:
    try:
        with transaction(runtime.pool) as connection:
            processes.beat(connection, runtime.holder, "sync-worker")
        runtime.budget.settle()
    except StoreUnavailable as error:
        structlog.get_logger().warning("no sign of life given", error=str(error))


def _leave(runtime: Runtime) -> None:
    # Without this it counts as alive for a few seconds more.
    with suppress(StoreUnavailable), transaction(runtime.pool) as connection:
        processes.leave(connection, runtime.holder)


def _hold(runtime: Runtime) -> None:
    try:
        runs = tuple(runtime.runs)
        with transaction(runtime.pool) as connection:
            held = jobs.hold(connection, runs) | contents.hold(connection, runs)
        runtime.lost.update(set(runs) - held)
    except StoreUnavailable as error:
        structlog.get_logger().warning("no sign of life given", error=str(error))


def _let_go(runtime: Runtime) -> None:
    """What this process still held goes to another at once, not when the hold has run out."""
    try:
        with transaction(runtime.pool) as connection:
            runs = tuple(runtime.runs)
            held = [jobs.let_go(connection, holder) for holder in runs]
            fetched = [contents.let_go(connection, holder) for holder in runs]
        for job in chain.from_iterable(held):
            enqueue(runtime.broker, job.id, job.queue)
        for account_id in chain.from_iterable(fetched):
            enqueue_fetch(runtime.broker, account_id)
    except (StoreUnavailable, QueueUnavailable) as error:
        structlog.get_logger().warning("what was held is left to the sweep", error=str(error))


if __name__ == "__main__":
    leave(main())
