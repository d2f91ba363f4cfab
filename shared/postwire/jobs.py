"""The road from whoever asks for a sync to the worker: a Dramatiq message, built by name.

The message carries a job's id and nothing else: what the job is, and whether it may run, is in
PostgreSQL (`store.jobs`). So the API never loads IMAP code, and Redis may be wiped at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable

import dramatiq
import redis
from dramatiq.errors import BrokerConnectionError
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from postwire import sentinel
from postwire.broker import Broker
from postwire.errors import QueueUnavailable
from postwire.model import AccountId, JobId

#: What the machine asks for, and what a person waits for; the latter has threads of its own.
QUEUE = "sync"
MANUAL_QUEUE = "sync.manual"
QUEUES = (QUEUE, MANUAL_QUEUE)
ACTOR = "sync_account"
FETCH_ACTOR = "fetch_attachment"

#: Seconds until an unanswered command to Redis fails.
SOCKET_TIMEOUT = 2.0


def make_redis(url: str) -> redis.Redis:
    """A client whose every wait is short; redis-py's own defaults hide an outage for a minute."""
    pool = sentinel.make_pool(
        url,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=SOCKET_TIMEOUT,
        health_check_interval=15,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.1), 1),
    )
    return redis.Redis.from_pool(pool)


def make_broker(client: redis.Redis) -> Broker:
    """The broker on `client`, which its caller closes; without any middleware.

    No `Retries`: an attempt that failed is a row with a due time, which survives Redis and the
    worker, while a delayed message is stranded by either (Bogdanp/dramatiq#527). Nor `TimeLimit`
    or `ShutdownNotifications`: an exception out of nowhere leaves locks behind that nobody opens
    again, the log's among them. The worker cuts connections instead.
    """
    broker = Broker(client=client, middleware=[])  # type: ignore[no-untyped-call]
    for queue in QUEUES:
        broker.declare_queue(queue)
    return broker


def enqueue(broker: dramatiq.Broker, job_id: JobId, queue: str, delay: float | None = None) -> None:
    """Put the job on `queue`, to be picked up after `delay` seconds.

    Raises:
        QueueUnavailable: Redis does not answer. The job's row is there; a sweep will find it.
    """
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=queue, actor_name=ACTOR, args=(job_id,), kwargs={}, options={}
    )
    _put(broker, message, delay)


def _put(broker: dramatiq.Broker, message: dramatiq.Message[None], delay: float | None) -> None:
    try:
        broker.enqueue(message, delay=None if delay is None else int(delay * 1000))
    except (redis.RedisError, BrokerConnectionError):
        raise QueueUnavailable("The queue does not answer; the sync starts later.") from None


def enqueue_all(broker: dramatiq.Broker, asked: Iterable[tuple[JobId, str]]) -> None:
    """Put each job on the queue named with it.

    Raises:
        QueueUnavailable: Redis does not answer; the jobs left over are for the sweep.
    """
    for job_id, queue in asked:
        enqueue(broker, job_id, queue)


def count_queued(broker: Broker, queue: str) -> int:
    """How many messages are on their way: queued, or with a worker.

    Raises:
        QueueUnavailable: Redis does not answer.
    """
    try:
        return int(broker.client.hlen(f"{broker.namespace}:{queue}.msgs"))
    except redis.RedisError:
        raise QueueUnavailable("The queue does not answer.") from None


def enqueue_fetch(
    broker: dramatiq.Broker, account_id: AccountId, delay: float | None = None
) -> None:
    """Have the attachments fetched that somebody asked for, after `delay` seconds.

    The rows of the requests say which.

    Raises:
        QueueUnavailable: Redis does not answer. The rows are there; a sweep will find them.
    """
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=MANUAL_QUEUE,
        actor_name=FETCH_ACTOR,
        args=(account_id,),
        kwargs={},
        options={},
    )
    _put(broker, message, delay)
