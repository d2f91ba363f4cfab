"""Who is told of new mail, and when: all that waits at the ends of the hops, in one process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientWebSocketResponse, web
from playwright.async_api import async_playwright
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from bench.mailing import PATIENCE, connected
from postwire import events
from support.mailbox import MailUser
from support.system import System

HOST = "127.0.0.1"
#: Notes when each message's row is in a frame that is about to be painted.
_PROBE = """
window.rows = {};
new MutationObserver(() => requestAnimationFrame(() => {
  for (const row of document.querySelectorAll("[data-testid=message-row]")) {
    const found = /delivery-\\d+/.exec(row.textContent ?? "");
    if (found && !(found[0] in window.rows)) window.rows[found[0]] = Date.now();
  }
})).observe(document, { childList: true, subtree: true, characterData: true });
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox that mail is delivered to, and its account; Postwire reaches it by `port`."""

    user: MailUser
    account_id: str
    port: int


@dataclass(frozen=True, slots=True)
class Told:
    """An account's event as somebody got it; seconds since 1970."""

    at: float
    revision: int
    count: int
    #: When the transaction that stored the messages began.
    began: float


@dataclass(slots=True)
class Heard:
    """What was heard, in its order, by account."""

    #: By a browser's Socket.IO connection, and by a subscriber of the channel on Redis.
    told: defaultdict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    published: defaultdict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    #: When a bare reader in IDLE was told that there are so many messages, and when the floor was
    #: through, which then reads them by a connection that is open, and tells a WebSocket.
    noticed: defaultdict[str, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    floor: defaultdict[str, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    #: How many messages the browser's connection was told of.
    count: int = 0


@asynccontextmanager
async def listening(
    system: System, boxes: Iterable[Box], sampled: Iterable[Box]
) -> AsyncIterator[Heard]:
    """Listen everywhere; with the bare readers and the floor at those `sampled` only."""
    heard = Heard()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())
        async with asyncio.timeout(PATIENCE):
            socket = await _browser(session, system, boxes)
        _hear(stack, _told(socket, heard))
        client = await stack.enter_async_context(Redis.from_url(system.setting("redis_url")))
        pubsub = await stack.enter_async_context(client.pubsub())
        await pubsub.subscribe(events.CHANNEL)
        _hear(stack, _published(pubsub, heard))
        bare = await stack.enter_async_context(_bare())
        for box in sampled:
            await _sample(stack, box, heard, await session.ws_connect(bare))
        yield heard


def _hear(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Have it done until the end; what goes wrong meanwhile is raised then."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
        if not task.cancelled():
            task.result()

    stack.push_async_callback(end)


async def _browser(
    session: ClientSession, system: System, boxes: Iterable[Box]
) -> ClientWebSocketResponse:
    """What a browser's Socket.IO client has: a WebSocket in the rooms of all accounts."""
    bearer = {"Authorization": f"Bearer {system.token('robin')}"}
    async with session.post(f"{system.api_url}/api/realtime-token", headers=bearer) as answer:
        token = (await answer.json())["token"]
    socket = await session.ws_connect(f"{system.gateway_url}/socket.io/?EIO=4&transport=websocket")
    await socket.receive_str()
    await socket.send_str("40" + json.dumps({"token": token}))
    await socket.receive_str()
    for box in boxes:
        await socket.send_str("420" + json.dumps(["join", {"accountId": box.account_id}]))
        while '"ok":true' not in await socket.receive_str():
            pass
    return socket


async def _told(socket: ClientWebSocketResponse, heard: Heard) -> None:
    async for message in socket:
        at = time.time()
        if message.data == "2":
            await socket.send_str("3")
        elif message.data.startswith('42["email:synced"'):
            account_id, told = _read(json.dumps(json.loads(message.data[2:])[1]).encode(), at)
            heard.told[account_id].append(told)
            heard.count += told.count


async def _published(pubsub: PubSub, heard: Heard) -> None:
    async for message in pubsub.listen():
        at = time.time()
        if message["type"] == "message":
            account_id, told = _read(message["data"], at)
            heard.published[account_id].append(told)


def _read(data: bytes, at: float) -> tuple[str, Told]:
    event = events.decode(data)
    return event.account_id, Told(at, event.revision, event.count, event.timestamp.timestamp())


async def _sample(
    stack: AsyncExitStack, box: Box, heard: Heard, echo: ClientWebSocketResponse
) -> None:
    user = box.user
    idle, reading = [
        await stack.enter_async_context(
            connected(HOST, box.port, user.name, user.server.password, selects=True)
        )
        for _ in range(2)
    ]
    awaited: asyncio.Queue[int] = asyncio.Queue(1000)

    async def notice() -> None:
        async for exists in idle.existing():
            heard.noticed[box.account_id].append((time.time(), exists))
            awaited.put_nowait(exists)

    async def read() -> None:
        first = 1
        while True:
            exists = await awaited.get()
            while not awaited.empty():
                exists = awaited.get_nowait()
            # NOOP, in the same round trip: what this connection was not told of it cannot read.
            await reading.command(b"NOOP", b"UID FETCH %d:* (FLAGS BODY.PEEK[])" % first)
            await echo.send_str(box.account_id)
            await echo.receive_str()
            heard.floor[box.account_id].append((time.time(), exists))
            first = exists + 1

    _hear(stack, notice())
    _hear(stack, read())


@asynccontextmanager
async def _bare() -> AsyncIterator[str]:
    """A WebSocket that says what it is told, on a bare server."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def screen(system: System) -> AsyncIterator[Callable[[], Awaitable[dict[str, float]]]]:
    """The inbox in Chromium; what it yields says when each message's row was painted."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--disable-background-networking", "--disable-component-update"],
            chromium_sandbox=os.geteuid() != 0,
        )
        page = await chromium.new_page()
        await page.add_init_script(_PROBE)
        await page.goto(f"{system.api_url}/#token={system.token('robin')}")
        await page.wait_for_selector("[data-testid=live-mark][data-status=live]")

        async def painted() -> dict[str, float]:
            rows: dict[str, float] = await page.evaluate("window.rows")
            return {name: at / 1000 for name, at in rows.items()}

        yield painted
        await chromium.close()
