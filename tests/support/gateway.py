"""What the gateway's tests speak of: browsers that listen or do not, gateways in processes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import socketio
from aiohttp import ClientSession, ClientWebSocketResponse

from postwire import events
from postwire_gateway.main import Gateway

#: HS256 secret of the tests' realtime tokens.
SECRET = "a realtime secret of more than 32 bytes"

MakeEvent = Callable[..., events.Event]
Tell = Callable[[events.Event | bytes], Awaitable[None]]
Sign = Callable[..., str]
Start = Callable[..., Awaitable[Gateway]]
Raw = Callable[..., Awaitable[ClientWebSocketResponse]]
Metric = Callable[..., float]


async def until(holds: Callable[[], object], seconds: float = 15) -> None:
    """Wait until `holds` comes true, or fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


class Browser(socketio.AsyncClient):  # type: ignore[misc]
    """A python-socketio client that keeps what it was told; it does not come back by itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"reconnection": False} | options))
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.on("*", self._hear)
        self.on("disconnect", self._leave)
        self.on("connect_error", self._refuse)
        self.refusal = ""

    async def _hear(self, name: str, payload: Any) -> None:
        await self.heard.put((name, payload))

    async def _refuse(self, refusal: dict[str, str]) -> None:
        self.refusal = refusal["message"]

    async def _leave(self, _reason: str) -> None:
        self.gone.set()

    async def next(self, seconds: float = 10) -> tuple[str, Any]:
        return await asyncio.wait_for(self.heard.get(), seconds)

    async def hears_nothing(self, seconds: float = 0.3) -> bool:
        await asyncio.sleep(seconds)
        return self.heard.empty()


Browse = Callable[..., Awaitable[Browser]]


@dataclass
class Running:
    """A gateway in a process of its own."""

    process: Process
    port: int
    ops: str

    async def end(self, number: int) -> tuple[int, float, str]:
        """Send a signal; the exit code, the seconds it took, and the log since the start."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        self.process.send_signal(number)
        output, errors = await asyncio.wait_for(self.process.communicate(), 20)
        assert errors == b""
        assert self.process.returncode is not None
        return self.process.returncode, loop.time() - start, output.decode()

    def peak(self) -> int:
        """Bytes of RSS that it has had at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


Spawn = Callable[[str], Awaitable[Running]]


def environment(**settings: str) -> dict[str, str]:
    """Ours, with these settings of Postwire and no others."""
    ours = {f"POSTWIRE_{name.upper()}": value for name, value in settings.items()}
    return {k: v for k, v in os.environ.items() if not k.startswith("POSTWIRE_")} | ours


@asynccontextmanager
async def gateway_process(redis_url: str) -> AsyncIterator[Running]:
    """A gateway that listens, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "postwire_gateway"),
        env=environment(
            redis_url=redis_url,
            realtime_secret=SECRET,
            gateway_host="127.0.0.1",
            gateway_port="0",
            ops_host="127.0.0.1",
            ops_port="0",
        ),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (line := json.loads(await process.stdout.readline()))["event"] != "listening":
                pass
        yield Running(process, line["port"], f"http://127.0.0.1:{line['ops_port']}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def post_only(http: ClientSession, port: int, *packets: str) -> None:
    """Begin a session that says at most 16 packets and never polls for the answers."""
    address = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
    opened = await (await http.get(address)).text()
    sid = opened.split('"sid":"')[1].split('"')[0]
    await http.post(f"{address}&sid={sid}", data="\x1e".join(packets))


def connect_packet(token: str) -> str:
    """What a client authenticates with."""
    return f'40{{"token":"{token}"}}'


async def deaf_socket(port: int, token: str, account: str) -> socket.socket:
    """A WebSocket that is connected, has joined a room, and reads nothing any more."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)  # noqa: FBT003
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    request = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await loop.sock_sendall(connection, request.encode())
    for packet in (connect_packet(token), f'420["join",{{"accountId":"{account}"}}]'):
        await loop.sock_sendall(connection, _masked(packet))
    received = b""
    async with asyncio.timeout(10):
        while b"430" not in received:
            received += await loop.sock_recv(connection, 4096)
    return connection


def _masked(text: str) -> bytes:
    """A client's text frame of less than 64 KiB (RFC 6455 §5.2)."""
    data, mask = text.encode(), os.urandom(4)
    head = bytes([0x81, 0xFE]) + len(data).to_bytes(2) + mask
    return head + bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
