"""What the gateway's tests speak of: a browser that listens, and the kinds of their fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from aiohttp import ClientWebSocketResponse

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
    """A python-socketio client that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__(reconnection=False)
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
