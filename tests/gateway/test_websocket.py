from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from postwire_gateway import websocket
from postwire_gateway.main import Gateway
from support.gateway import Browse, MakeEvent, Metric, Raw, Sign, Tell, deaf_socket, until


async def test_frames_are_not_compressed_even_if_the_browser_offers_it(
    running: Gateway, raw: Raw
) -> None:
    connection = await raw(running.port, compress=15)

    assert connection.compress == 0


@pytest.fixture
async def deaf_client(running: Gateway, token: Sign) -> AsyncIterator[socket.socket]:
    """A WebSocket that has joined a room, and reads nothing any more."""
    connection = await deaf_socket(running.port, token(), "a1")
    yield connection
    connection.close()


@pytest.mark.usefixtures("deaf_client")
async def test_a_client_that_does_not_read_is_cut_off(
    running: Gateway,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    metric: Metric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a client that has stopped reading, and one that reads, in the same room
    monkeypatch.setattr(websocket, "SEND_TIMEOUT", 0.5)
    reader = await browse(running.port, token(), accountId="a1")
    before = metric("postwire_sockets_cut_total", reason="not_reading")
    sockets = running.server.eio.sockets
    (deaf,) = [each for sid, each in sockets.items() if sid != reader.eio.sid]

    # When more is told than the buffers hold, and less than may wait beside them
    async with asyncio.timeout(10):
        while not deaf.queue.waiting:
            await tell(event(count=0, email_address="x" * 15_000))
            await reader.next()

    # Then it is cut off, and the other one has missed nothing
    await until(lambda: deaf.sid not in sockets)
    assert metric("postwire_sockets_cut_total", reason="not_reading") == before + 1
    assert reader.connected


async def test_a_client_that_reads_on_has_missed_nothing_and_hears_it_in_order(
    running: Gateway,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    deaf_client: socket.socket,
) -> None:
    # Given a client that does not read, so that some of what it is told waits in each buffer
    reader = await browse(running.port, token(), accountId="a1")
    sockets = running.server.eio.sockets
    (deaf,) = [each for sid, each in sockets.items() if sid != reader.eio.sid]
    told = 0
    async with asyncio.timeout(10):
        while deaf.queue.waiting < 100_000:
            await tell(event(revision=told, count=0, email_address="x" * 15_000))
            await reader.next()
            told += 1

    # When it reads, and more is told at each turn of the event loop
    heard, last = b"", told + 500
    async with asyncio.timeout(10):
        while heard.count(b'"revision"') < last:
            if told < last:
                await running.server.emit("email:synced", event(revision=told), to="account:a1")
                told += 1
            with suppress(BlockingIOError):
                heard += deaf_client.recv(65536)
            await asyncio.sleep(0)

    # Then it hears all of it, in order
    assert [int(each) for each in re.findall(rb'"revision":(\d+)', heard)] == list(range(last))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
async def test_a_frame_of_ours_is_read_as_the_text_it_was_made_of(length: int) -> None:
    text = "é" * (length // 2) + "x" * (length % 2)

    async def say(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        assert request.transport
        request.transport.write(websocket.frame_of(text))
        await response.receive()
        return response

    app = web.Application()
    app.router.add_get("/", say)
    async with TestServer(app) as server, ClientSession() as session:
        async with session.ws_connect(server.make_url("/")) as connection:
            assert await connection.receive_str(timeout=5) == text
