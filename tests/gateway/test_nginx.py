"""Two gateways behind a real nginx with the configuration that we ship."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from postwire_demo.processes import free_port
from support.gateway import Browser, MakeEvent, Running, Sign, Spawn, Tell
from support.nginx import configure


@dataclass
class Site:
    """What a browser sees: one port; and the two gateways behind it."""

    port: int
    gateways: list[Running]

    async def sockets(self, http: ClientSession) -> list[int]:
        """Browsers at each gateway that lives."""
        return [
            await _sockets(http, each) for each in self.gateways if each.process.returncode is None
        ]


async def _sockets(http: ClientSession, gateway: Running) -> int:
    metrics = await (await http.get(f"{gateway.ops}/metrics")).text()
    found = re.search(r"^postwire_sockets_connected (\S+)$", metrics, re.MULTILINE)
    assert found
    return int(float(found[1]))


@pytest.fixture
async def site(
    redis_url: str, spawn: Spawn, nginx_program: str, tmp_path: Path, http: ClientSession
) -> AsyncIterator[Site]:
    """nginx with the configuration as it is, but for the addresses."""
    gateways = [await spawn(redis_url), await spawn(redis_url)]
    for gateway in gateways:
        await _answers(http, f"{gateway.ops}/health/ready")
    port = free_port()
    arguments = configure(tmp_path, port, [gateway.port for gateway in gateways])
    process = await asyncio.create_subprocess_exec(nginx_program, *arguments, stderr=DEVNULL)
    try:
        await _answers(http, f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling")
        yield Site(port, gateways)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def _answers(http: ClientSession, address: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await http.get(address)).status == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.05)


Visit = Callable[[str], Awaitable[Browser]]


@pytest.fixture
async def visit(site: Site, token: Sign) -> AsyncIterator[Visit]:
    """A browser with cookies of its own and one transport, which comes back and joins its room."""
    async with AsyncExitStack() as stack:

        async def connect(transport: str) -> Browser:
            # aiohttp keeps no cookies of a host without a name otherwise.
            session = await stack.enter_async_context(
                ClientSession(cookie_jar=CookieJar(unsafe=True))
            )
            browser = Browser(reconnection=True, reconnection_delay=0.2, http_session=session)

            async def join() -> None:
                assert (await browser.call("join", {"accountId": "a1"}))["ok"]
                await browser.heard.put(("joined", None))

            browser.on("connect", join)
            stack.push_async_callback(browser.shutdown)
            await browser.connect(
                f"http://127.0.0.1:{site.port}",
                auth={"token": token()},
                transports=[transport],
                wait_timeout=10,
            )
            return browser

        yield connect


async def test_browsers_hear_each_event_through_either_gateway_and_survive_the_death_of_one(
    site: Site, visit: Visit, tell: Tell, event: MakeEvent, http: ClientSession
) -> None:
    # Given browsers that only poll at both gateways, and some with nothing but a WebSocket
    browsers = []
    async with asyncio.timeout(60):
        while len(browsers) < 4 or not all(await site.sockets(http)):
            browsers.append(await visit("polling"))
    browsers += [await visit("websocket") for _ in range(4)]
    for browser in browsers:
        assert (await browser.next())[0] == "joined"
    before = await site.sockets(http)
    assert sum(before) == len(browsers)

    # When something is told, all of them hear it once
    await tell(event(count=0))
    for browser in browsers:
        assert (await browser.next())[0] == "email:synced"
    assert [browser.heard.empty() for browser in browsers] == [True] * len(browsers)

    # When one gateway is killed, its browsers come back at the other
    site.gateways[0].process.kill()
    await site.gateways[0].process.wait()
    async with asyncio.timeout(60):
        while sum(not browser.heard.empty() for browser in browsers) < before[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert await site.sockets(http) == [len(browsers)]

    # Then all of them hear the next event
    await tell(event(count=0))
    for browser in browsers:
        while (heard := await browser.next())[0] == "joined":
            pass
        assert heard[0] == "email:synced"


async def test_a_session_that_polled_goes_on_as_a_websocket(
    site: Site, tell: Tell, event: MakeEvent, token: Sign
) -> None:
    for _ in range(6):
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            browser = Browser(http_session=session)
            address = f"http://127.0.0.1:{site.port}"
            await browser.connect(address, auth={"token": token()}, wait_timeout=10)
            try:
                assert browser.transport() == "websocket"
                assert (await browser.call("join", {"accountId": "a1"}))["ok"]
                await tell(event(count=0))
                assert (await browser.next())[0] == "email:synced"
            finally:
                await browser.shutdown()
