"""The road to Redis, in threads of its own.

What Redis does, or fails to do, never holds up a reader: only this module waits for it, and a
caller waits for this module no longer than it wants to. Jobs that could not be put on the queue
are rows already, and the watcher's sweep finds them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import redis

from postwire import events, jobs
from postwire.errors import QueueUnavailable
from postwire.events import Event
from postwire.metrics import EVENTS_DROPPED, JOBS_UNTOLD, POSITIONS_FAILED
from postwire.model import AccountId
from postwire.store.jobs import Asked

_THREADS = 4
#: What waits for a thread at most; beyond it Redis is out, and more would only be later.
_BACKLOG = 256
#: Seconds a probe waits for Redis.
_PROBE = 0.5

T = TypeVar("T")


class Queue:
    """Puts jobs on their queues and tells events."""

    def __init__(self, url: str) -> None:
        self._redis = jobs.make_redis(url)
        self._broker = jobs.make_broker(self._redis)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="redis")
        self._room = threading.BoundedSemaphore(_BACKLOG)

    def enqueue(self, asked: Sequence[Asked]) -> Future[None]:
        """Put those of the jobs on their queues that have to be.

        The future fails with `QueueUnavailable` when Redis does not answer.
        """
        told = [(job.id, job.queue) for job in asked if job.enqueue]
        future = self._submit(jobs.enqueue_all, self._broker, told)
        future.add_done_callback(lambda done: _count_untold(done, len(told)))
        return future

    def fetch(self, account_id: AccountId) -> Future[None]:
        """Have the account's attachments fetched that are asked for.

        The future fails with `QueueUnavailable` when Redis does not answer.
        """
        return self._submit(jobs.enqueue_fetch, self._broker, account_id)

    def publish(self, event: Event) -> None:
        """Tell everyone, some time soon; never fails the caller."""
        future = self._submit(events.publish, self._redis, event)
        future.add_done_callback(_count_dropped)

    def forget(self, account_id: AccountId) -> None:
        """Take out what Redis keeps of an account, some time soon; never fails the caller."""
        future = self._submit(events.forget, self._redis, account_id)
        future.add_done_callback(_count_unforgotten)

    def check(self) -> str | None:
        """What is wrong with Redis in words, or None."""
        try:
            self._submit(self._redis.ping).result(timeout=_PROBE)
        except (redis.RedisError, QueueUnavailable, TimeoutError):
            return "Redis does not answer; syncs that are asked for start when it does"
        return None

    def close(self) -> None:
        """Begin nothing more; what has begun ends by its own timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def _submit(self, call: Callable[..., T], *args: object) -> Future[T]:
        if not self._room.acquire(blocking=False):
            refused: Future[T] = Future()
            refused.set_exception(QueueUnavailable("Too much waits for Redis already."))
            return refused
        future = self._threads.submit(call, *args)
        future.add_done_callback(lambda _: self._room.release())
        return future


def _count_untold(future: Future[None], jobs_in_it: int) -> None:
    if future.cancelled() or future.exception():
        JOBS_UNTOLD.inc(jobs_in_it)


def _count_dropped(future: Future[None]) -> None:
    if future.cancelled() or future.exception():
        EVENTS_DROPPED.labels(reason="backlog").inc()


def _count_unforgotten(future: Future[None]) -> None:
    if future.cancelled() or future.exception():
        POSITIONS_FAILED.labels(reason="forgotten").inc()
