from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as Refused

from postwire_gateway.main import Gateway
from support.gateway import Browse, MakeEvent, Metric, Raw, Sign, Tell, until

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
    left = await browser.call("leave", both)

    assert joined == {"ok": True, "joined": ["user:u1", "account:a2"]}
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
    browser = await browse(running.port, token(seconds=-29))

    await browser.disconnect()
    await asyncio.sleep(1.2)

    assert metric("postwire_sockets_cut_total", reason="expired") == before
