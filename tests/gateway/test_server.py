from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from postwire_gateway import bucket, outbox, sweep
from postwire_gateway.main import Gateway
from support.gateway import (
    Browse,
    MakeEvent,
    Metric,
    Raw,
    Sign,
    Start,
    Tell,
    connect_packet,
    post_only,
)

ENDED = {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}


def handshake(port: int) -> None:
    return f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"


async def ended(socket: ClientWebSocketResponse) -> None:
    """Read on until the connection ends."""
    async with asyncio.timeout(10):
        while (await socket.receive()).type not in ENDED:
            pass
    return True


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost"])
async def test_a_foreign_origin_is_refused(
    running: Gateway, http: ClientSession, raw: Raw, origin: str
) -> None:
    answer = await http.get(handshake(running.port), headers={"Origin": origin})
    assert answer.status == 400
    assert "Access-Control-Allow-Origin" not in answer.headers

    with pytest.raises(WSServerHandshakeError):
        await raw(running.port, headers={"Origin": origin})


async def test_the_origins_of_the_settings_may_connect_with_credentials(
    running: Gateway, http: ClientSession
) -> None:
    answer = await http.get(handshake(running.port), headers={"Origin": "https://mail.example.com"})

    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://mail.example.com"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


async def test_the_gateways_own_origin_may_connect(running: Gateway, http: ClientSession) -> None:
    own = f"http://127.0.0.1:{running.port}"

    answer = await http.get(handshake(running.port), headers={"Origin": own})

    assert answer.status == 200


@pytest.mark.parametrize(
    "packet",
    [
        "4",  # nothing
        "4x",  # no such type
        "42",  # an event without a name
        '42[["join"],{}]',  # whose name is no text
        "42{}",
        '42["disconnect","x"]',  # one that only python-socketio itself may raise
        '42["connect",{},{}]',
        '451-["join",{"_placeholder":true,"num":0}]',  # one that promises attachments
        "4" + "2" * 4000,
        "42" + "[" * 15_000,
        "44{}",
        b"bytes",
    ],
)
async def test_a_client_that_breaks_the_protocol_is_cut_off(
    running: Gateway, browse: Browse, raw: Raw, token: Sign, metric: Metric, packet: str | bytes
) -> None:
    # Given an authenticated socket
    socket = await raw(running.port, token())
    before = metric("postwire_sockets_cut_total", reason="malformed")
    connected = metric("postwire_sockets_connected")

    # When it sends what no client of ours sends
    await (socket.send_bytes if isinstance(packet, bytes) else socket.send_str)(packet)

    # Then it is cut off, and nobody else notices
    assert await ended(socket)
    assert metric("postwire_sockets_cut_total", reason="malformed") == before + 1
    assert metric("postwire_sockets_connected") == connected - 1
    assert (await (await browse(running.port, token())).call("join", {"userId": "u1"}))["ok"]


async def test_a_packet_that_is_too_large_ends_the_connection(
    running: Gateway, raw: Raw, token: Sign
) -> None:
    socket = await raw(running.port, token())

    await socket.send_str('42["join",{"accountId":"%s"}]' % ("x" * 17_000))

    assert await ended(socket)


async def test_a_client_that_polls_and_breaks_the_protocol_is_cut_off(
    running: Gateway, http: ClientSession
) -> None:
    opened = await (await http.get(handshake(running.port))).text()
    sid = opened.split('"sid":"')[1].split('"')[0]
    address = f"{handshake(running.port)}&sid={sid}"

    await http.post(address, data="451-[]")

    async with asyncio.timeout(5):
        while (await http.get(address)).status != 400:
            pass


async def test_a_client_that_was_cut_off_cannot_go_on(
    running: Gateway, raw: Raw, token: Sign, metric: Metric
) -> None:
    # Given a socket
    socket = await raw(running.port, token())
    before = metric("postwire_sockets_connected")

    # When it breaks the protocol and authenticates again in the same breath
    await socket.send_str("42")
    await socket.send_str(f'40{{"token":"{token()}"}}')

    # Then it is gone and in no room
    assert await ended(socket)
    assert metric("postwire_sockets_connected") == before - 1
    assert running.server.manager.rooms == {}


async def test_a_browser_with_300_accounts_may_join_and_change_all_their_rooms(
    running: Gateway, browse: Browse, token: Sign
) -> None:
    accounts = tuple(f"a{n}" for n in range(300))
    browser = await browse(running.port, token(accounts=accounts), userId="u1")

    for verb in ("join", "leave", "join"):
        answers = [await browser.call(verb, {"accountId": account}) for account in accounts]
        assert all(answer["ok"] for answer in answers)

    assert browser.connected


async def test_who_says_too_much_is_cut_off_and_nobody_else_is(
    running: Gateway,
    browse: Browse,
    raw: Raw,
    token: Sign,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given two browsers; no time goes by, however slow the machine is
    monkeypatch.setattr(bucket, "BURST", 50.0)
    monkeypatch.setattr(bucket, "RATE", 0.0)
    browser = await browse(running.port, token())
    socket = await raw(running.port, token())
    before = metric("postwire_sockets_cut_total", reason="flood")

    # When one says more than it may in so short a time
    for _ in range(60):
        await socket.send_str('42["join",{"accountId":"a1"}]')

    # Then it alone is cut off
    assert await ended(socket)
    assert metric("postwire_sockets_cut_total", reason="flood") == before + 1
    assert (await browser.call("join", {"userId": "u1"}))["ok"]


async def test_a_client_that_polls_and_says_too_much_is_cut_off(
    running: Gateway,
    http: ClientSession,
    token: Sign,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket, "BURST", 10.0)
    monkeypatch.setattr(bucket, "RATE", 0.0)
    before = metric("postwire_sockets_cut_total", reason="flood")

    asks = ['42["join",{"accountId":"a1"}]'] * 12
    await post_only(http, running.port, connect_packet(token()), *asks)

    assert metric("postwire_sockets_cut_total", reason="flood") == before + 1
    assert running.server.manager.rooms == {}


async def test_a_browser_for_which_too_much_waits_is_cut_off_at_the_next_event(
    start: Start,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    http: ClientSession,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a client in a room that never polls for what it is told, and nobody who looks for such
    monkeypatch.setattr(outbox, "MAX_WAITING", 8000)
    monkeypatch.setattr(sweep, "LOOK_EVERY", 60)
    running = await start()
    join = '420["join",{"accountId":"a1"}]'
    await post_only(http, running.port, connect_packet(token()), join)
    reader = await browse(running.port, token(), accountId="a1")
    before = metric("postwire_sockets_cut_total", reason="slow")
    connected = metric("postwire_sockets_connected")

    # When more is told than it may leave waiting
    for _ in range(25):
        await tell(event(count=0))
        await reader.next()

    # Then it alone has been cut off
    assert metric("postwire_sockets_cut_total", reason="slow") == before + 1
    assert metric("postwire_sockets_connected") == connected - 1
    assert reader.connected
