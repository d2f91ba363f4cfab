from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse
from prometheus_client import REGISTRY
from pydantic import SecretStr
from redis.asyncio import Redis
from socketio.exceptions import ConnectionError as Refused

from postwire import events
from postwire.settings import GatewaySettings
from postwire_gateway.main import Gateway, gateway
from support.gateway import (
    SECRET,
    Browse,
    Browser,
    MakeEvent,
    Metric,
    Raw,
    Running,
    Sign,
    Spawn,
    Start,
    Tell,
    gateway_process,
    until,
)


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def event() -> MakeEvent:
    def make(**fields: Any) -> events.Event:
        defaults = {
            "account_id": "a1",
            "user_id": "u1",
            "email_address": "joe@example.com",
            "count": 1,
            "timestamp": datetime.now(UTC),
            "type": "sync",
            "epoch": 1,
            "revision": 7,
        }
        return events.Event(**(defaults | fields))

    return make


@pytest.fixture
def tell(redis_client: Redis) -> Tell:
    async def publish(what: events.Event | bytes) -> None:
        data = what if isinstance(what, bytes) else events.encode(what)
        await redis_client.publish(events.CHANNEL, data)

    return publish


@pytest.fixture
def token() -> Sign:
    def sign(
        user: str = "u1",
        accounts: tuple[str, ...] = ("a1", "a2"),
        *,
        seconds: float = 900,
        audience: str = "postwire-realtime",
        secret: str = SECRET,
    ) -> str:
        claims = {"sub": user, "accounts": accounts, "aud": audience, "exp": time.time() + seconds}
        return jwt.encode(claims, secret, algorithm="HS256")

    return sign


@pytest.fixture
def settings(redis_url: str) -> GatewaySettings:
    return GatewaySettings(
        redis_url=SecretStr(redis_url),
        realtime_secret=SecretStr(SECRET),
        gateway_host="127.0.0.1",
        gateway_port=0,
        cors_origins=["https://mail.example.com"],
    )


@pytest.fixture
async def start(settings: GatewaySettings) -> AsyncIterator[Start]:
    """Start a gateway in this process; it is subscribed when the call returns."""
    async with AsyncExitStack() as stack:

        async def start_one(**changes: Any) -> Gateway:
            running = await stack.enter_async_context(gateway(settings.model_copy(update=changes)))
            await until(lambda: running.relay.check() is None)
            return running

        yield start_one


@pytest.fixture
async def running(start: Start) -> Gateway:
    return await start()


@pytest.fixture
async def browse() -> AsyncIterator[Browse]:
    """Connect a browser to a port, and join rooms with it."""
    browsers: list[Browser] = []

    async def connect(
        port: int, token: str | None, *, transport: str = "websocket", **rooms: str
    ) -> Browser:
        browser = Browser()
        browsers.append(browser)
        try:
            await browser.connect(
                f"http://127.0.0.1:{port}",
                auth=token and {"token": token},
                transports=[transport],
                wait_timeout=10,
            )
        except Refused:
            raise Refused(browser.refusal) from None
        if rooms:
            assert (await browser.call("join", rooms))["ok"]
        return browser

    yield connect
    for browser in browsers:
        await browser.shutdown()


@pytest.fixture
async def spawn() -> AsyncIterator[Spawn]:
    """Start a gateway in a process of its own."""
    async with AsyncExitStack() as stack:

        async def one(redis_url: str) -> Running:
            return await stack.enter_async_context(gateway_process(redis_url))

        yield one


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def raw(http: ClientSession) -> Raw:
    """A WebSocket that speaks Engine.IO by hand, with a token already authenticated."""

    async def connect(
        port: int, token: str | None = None, **options: Any
    ) -> ClientWebSocketResponse:
        address = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        socket = await http.ws_connect(address, **options)
        assert (await socket.receive_str()).startswith("0{")
        if token:
            await socket.send_str('40{"token":"%s"}' % token)  # noqa: UP031 - braces all over
            assert (await socket.receive_str()).startswith('40{"sid"')
        return socket

    return connect


@pytest.fixture
def metric() -> Metric:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    return value
