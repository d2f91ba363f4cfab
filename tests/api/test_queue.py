"""The road to Redis, while Redis answers and while it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for

import pytest
import redis
from prometheus_client import REGISTRY

from postwire.errors import QueueUnavailable
from postwire.events import Event
from postwire.jobs import MANUAL_QUEUE, QUEUE
from postwire.model import AccountId, JobId
from postwire.store.jobs import Asked
from postwire_api import queue as queues
from postwire_api.queue import Queue
from support.rows import NOON

EVENT = Event(
    account_id="a",
    user_id="ann",
    email_address="ann@example.com",
    count=0,
    timestamp=NOON,
    type="state",
    epoch=1,
    revision=1,
    state="paused",
)


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    """A queue over a Valkey of its own."""
    queue = Queue(redis_url)
    yield queue
    queue.close()


def total(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_attachments_are_asked_for_on_the_manual_queue(queue: Queue, redis_url: str) -> None:
    # When attachments of an account are asked for
    queue.fetch(AccountId("a")).result(timeout=5)
    # Then a worker that serves people hears of it
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(f"dramatiq:{MANUAL_QUEUE}") == 1


def test_jobs_are_put_where_they_belong_and_only_if_they_have_to_be(
    queue: Queue, redis_url: str
) -> None:
    # Given a job a person waits for, one the machine wants, and one that is queued already
    asked = [
        Asked(JobId("one"), enqueue=True, queue="sync.manual"),
        Asked(JobId("two"), enqueue=True, queue="sync"),
        Asked(JobId("three"), enqueue=False, queue="sync.manual"),
    ]
    # When they are put on their queues
    queue.enqueue(asked).result(timeout=5)
    # Then each is on its own, and the last one is not there a second time
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(f"dramatiq:{MANUAL_QUEUE}") == 1
        assert client.llen(f"dramatiq:{QUEUE}") == 1


def test_a_redis_that_is_gone_fails_the_future_soon_and_is_counted() -> None:
    # Given nobody at the address of Redis
    queue = Queue("redis://127.0.0.1:1/0")
    before = total("postwire_jobs_untold_total")
    # When a job is put on its queue
    began = time.monotonic()
    future = queue.enqueue([Asked(JobId("one"), enqueue=True, queue="sync.manual")])
    with pytest.raises(QueueUnavailable):
        future.result(timeout=5)
    # Then that fails soon, is counted, and the check says so
    assert time.monotonic() - began < 1
    assert total("postwire_jobs_untold_total") == before + 1
    assert "Redis does not answer" in str(queue.check())
    queue.close()


def test_an_event_that_cannot_be_told_fails_nobody(redis_url: str) -> None:
    # Given a queue that is closed to more
    queue = Queue(redis_url)
    queue._room = queues.threading.BoundedSemaphore(1)
    assert queue._room.acquire(blocking=False)
    before = total("postwire_events_dropped_total", reason="backlog")
    # When an event is told
    queue.publish(EVENT)
    # Then it is dropped and counted
    assert total("postwire_events_dropped_total", reason="backlog") == before + 1
    # When an account is removed, that it was not forgotten is counted
    unforgotten = total("postwire_positions_failed_total", reason="forgotten")
    queue.forget(AccountId("a"))
    assert total("postwire_positions_failed_total", reason="forgotten") == unforgotten + 1
    queue.close()


def test_what_waits_for_redis_is_bounded(queue: Queue, redis_url: str) -> None:
    # Given a Redis that answers nothing for a while
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(1000)
        job = [Asked(JobId("one"), enqueue=True, queue="sync.manual")]
        # When more is asked for than may wait
        futures: list[Future[None]] = [queue.enqueue(job) for _ in range(queues._BACKLOG + 10)]
        # Then what is over is refused at once, and not kept
        refused = [one for one in futures if one.done() and one.exception()]
        assert len(refused) == 10
        # And a check does not wait for its turn
        began = time.monotonic()
        assert queue.check() is not None
        assert time.monotonic() - began < 0.8
    # And when Redis answers again, so is what waited
    _, waiting = wait_for(futures, timeout=20)
    assert not waiting
    assert queue.check() is None
