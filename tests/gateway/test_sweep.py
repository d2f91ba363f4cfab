from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession

from postwire_gateway import outbox, sweep
from support.gateway import Browse, MakeEvent, Metric, Raw, Sign, Start, Tell, until


async def test_a_socket_with_too_long_a_queue_is_cut_off(
    start: Start,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    http: ClientSession,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a client in a room that never polls for what it is told
    monkeypatch.setattr(outbox, "MAX_WAITING", 8000)
    monkeypatch.setattr(sweep, "LOOK_EVERY", 0.05)
    running = await start()
    address = f"http://127.0.0.1:{running.port}/socket.io/?EIO=4&transport=polling"
    opened = await (await http.get(address)).text()
    sid = opened.split('"sid":"')[1].split('"')[0]
    packets = ('40{"token":"%s"}' % token(), '420["join",{"accountId":"a1"}]')  # noqa: UP031
    await http.post(f"{address}&sid={sid}", data="\x1e".join(packets))
    reader = await browse(running.port, token(), accountId="a1")
    before = metric("postwire_sockets_cut_total", reason="slow")
    connected = metric("postwire_sockets_connected")

    # When more is told than it may leave waiting
    for _ in range(25):
        await tell(event(count=0))
        await reader.next()

    # Then it alone is cut off
    await until(lambda: metric("postwire_sockets_cut_total", reason="slow") != before)
    assert metric("postwire_sockets_connected") == connected - 1
    assert reader.connected


async def test_a_connection_that_never_authenticates_is_cut_off(
    start: Start,
    browse: Browse,
    raw: Raw,
    token: Sign,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given one connection that says nothing and one browser
    monkeypatch.setattr(sweep, "GRACE", 0.1)
    running = await start()
    stranger = await raw(running.port)
    browser = await browse(running.port, token())
    before = metric("postwire_sockets_cut_total", reason="stranger")

    # Then only the silent one is cut off
    assert await stranger.receive_str(timeout=5) == "1"
    await stranger.receive(timeout=5)
    assert stranger.closed
    assert metric("postwire_sockets_cut_total", reason="stranger") == before + 1
    assert browser.connected


async def test_a_connection_has_its_time_to_authenticate(
    start: Start, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a connection that comes shortly before the next look
    monkeypatch.setattr(sweep, "GRACE", 0.5)
    running = await start()
    await asyncio.sleep(0.4)
    stranger = await raw(running.port)
    loop = asyncio.get_running_loop()
    start_of_life = loop.time()

    # Then it is cut off at the look after that one
    assert await stranger.receive_str(timeout=5) == "1"
    assert loop.time() - start_of_life > 0.4
