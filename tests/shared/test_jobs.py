"""The road from whoever asks to the worker."""

from __future__ import annotations

import time

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from postwire import jobs
from postwire.errors import QueueUnavailable
from postwire.model import AccountId, JobId


def queue_length(url: str, name: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.llen(f"dramatiq:{name}"))  # type: ignore[arg-type]


def test_a_person_and_the_machine_have_queues_of_their_own(redis_url: str) -> None:
    # Given a broker
    broker = jobs.make_broker(jobs.make_redis(redis_url))
    # When jobs are asked for by a person and by the machine
    jobs.enqueue_all(
        broker,
        [
            (JobId("one"), jobs.MANUAL_QUEUE),
            (JobId("two"), jobs.QUEUE),
            (JobId("three"), jobs.QUEUE),
        ],
    )
    # Then each waits where it belongs
    assert queue_length(redis_url, jobs.MANUAL_QUEUE) == 1
    assert queue_length(redis_url, jobs.QUEUE) == 2
    # And a worker that has fetched one without ending it has not made it disappear
    assert [jobs.count_queued(broker, queue) for queue in jobs.QUEUES] == [2, 1]
    broker.consume(jobs.QUEUE, prefetch=1, timeout=500).__next__()
    assert jobs.count_queued(broker, jobs.QUEUE) == 2
    broker.client.close()


def test_a_message_names_the_actor_and_carries_the_id_alone() -> None:
    # Given a broker that keeps what it gets
    broker = StubBroker()
    broker.declare_queue(jobs.QUEUE)
    # When a job is put on its queue
    jobs.enqueue(broker, JobId("sync-x-1"), "sync")
    # Then the message says what a worker needs and no more
    message = dramatiq.Message.decode(broker.queues[jobs.QUEUE].get(timeout=1))
    assert (message.actor_name, message.queue_name) == (jobs.ACTOR, jobs.QUEUE)
    assert message.args == ("sync-x-1",)
    assert (message.kwargs, message.options) == ({}, {})


def test_attachments_are_asked_for_by_name_on_the_manual_queue() -> None:
    # Given a broker that keeps what it gets
    broker = StubBroker()
    broker.declare_queue(jobs.MANUAL_QUEUE)
    # When attachments of an account are asked for
    jobs.enqueue_fetch(broker, AccountId("a"))
    # Then the message names the actor and the account
    message = dramatiq.Message.decode(broker.queues[jobs.MANUAL_QUEUE].get(timeout=1))
    assert (message.actor_name, message.args) == (jobs.FETCH_ACTOR, ("a",))


def test_a_job_with_a_delay_waits_in_the_delay_queue(redis_url: str) -> None:
    # Given a broker
    broker = jobs.make_broker(jobs.make_redis(redis_url))
    # When a job is put off
    jobs.enqueue(broker, JobId("one"), "sync", delay=1.5)
    # Then it is not among those that are due
    assert queue_length(redis_url, jobs.QUEUE) == 0
    assert queue_length(redis_url, f"{jobs.QUEUE}.DQ") == 1
    broker.client.close()


def test_a_redis_that_is_gone_is_named_at_once() -> None:
    # Given nobody at the address
    broker = jobs.make_broker(jobs.make_redis("redis://127.0.0.1:1/0"))
    # When a job is put on its queue
    began = time.monotonic()
    with pytest.raises(QueueUnavailable):
        jobs.enqueue(broker, JobId("one"), "sync")
    # Then the caller knows soon
    assert time.monotonic() - began < 1


def test_a_redis_that_does_not_answer_is_named_within_seconds(redis_url: str) -> None:
    # Given a Redis that takes commands and answers none for a while
    broker = jobs.make_broker(jobs.make_redis(redis_url))
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(6000)
        # When a job is put on its queue
        began = time.monotonic()
        with pytest.raises(QueueUnavailable):
            jobs.enqueue(broker, JobId("one"), "sync")
        # Then the caller knows after two tries, not after a minute
        assert time.monotonic() - began < 3 * jobs.SOCKET_TIMEOUT
    broker.client.close()
