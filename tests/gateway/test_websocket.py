from __future__ import annotations

import asyncio
import os
import socket

import pytest

from postwire_gateway import websocket
from postwire_gateway.main import Gateway
from support.gateway import Browse, MakeEvent, Metric, Raw, Sign, Tell, until


async def test_frames_are_not_compressed_even_if_the_browser_offers_it(
    running: Gateway, raw: Raw
) -> None:
    connection = await raw(running.port, compress=15)

    assert connection.compress == 0


@pytest.fixture
async def deaf_client(running: Gateway, token: Sign) -> None:
    """A WebSocket that is connected, has joined a room, and reads nothing any more."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)  # noqa: FBT003
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", running.port))
    request = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await loop.sock_sendall(connection, request.encode())
    for packet in ('40{"token":"%s"}' % token(), '420["join",{"accountId":"a1"}]'):  # noqa: UP031
        await loop.sock_sendall(connection, _frame(packet))
    received = b""
    async with asyncio.timeout(10):
        while b"430" not in received:
            received += await loop.sock_recv(connection, 4096)
    yield connection
    connection.close()


def _frame(text: str) -> bytes:
    """A masked text frame of less than 64 KiB (RFC 6455 §5.2)."""
    data, mask = text.encode(), os.urandom(4)
    head = bytes([0x81, 0xFE]) + len(data).to_bytes(2) + mask
    return head + bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


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
    (deaf,) = set(running.server.eio.sockets) - {reader.eio.sid}

    # When more is told than the buffers of both kernels hold
    for _ in range(800):
        await tell(event(count=0, email_address="x" * 15_000))
        await reader.next()

    # Then it is cut off, and the other one has missed nothing
    await until(lambda: deaf not in running.server.eio.sockets)
    assert metric("postwire_sockets_cut_total", reason="not_reading") == before + 1
    assert reader.connected
