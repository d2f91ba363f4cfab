from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from socketio.exceptions import ConnectionError as Refused

from postwire import events
from postwire_gateway.main import Gateway
from support.gateway import Browse, MakeEvent, Metric, Raw, Sign, Start, Tell, until

BOTH = pytest.mark.parametrize("transport", ["websocket", "polling"])


@BOTH
async def test_a_browser_without_a_token_is_refused_in_words(
    running: Gateway, browse: Browse, transport: str
) -> None:
    with pytest.raises(Refused, match="realtime-token"):
        await browse(running.port, None, transport=transport)


@BOTH
@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"seconds": -60}, "expired"),
        ({"secret": "another secret of more than 32 bytes"}, "Signature"),
        ({"audience": "postwire"}, "Audience"),
    ],
)
async def test_a_bad_token_is_refused_in_words(
    running: Gateway, browse: Browse, token: Sign, transport: str, flaw: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await browse(running.port, token(**flaw), transport=transport)


@pytest.mark.parametrize("auth", ["text", ["list"], {"token": 5}, {"token": "\udcff"}, {"x": 1}])
async def test_an_auth_that_is_no_token_is_refused(
    running: Gateway, raw: Raw, auth: object, metric: Metric
) -> None:
    # Given a socket that has not authenticated
    socket = await raw(running.port)
    before = metric("postwire_sockets_connected")

    # When it sends something else than a token
    await socket.send_str("40" + json.dumps(auth))

    # Then it is told so, and counts as connected no more than before
    assert (await socket.receive_str(timeout=5)).startswith('44{"message":"')
    assert metric("postwire_sockets_connected") == before


@BOTH
async def test_a_browser_joins_and_leaves_the_rooms_of_its_token(
    running: Gateway, browse: Browse, token: Sign, transport: str
) -> None:
    browser = await browse(running.port, token(), transport=transport)

    both = {"userId": "u1", "accountId": "a2"}
    joined = await browser.call("join", both)
    again = await browser.call("join", {"userId": "u1"})
    left = await browser.call("leave", both)

    assert joined == {"ok": True, "joined": ["user:u1", "account:a2"], "position": None}
    assert again == {"ok": True, "joined": ["user:u1"]}
    assert left == {"ok": True, "left": ["user:u1", "account:a2"]}


@pytest.mark.parametrize("verb", [("join", "joined"), ("leave", "left")])
@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"accountId": "a9"}, "does not open the room of this account"),
        ({"userId": "u9"}, "does not open the room of this user"),
        ({"userId": "u1", "accountId": "a9"}, "does not open"),
        ({"accountId": "x" * 201}, "1 to 200 characters"),
        ({"accountId": ""}, "1 to 200 characters"),
        ({"accountId": 5}, "must be a string"),
        ({"accountId": {"$ne": None}}, "must be a string"),
        ({"accountId": None}, "Name a userId"),
        ({}, "Name a userId"),
        ("a1", "Send one object"),
        (["a1"], "Send one object"),
        (None, "Send one object"),
        (({"accountId": "a1"}, {"accountId": "a2"}), "Send one object"),
    ],
)
async def test_what_may_not_be_joined_is_refused_in_words(
    running: Gateway,
    browse: Browse,
    token: Sign,
    verb: tuple[str, str],
    payload: object,
    words: str,
) -> None:
    event, done = verb
    browser = await browse(running.port, token())

    answer = await browser.call(event, payload)

    assert answer == {"ok": False, done: [], "error": answer["error"]}
    assert words in answer["error"]


async def test_an_id_that_is_no_text_is_refused_like_any_other(
    running: Gateway, raw: Raw, token: Sign
) -> None:
    socket = await raw(running.port, token())

    await socket.send_str(r'420["join",{"accountId":"\udcff"}]')

    assert "does not open" in await socket.receive_str(timeout=5)


