"""Dramatiq's broker on Redis, whose workers are woken instead of looking again and again.

All that is stored, and all that is said to Redis about messages, is Dramatiq's own: whoever
enqueues needs nothing of this, and with `RedisBroker` in its place all goes on, only later.

It leans on what `_RedisConsumer` keeps: `message_cache`, `queued_message_ids`, `misses`.
"""

from __future__ import annotations

import time
from threading import Event
from typing import Any

import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed

#: Seconds between looks where it cannot be waited: at what is to run later and is at hand, or where
#: Redis does not let us.
_POLL = 0.05


class Broker(RedisBroker):
    """`timeout` of what consumes is how long it waits at most; less than an answer may take."""

    @property
    def consumer_class(self) -> type[Consumer]:
        """What consumes a queue."""
        return Consumer


class Consumer(_RedisConsumer):
    """Hands messages out as soon as there is one and there is room for it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call]
        self._room = Event()
        self._key = f"{self.broker.namespace}:{self.queue_name}"
        self._delayed = self.queue_name in self.broker.delay_queues

    def __next__(self) -> Any:
        """The next message, or None where there was none for a while.

        Raises:
            ConnectionClosed: Redis is gone.
        """
        self._wait()
        # Dramatiq sleeps the longer the more often it found nothing. We have waited already.
        self.misses = 0
        return super().__next__()  # type: ignore[no-untyped-call]

    def ack(self, message: Any) -> None:
        """As Dramatiq does, and there is room for the next one."""
        try:
            super().ack(message)  # type: ignore[no-untyped-call]
        finally:
            self._room.set()

    def nack(self, message: Any) -> None:
        """As `ack`."""
        try:
            super().nack(message)  # type: ignore[no-untyped-call]
        finally:
            self._room.set()

    def _wait(self) -> None:
        if self.message_cache:
            return
        # Cleared before it is looked, so that no room made meanwhile is missed.
        self._room.clear()
        if self.outstanding_message_count >= self.prefetch:
            self._room.wait(self.timeout / 1000)
        elif self._delayed and self.queued_message_ids:
            time.sleep(_POLL)
        else:
            self._wait_for_message()

    def _wait_for_message(self) -> None:
        """Wait until the queue is not empty: its first is moved to where it is, which it stays."""
        try:
            self.broker.client.blmove(
                self._key, self._key, self.timeout / 1000, src="LEFT", dest="LEFT"
            )
        except redis.ConnectionError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        except redis.ResponseError:
            # We may not, or this Redis is the master no more; to fetch will tell what is wrong.
            time.sleep(_POLL)
