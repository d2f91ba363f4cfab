"""Workers wait for the queue, and are woken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import redis
from dramatiq.errors import ConnectionClosed

from postwire import jobs
from postwire.broker import Broker, Consumer
from postwire.model import JobId

#: Milliseconds a consumer waits at most; the tests' own patience is longer.
LONG = 1_500
PATIENCE = 10.0


@pytest.fixture
def broker(redis_url: str) -> Iterator[Broker]:
    client = jobs.make_redis(redis_url)
    yield jobs.make_broker(client)
    client.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def consume(broker: Broker, queue: str = jobs.QUEUE, prefetch: int = 4) -> Consumer:
    consumer = broker.consume(queue, prefetch, LONG)
    assert isinstance(consumer, Consumer)
    return consumer


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def waiting(url: str) -> int:
    """How many consumers Redis lets wait."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("clients")["blocked_clients"])  # type: ignore[index]


def begin(threads: ThreadPoolExecutor, redis_url: str, *consumers: Consumer) -> list[Future[Any]]:
    """Have each look for a message, and wait until Redis lets them all wait."""
    # It may have begun to wait a moment ago, and have all its time before it.
    looking = [threads.submit(consumer.__next__) for consumer in consumers]
    assert eventually(lambda: waiting(redis_url) == len(consumers))
    return looking


def ids(*messages: Any) -> list[str]:
    return [message.args[0] for message in messages if message]


def test_the_look_that_waits_is_the_one_that_finds(
    broker: Broker, redis_url: str, threads: ThreadPoolExecutor
) -> None:
    # Given a consumer that has looked, found nothing, and waits
    (look,) = begin(threads, redis_url, consume(broker))
    # When a job is put on its queue
    jobs.enqueue(broker, JobId("one"), jobs.QUEUE)
    # Then that same look brings it
    assert ids(look.result(PATIENCE)) == ["one"]


def test_who_waits_for_nothing_says_so_in_time(broker: Broker) -> None:
    assert consume(broker).__next__() is None


def test_messages_come_in_their_order(broker: Broker) -> None:
    # Given more jobs than are fetched at once
    names = [str(n) for n in range(7)]
    jobs.enqueue_all(broker, [(JobId(name), jobs.QUEUE) for name in names])
    consumer = consume(broker, prefetch=2)
    # When they are taken one by one
    found = []
    for _ in names:
        message = consumer.__next__()
        found += ids(message)
        consumer.ack(message)
    # Then nobody who waited has put one before another
    assert found == names


@pytest.mark.parametrize("end", ["ack", "nack"])
def test_room_is_seen_at_once(broker: Broker, threads: ThreadPoolExecutor, end: str) -> None:
    # Given a consumer with room for one, which it has, and another that is queued
    jobs.enqueue_all(broker, [(JobId("one"), jobs.QUEUE), (JobId("two"), jobs.QUEUE)])
    consumer = consume(broker, prefetch=1)
    first = consumer.__next__()
    assert ids(first) == ["one"]
    look = threads.submit(consumer.__next__)
    assert not look.done()
    # When the first has come to its end
    getattr(consumer, end)(first)
    # Then the look that waited for room brings the second
    assert ids(look.result(PATIENCE)) == ["two"]


def test_all_who_wait_are_woken_and_one_gets_it(
    broker: Broker, redis_url: str, threads: ThreadPoolExecutor
) -> None:
    # Given three processes that wait
    clients = [jobs.make_redis(redis_url) for _ in range(3)]
    looks = begin(threads, redis_url, *(consume(jobs.make_broker(one)) for one in clients))
    # When one job is put on the queue
    jobs.enqueue(broker, JobId("one"), jobs.QUEUE)
    # Then one of them has it
    assert ids(*(look.result(PATIENCE) for look in looks)) == ["one"]
    # And nothing is left behind
    assert broker.client.llen(f"dramatiq:{jobs.QUEUE}") == 0
    for client in clients:
        client.close()


def test_a_redis_that_is_wiped_meanwhile_is_waited_at_on(
    broker: Broker, redis_url: str, threads: ThreadPoolExecutor
) -> None:
    # Given a consumer that waits, and a Redis that forgets everything
    (look,) = begin(threads, redis_url, consume(broker))
    broker.client.flushall()
    # When a job is put on its queue
    jobs.enqueue(broker, JobId("one"), jobs.QUEUE)
    # Then it is found
    assert ids(look.result(PATIENCE)) == ["one"]


def test_a_connection_that_is_cut_meanwhile_is_made_anew(
    broker: Broker, redis_url: str, threads: ThreadPoolExecutor
) -> None:
    # Given a consumer that waits
    (look,) = begin(threads, redis_url, consume(broker))
    with redis.Redis.from_url(redis_url) as client:
        # When its connection is cut
        client.client_kill_filter(_type="normal", skipme=True)
    jobs.enqueue(broker, JobId("one"), jobs.QUEUE)
    # Then the job is found
    assert ids(look.result(PATIENCE)) == ["one"]


def test_a_redis_that_is_gone_is_told_in_dramatiq_s_words() -> None:
    # Given nobody at the address
    broker = jobs.make_broker(jobs.make_redis("redis://127.0.0.1:1/0"))
    # Then the worker's thread learns so, and comes back later
    with pytest.raises(ConnectionClosed):
        consume(broker).__next__()


def test_without_the_right_to_wait_it_looks_again_and_again(broker: Broker, redis_url: str) -> None:
    # Given a user who may do all but wait, as one made for an earlier release
    with redis.Redis.from_url(redis_url) as admin:
        admin.acl_setuser(
            "old", enabled=True, passwords=["+old"], keys=["*"], commands=["+@all", "-blmove"]
        )
        try:
            place = admin.connection_pool.connection_kwargs
            url = f"redis://old:old@{place['host']}:{place['port']}/{place.get('db', 0)}"
            client = jobs.make_redis(url)
            jobs.enqueue(broker, JobId("one"), jobs.QUEUE)
            # Then it finds what there is
            assert ids(consume(jobs.make_broker(client)).__next__()) == ["one"]
            client.close()
        finally:
            admin.acl_deluser("old")


def test_what_is_to_run_later_does_not_wait_for_another(broker: Broker) -> None:
    # Given a consumer of the delay queue that has a job at hand which will be due
    jobs.enqueue(broker, JobId("one"), jobs.QUEUE, delay=0.2)
    consumer = consume(broker, f"{jobs.QUEUE}.DQ")
    assert ids(consumer.__next__()) == ["one"]
    # When it looks for more
    broker.client.config_resetstat()
    assert consumer.__next__() is None
    # Then it has looked, and not waited until there is another, for it would be too late
    asked = broker.client.info("commandstats")
    assert "cmdstat_evalsha" in asked
    assert "cmdstat_blmove" not in asked
