"""Many browsers in one process: Socket.IO over WebSocket, and hardly any work of their own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from postwire import tokens
from postwire_demo.processes import HOST

#: Told of each event: its text, and when it came (`time.perf_counter`).
Hear = Callable[[str, float], None]

#: Sockets of one user, within the gateway's limit.
_OF_ONE_USER = 40
#: Sockets that connect at a time.
_AT_A_TIME = 50
#: Seconds until an answer must have come.
PATIENCE = 60.0
_UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_MEDIUM = 126


class Browser(asyncio.Protocol):
    """One WebSocket; whoever asks gets the next text that is no event."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._bytes = bytearray()
        self._upgraded = False
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self.transport = transport
        self.transport.write(_UPGRADE.encode())

    def data_received(self, data: bytes) -> None:
        """Take whatever frames are complete."""
        now = time.perf_counter()
        self._bytes += data
        if not self._upgraded:
            end = self._bytes.find(b"\r\n\r\n")
            if end < 0:
                return
            self._upgraded = True
            del self._bytes[: end + 4]
        while (text := self._take()) is not None:
            if text.startswith("42"):
                self._hear(text, now)
            elif text == "2":
                self.send("3")
            else:
                self._answers.put_nowait(text)

    def connection_lost(self, error: Exception | None) -> None:
        """Let nobody wait for an answer."""
        self._answers.put_nowait(f"lost: {error}")

    def send(self, text: str) -> None:
        """Send a frame, masked by zeros (RFC 6455 section 5.3)."""
        data = text.encode()
        size = len(data)
        head = bytes([0x81, 0x80 | size]) if size < _MEDIUM else b"\x81\xfe" + size.to_bytes(2)
        self.transport.write(head + bytes(4) + data)

    async def answer(self, start: str) -> str:
        """The next answer, which is to start like this.

        Raises:
            RuntimeError: it does not, or the connection has ended.
        """
        text = await self._answers.get()
        if not text.startswith(start):
            raise RuntimeError(f"the server says {text!r}, not {start!r}")
        return text

    async def join(self, account: str) -> None:
        """Join the account's room."""
        self.send(f'420["join",{{"accountId":"{account}"}}]')
        await self.answer("430")

    def _take(self) -> str | None:
        """The text of the first frame, if all of it is there; none is longer than 64 KiB."""
        data = self._bytes
        if len(data) < 2:  # noqa: PLR2004 - a frame's head
            return None
        start, size = 2, data[1]
        if size == _MEDIUM:
            start, size = 4, int.from_bytes(data[2:4])
        if len(data) < start + size:
            return None
        text = data[start : start + size].decode()
        del data[: start + size]
        return text


@asynccontextmanager
async def connected(
    port: int, secret: str, accounts: Sequence[Sequence[str]], hear: Hear, prefix: str = "u"
) -> AsyncIterator[list[Browser]]:
    """A browser for each entry of `accounts`, in the room of its first account."""
    gate = asyncio.Semaphore(_AT_A_TIME)
    loop = asyncio.get_running_loop()
    browsers: list[Browser] = []

    async def connect(number: int, own: Sequence[str]) -> None:
        user = f"{prefix}{number // _OF_ONE_USER}"
        token = tokens.sign_realtime(secret, user, list(own))[0]
        async with gate:
            _, browser = await loop.create_connection(lambda: Browser(hear), HOST, port)
            browsers.append(browser)
            await browser.answer("0")
            browser.send("40" + json.dumps({"token": token}))
            await browser.answer("40")
            await browser.join(own[0])

    try:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for number, own in enumerate(accounts):
                group.create_task(connect(number, own))
        yield browsers
    finally:
        for browser in browsers:
            browser.transport.abort()