async def test_a_refused_join_joins_nothing(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    browser = await browse(running.port, token())
    assert not (await browser.call("join", {"userId": "u1", "accountId": "a9"}))["ok"]

    await tell(event())

    assert await browser.hears_nothing()


async def test_a_browser_joins_no_room_by_itself(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    browser = await browse(running.port, token())

    await tell(event())

    assert await browser.hears_nothing()


async def test_a_room_that_was_left_is_silent(
    running: Gateway, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    browser = await browse(running.port, token(), accountId="a1")
    await browser.call("leave", {"accountId": "a1"})

    await tell(event())

    assert await browser.hears_nothing()


async def test_unknown_events_are_ignored(running: Gateway, browse: Browse, token: Sign) -> None:
    browser = await browse(running.port, token())

    await browser.emit("drop table", {"x": 1})

    assert (await browser.call("join", {"accountId": "a1"}))["ok"]


@BOTH
async def test_a_browser_is_told_that_its_token_expired_and_disconnected(
    running: Gateway, browse: Browse, token: Sign, transport: str
) -> None:
    # Given a token that is accepted for two more seconds, thanks to the clocks' leeway
    browser = await browse(running.port, token(seconds=-28), transport=transport, accountId="a1")

    # Then it is told so and disconnected
    name, payload = await browser.next()
    assert (name, list(payload)) == ("token:expired", ["reason"])
    assert "expired" in payload["reason"]
    await asyncio.wait_for(browser.gone.wait(), 5)


async def test_connected_sockets_are_counted(
    running: Gateway, browse: Browse, token: Sign, metric: Metric
) -> None:
    before = metric("postwire_sockets_connected")
    browsers = [await browse(running.port, token()) for _ in range(3)]
    assert metric("postwire_sockets_connected") == before + 3

    for browser in browsers:
        await browser.disconnect()

    await until(lambda: metric("postwire_sockets_connected") == before)


async def test_a_browser_that_left_does_not_expire(
    running: Gateway, browse: Browse, token: Sign, metric: Metric
) -> None:
    before = metric("postwire_sockets_cut_total", reason="expired")
    browser = await browse(running.port, token(seconds=-27))

    await browser.disconnect()
    await asyncio.sleep(3.2)

    assert metric("postwire_sockets_cut_total", reason="expired") == before


async def test_who_joins_is_told_how_far_the_account_is(
    running: Gateway, browse: Browse, token: Sign, redis_url: str, event: MakeEvent
) -> None:
    browser = await browse(running.port, token())
    with redis.Redis.from_url(redis_url) as client:
        for revision in (8, 12, 9):
            events.publish(client, event(epoch=3, revision=revision))

        first = await browser.call("join", {"accountId": "a1", "userId": "u1"})
        other = await browser.call("join", {"accountId": "a2"})
        client.flushall()
        wiped = await browser.call("join", {"accountId": "a1"})

    assert first["position"] == {"epoch": 3, "revision": 12}
    assert other["position"] is None
    assert wiped == {"ok": True, "joined": ["account:a1"], "position": None}


@BOTH
async def test_a_new_token_takes_the_old_ones_place_on_the_open_connection(
    running: Gateway,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    metric: Metric,
    transport: str,
) -> None:
    # Given a browser in two rooms whose token is accepted for two more seconds
    old = token(accounts=("a1", "a2"), seconds=-28)
    browser = await browse(running.port, old, transport=transport, accountId="a1", userId="u1")
    assert (await browser.call("join", {"accountId": "a2"}))["ok"]
    before = metric("postwire_sockets_cut_total", reason="expired")

    # When it sends a new one, with another account in place of one of the two
    answer = await browser.call("token", {"token": token(accounts=("a1", "a3"))})

    # Then it is told until when that one lasts
    assert list(answer) == ["ok", "expiresAt"]
    left = datetime.fromisoformat(answer["expiresAt"]) - datetime.now(UTC)
    assert 880 < left.total_seconds() <= 900
    # And it may join what the new one opens only, and has left what it does not open
    assert (await browser.call("join", {"accountId": "a3"}))["ok"]
    assert not (await browser.call("join", {"accountId": "a2"}))["ok"]
    await tell(event(account_id="a2", count=0))
    await tell(event(account_id="a1", count=1))
    assert {(await browser.next())[0] for _ in range(2)} == {"email:synced", "email:new"}
    # And the old one's end passes unnoticed
    assert await browser.hears_nothing(2.5)
    assert browser.connected
    assert metric("postwire_sockets_cut_total", reason="expired") == before


async def test_a_connection_ends_with_the_token_it_has_now(
    running: Gateway, browse: Browse, token: Sign
) -> None:
    browser = await browse(running.port, token())

    assert (await browser.call("token", {"token": token(seconds=-28)}))["ok"]

    assert (await browser.next())[0] == "token:expired"
    await asyncio.wait_for(browser.gone.wait(), 5)


@pytest.mark.parametrize(
    ("flaws", "reason", "words"),
    [
        ({"user": "u2"}, "user", "another user"),
        ({"seconds": -60}, "token", "expired"),
        ({"secret": "another secret of more than 32 bytes"}, "token", "Signature"),
        ({"audience": "postwire"}, "token", "Audience"),
        (None, "no_token", "realtime-token"),
    ],
)
async def test_a_new_token_that_is_refused_changes_nothing(
    running: Gateway,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    metric: Metric,
    flaws: dict[str, Any] | None,
    reason: str,
    words: str,
) -> None:
    browser = await browse(running.port, token(), accountId="a1")
    before = metric("postwire_sockets_refused_total", reason=reason)
    payload = None if flaws is None else {"token": token(**{"accounts": ("a9",), **flaws})}

    answer = await browser.call("token", payload)

    assert answer == {"ok": False, "error": answer["error"]}
    assert words in answer["error"]
    assert metric("postwire_sockets_refused_total", reason=reason) == before + 1
    await tell(event(count=0))
    assert (await browser.next())[0] == "email:synced"
    assert (await browser.call("join", {"accountId": "a2"}))["ok"]
    assert not (await browser.call("join", {"accountId": "a9"}))["ok"]


@BOTH
async def test_a_user_has_so_many_connections_and_no_more(
    start: Start, browse: Browse, token: Sign, metric: Metric, transport: str
) -> None:
    # Given a user with as many connections as one may have
    gateway = await start(user_connections=2)
    first, _ = [await browse(gateway.port, token(), transport=transport) for _ in range(2)]
    before = metric("postwire_sockets_refused_total", reason="connections")

    # When one more is opened, it is refused in words; another user's is not
    with pytest.raises(Refused, match="Too many connections of this user"):
        await browse(gateway.port, token(), transport=transport)
    await browse(gateway.port, token("u2"), transport=transport)
    assert metric("postwire_sockets_refused_total", reason="connections") == before + 1

    # When one of them is closed, there is room again
    connected = metric("postwire_sockets_connected")
    await first.disconnect()
    await until(lambda: metric("postwire_sockets_connected") == connected - 1)
    assert (await browse(gateway.port, token(), transport=transport)).connected
