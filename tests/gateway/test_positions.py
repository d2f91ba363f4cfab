from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from postwire import events
from postwire_gateway import positions
from postwire_gateway.main import Gateway
from postwire_gateway.positions import Positions
from support.gateway import Browse, Metric, Sign
from support.relay import Relay, relay

#: Seconds within which an answer that is bounded to less must be there, on a busy machine.
SOON = 3.0


@pytest.fixture
async def known(redis_client: Redis) -> None:
    """An account's position."""
    await redis_client.zadd(events.POSITIONS, {"a1": events.score(2, 41)})


@pytest.fixture
def between(redis_url: str) -> Iterator[Relay]:
    """A relay before Redis."""
    port = urlsplit(redis_url).port
    assert port
    with relay(port) as made:
        yield made


@pytest.fixture
async def asked(redis_url: str, between: Relay) -> AsyncIterator[Positions]:
    """What is tested, with the relay between it and Redis."""
    made = Positions(redis_url.replace(str(urlsplit(redis_url).port), str(between.port)))
    yield made
    between.thaw()
    await made.close()


@pytest.mark.usefixtures("known")
async def test_the_newest_position_is_known_until_redis_is_wiped(
    asked: Positions, redis_client: Redis
) -> None:
    assert await asked.newest("a1") == (2, 41)
    assert await asked.newest("a2") is None

    await redis_client.flushall()

    assert await asked.newest("a1") is None


@pytest.mark.usefixtures("known")
async def test_a_redis_that_is_frozen_costs_little_time_and_is_asked_again_later(
    asked: Positions, between: Relay, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis that has answered, and then no longer does
    assert await asked.newest("a1") == (2, 41)
    failed = metric("postwire_positions_failed_total", reason="read")
    unasked = metric("postwire_positions_failed_total", reason="not_asked")
    between.freeze()

    # When three hundred rooms are joined one after the other
    began = time.monotonic()
    answers = [await asked.newest("a1") for _ in range(300)]

    # Then nothing is known, soon, and counted
    assert answers == [None] * 300
    assert time.monotonic() - began < SOON
    assert metric("postwire_positions_failed_total", reason="read") == failed + 1
    assert metric("postwire_positions_failed_total", reason="not_asked") == unasked + 299

    # When Redis answers again, so do we
    between.thaw()
    monkeypatch.setattr(asked, "_paused_until", 0)
    assert await asked.newest("a1") == (2, 41)


@pytest.mark.usefixtures("known")
async def test_many_who_ask_at_once_share_a_few_connections(
    asked: Positions, between: Relay
) -> None:
    answers = await asyncio.gather(*(asked.newest("a1") for _ in range(500)))

    assert answers == [(2, 41)] * 500
    assert between.connections <= positions._CONNECTIONS


async def test_more_questions_than_are_answered_soon_are_not_asked(
    asked: Positions, between: Relay, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "MAX_ASKED", 20)
    before = metric("postwire_positions_failed_total", reason="not_asked")
    between.freeze()

    began = time.monotonic()
    answers = await asyncio.gather(*(asked.newest("a1") for _ in range(50)))

    assert answers == [None] * 50
    assert time.monotonic() - began < SOON
    assert metric("postwire_positions_failed_total", reason="not_asked") == before + 30


async def test_a_join_is_answered_though_redis_is_frozen(
    running: Gateway, browse: Browse, token: Sign, redis_client: Redis
) -> None:
    # Given a gateway whose Redis answers nothing for a while
    browser = await browse(running.port, token())
    await redis_client.client_pause(5000)

    # Then joins are answered all the same
    answers = [await browser.call("join", {"accountId": "a1"}, timeout=SOON) for _ in range(50)]

    expected = {"ok": True, "joined": ["account:a1"], "position": None}
    assert answers == [expected] * 50
    await redis_client.client_unpause()
