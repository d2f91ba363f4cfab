from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession

from postwire_gateway import outbox, sweep
from support.gateway import Browse, Metric, Raw, Sign, Start, connect_packet, post_only, until


async def test_who_asks_for_more_answers_than_it_takes_is_cut_off(
    start: Start,
    browse: Browse,
    token: Sign,
    http: ClientSession,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a browser
    monkeypatch.setattr(outbox, "MAX_WAITING", 2000)
    monkeypatch.setattr(sweep, "LOOK_EVERY", 0.05)
    running = await start()
    reader = await browse(running.port, token(), accountId="a1")
    before = metric("postwire_sockets_cut_total", reason="slow")
    connected = metric("postwire_sockets_connected")

    # When a client asks again and again, and never polls for the answers
    asks = ['420["join",{"accountId":"a1"}]'] * 12
    await post_only(http, running.port, connect_packet(token()), *asks)

    # Then it alone is cut off
    await until(lambda: metric("postwire_sockets_cut_total", reason="slow") == before + 1)
    assert metric("postwire_sockets_connected") == connected
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
