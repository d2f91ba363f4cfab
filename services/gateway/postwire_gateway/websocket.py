"""Engine.IO's WebSocket for aiohttp, without compression and with an end to each wait.

aiohttp offers permessage-deflate by default, every browser takes it, and engineio's driver has no
switch. Measured with 1000 sockets and events of 250 bytes: 136 instead of 28 KB a socket.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import structlog
from aiohttp.web import WebSocketResponse
from engineio.async_drivers import aiohttp as driver

from postwire.metrics import SOCKETS_CUT

#: Seconds a browser may take to receive one packet. engineio waits for ever, and keeps the whole
#: queue of a client that stays connected but does not read.
SEND_TIMEOUT = 10.0
#: Seconds a browser may take to answer our close frame.
CLOSE_TIMEOUT = 2.0
#: Bytes that the kernel keeps for a browser that does not receive them (Linux takes twice as many,
#: for what is around them); by itself it lets that grow to megabytes.
SEND_BUFFER = 64 * 1024
#: Final frame with text, and what stands for its length (RFC 6455 §5.2).
_TEXT, _SHORT, _MEDIUM, _LONG = 0x81, 125, 126, 127

log = structlog.get_logger()


class PlainWebSocket(driver.WebSocket):  # type: ignore[misc]  # engineio ships no types
    """One WebSocket connection, as engineio's aiohttp driver expects it."""

    async def __call__(self, environ: dict[str, Any]) -> WebSocketResponse:
        """Serve the connection until it ends."""
        self._request = environ["aiohttp.request"]
        self._sock = WebSocketResponse(
            compress=False,
            max_msg_size=self.server.max_http_buffer_size,
            timeout=CLOSE_TIMEOUT,
        )
        await self._sock.prepare(self._request)
        self.environ = environ
        self._sending = False
        # The handler is a method of engineio's socket, the only way to it.
        self._socket = self.handler.__self__
        self._socket.queue.wire = self
        self._bound_kernel_buffer()
        try:
            await self.handler(self)
        except Exception as error:  # noqa: BLE001 - engineio raises what it cannot parse
            SOCKETS_CUT.labels(reason="malformed").inc()
            log.info("a client does not speak Engine.IO", error=type(error).__name__)
            await self.close()
        return self._sock

    def write(self, frame: bytes) -> bool:
        """Write a frame at once, past engineio, if nothing is under way; whether it was."""
        transport = self._request.transport
        if (
            transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or self._sending
            or self._sock.closed
            or not self._socket.upgraded
        ):
            return False
        transport.write(frame)
        return True

    async def send(self, message: str | bytes) -> None:
        """Send one packet, or break the connection with a client that does not take it."""
        self._sending = True
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await super().send(message)
        except TimeoutError:
            SOCKETS_CUT.labels(reason="not_reading").inc()
            if self._request.transport is not None:
                self._request.transport.abort()
            raise
        finally:
            self._sending = False

    def _bound_kernel_buffer(self) -> None:
        if self._request.transport is not None:
            connection = self._request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def frame_of(text: str) -> bytes:
    """The text as a frame of a server: not masked, so that it is the same for everyone."""
    data = text.encode()
    if len(data) <= _SHORT:
        return bytes((_TEXT, len(data))) + data
    if len(data) < 2**16:
        return bytes((_TEXT, _MEDIUM)) + len(data).to_bytes(2) + data
    return bytes((_TEXT, _LONG)) + len(data).to_bytes(8) + data
