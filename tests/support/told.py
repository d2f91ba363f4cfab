"""Listening to what is told on Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from postwire import events
from postwire.events import CHANNEL, Event


class Told:
    """The events since listening began."""

    def __init__(self, subscription: redis.client.PubSub) -> None:
        self._subscription = subscription
        self._events: list[Event] = []

    def so_far(self, kind: str | None = None) -> list[Event]:
        """The events, of one type if one is named."""
        while message := self._subscription.get_message(timeout=0.05):
            if message["type"] == "message":
                self._events.append(events.decode(message["data"]))
        return [event for event in self._events if kind in {None, event.type}]

    def until(self, holds: Callable[[list[Event]], object], seconds: float = 10) -> list[Event]:
        """The events as soon as `holds` says so of them.

        Raises:
            AssertionError: it did not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not holds(heard := self.so_far()):
            assert time.monotonic() < deadline, f"told was only: {heard}"
        return heard


@contextmanager
def listening(url: str) -> Iterator[Told]:
    """Listen to the channel."""
    with redis.Redis.from_url(url) as client, client.pubsub() as subscription:
        subscription.subscribe(CHANNEL)
        # Only what is published after this answer is heard.
        subscription.get_message(timeout=5)
        yield Told(subscription)
