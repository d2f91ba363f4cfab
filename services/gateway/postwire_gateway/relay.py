"""From the Redis channel to the rooms.

Redis pub/sub keeps nothing: what is told while we are not subscribed is gone. So after each
(re)subscription everyone is told to look again (`resync`), and a message to ourselves, sent
through Redis every few seconds, proves that we are not connected yet deaf.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

import redis
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import EqualJitterBackoff, NoBackoff

from postwire import events, sentinel
from postwire.errors import BadEvent
from postwire.metrics import EVENTS_DROPPED, EVENTS_RELAYED, FRESHNESS
from postwire_gateway.spread import spread

#: Seconds a command may take; the client's default has changed between releases.
TIMEOUT = 5.0
#: Seconds between two messages to ourselves.
PROVE_EVERY = 5.0
#: Seconds without having heard one after which we count as deaf.
DEAF_AFTER = 15.0
#: Seconds over which browsers are told to look again, or each outage would end in a rush.
RESYNC_OVER = 5.0
#: Messages of one event whose age is measured; a batch of ours has fewer.
MEASURED = 1000
_BACKOFF = EqualJitterBackoff(cap=10, base=0.5)
#: Times a task is told to end, until it is left to the connection's end.
_CANCELS = 10

_EVENT_NAMES: dict[events.Type, str] = {
    "sync": "email:synced",
    "push": "email:synced",
    "flags": "email:synced",
    "expunged": "email:synced",
    "reset": "email:synced",
    "progress": "sync:progress",
    "failed": "sync:failed",
    "state": "account:state",
}

log = structlog.get_logger()


class Emitter(Protocol):
    """What the relay needs of a Socket.IO server."""

    manager: Any

    async def emit(self, event: str, data: object, *, to: str) -> None:
        """Send `event` to a room or a socket."""


class Relay:
    """Subscribed to Redis as long as the process lives."""

    def __init__(self, redis_url: str, server: Emitter) -> None:
        self._url = redis_url
        self._server = server
        self._own_channel = f"postwire:gateway:{secrets.token_hex(8)}"
        self._heard: float | None = None
        self._telling: asyncio.Task[None] | None = None

    def check(self) -> str | None:
        """What is wrong in words, or None."""
        heard = self._heard
        if heard is None:
            return "not subscribed to Redis"
        age = time.monotonic() - heard
        return f"deaf: the last self-test is {age:.0f} s old" if age > DEAF_AFTER else None

    async def run(self) -> None:
        """Relay until cancelled; whatever happens to Redis, subscribe again."""
        failures = 0
        while True:
            try:
                await self._relay_until_lost()
            except Exception as lost:  # noqa: BLE001 - a relay that ends is a deaf gateway
                failures = 1 if self._heard else failures + 1
                log.warning("relay lost", error=type(lost).__name__)
            finally:
                self._heard = None
                self._stop_telling()
            await asyncio.sleep(wait_after(failures))

    async def _relay_until_lost(self) -> None:
        async with _connect(self._url) as client, client.pubsub() as pubsub:
            await self._subscribe(pubsub)
            log.info("relay subscribed")
            self._telling = asyncio.create_task(self._resync_everyone())
            await _until_one_ends(self._prove(client), self._listen(pubsub))

    async def _subscribe(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(events.CHANNEL, self._own_channel)
        for _ in range(2):
            if await pubsub.get_message(timeout=TIMEOUT) is None:
                raise redis.TimeoutError("the subscription was not confirmed")

    async def _prove(self, client: Redis) -> None:
        """Talk to ourselves until we do not hear it.

        Not the listener's to find out: in a process that was stopped for a while (SIGSTOP, a frozen
        machine) its `get_message` may wait for ever, whatever its timeout.
        """
        began = time.monotonic()
        while time.monotonic() - (self._heard or began) < DEAF_AFTER:
            await client.publish(self._own_channel, b"")
            await asyncio.sleep(PROVE_EVERY)
        raise redis.TimeoutError("deaf")

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=1)
            if message is None or message["type"] != "message":
                continue
            if message["channel"] == events.CHANNEL.encode():
                await self._relay(message["data"])
            else:
                self._heard = time.monotonic()
            # Reading what has already arrived never yields to the loop by itself.
            await asyncio.sleep(0)

    async def _relay(self, data: bytes) -> None:
        try:
            event = events.decode(data)
        except BadEvent:
            # Its words quote the event.
            EVENTS_DROPPED.labels(reason="malformed").inc()
            log.warning("malformed event", size=len(data))
            return
        for name, room in emissions(event):
            await self._server.emit(name, event, to=room)
            EVENTS_RELAYED.labels(event=name).inc()
        _observe_freshness(event)

    def _stop_telling(self) -> None:
        if self._telling is not None:
            self._telling.cancel()

    async def _resync_everyone(self) -> None:
        reason = "Updates may have been missed; look again."
        sids = [sid for sid, _ in self._server.manager.get_participants("/", None)]
        async for sid in spread(sids, RESYNC_OVER):
            await self._server.emit("resync", {"reason": reason}, to=sid)
            EVENTS_RELAYED.labels(event="resync").inc()


def emissions(event: events.Event) -> Iterator[tuple[str, str]]:
    """The Socket.IO events and rooms that `event` goes out as."""
    name = _EVENT_NAMES[event.type]
    yield name, events.account_room(event.account_id)
    if name == "email:synced" and event.count > 0:
        yield "email:new", events.user_room(event.user_id)


def wait_after(failures: int) -> float:
    """Seconds before the next attempt after so many in a row that failed: 0.5 to 10, at random."""
    # The wait is at its cap long before, and after 1024 of them 2**n would overflow.
    return _BACKOFF.compute(min(failures, 10))


def _observe_freshness(event: events.Event) -> None:
    if event.count <= 0:
        return
    now = datetime.now(UTC)
    # Another machine's clock may be ahead of ours.
    FRESHNESS.labels(leg="pushed").observe(max(0.0, (now - event.timestamp).total_seconds()))
    for received_at in received(event):
        FRESHNESS.labels(leg="total").observe(max(0.0, (now - received_at).total_seconds()))


def received(event: events.Event) -> Iterator[datetime]:
    """When the server had each of the new messages, newest first.

    Newest and oldest are told; the others are taken to lie evenly between them. Each counts: after
    an outage one event tells of all that is late.
    """
    if event.received_at is None:
        return
    oldest = event.oldest_received_at or event.received_at
    step = (event.received_at - oldest) / max(event.count - 1, 1)
    for number in range(min(event.count, MEASURED)):
        yield event.received_at - number * step


def _connect(url: str) -> Redis:
    """A client that never retries by itself: each loss has to end in a `resync`."""
    pool = sentinel.make_async_pool(
        url,
        client_name="postwire-gateway",
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
    )
    return Redis.from_pool(pool)


async def _until_one_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it until one raises, then end the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        # Not a TaskGroup, which cancels once: redis-py can take that for its own timeout's end.
        for _ in range(_CANCELS):
            for task in tasks:
                task.cancel()
            if not (await asyncio.wait(tasks, timeout=0.5))[1]:
                break
