"""Build the gateway, run it, and stop it when told to."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from aiohttp import web

from postwire import log as logging
from postwire import ops
from postwire.errors import SettingsError
from postwire.listen import listen
from postwire.settings import GatewaySettings, load
from postwire_gateway import sweep
from postwire_gateway.handlers import Handlers
from postwire_gateway.heart import Heart
from postwire_gateway.positions import Positions
from postwire_gateway.relay import Relay
from postwire_gateway.server import Server, make_server
from postwire_gateway.spread import spread

#: Seconds over which browsers are sent away at the end, so that they do not all come back at once.
DRAIN_OVER = 3.0
#: Seconds after which those who are left are no longer sent away one by one.
DRAIN_TIMEOUT = 5.0
#: Seconds that requests still under way are given after that.
SHUTDOWN_TIMEOUT = 2.0

log = structlog.get_logger()


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = load(GatewaySettings)
    except SettingsError as error:
        sys.stderr.write(f"postwire gateway: {error}\n")
        return 2
    logging.set_up(settings.log_level, "gateway")
    asyncio.run(_run(settings))
    return 0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that listens."""

    port: int
    server: Server
    relay: Relay
    heart: Heart
    #: They end only by an error.
    tasks: tuple[asyncio.Task[None], ...]


@asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """Listen and relay; at the end send every browser away."""
    server = make_server(settings.cors_origins)
    redis_url = settings.redis_url.get_secret_value()
    positions = Positions(redis_url)
    secret = settings.realtime_secret.get_secret_value()
    server.register_namespace(Handlers(secret, positions, settings.user_connections))
    relay, heart = Relay(redis_url, server), Heart()
    running = (relay.run(), heart.run(), sweep.cut_slow(server), sweep.cut_strangers(server))
    runner, port = await _listen(server, settings.gateway_host, settings.gateway_port)
    tasks = tuple(asyncio.create_task(each) for each in running)
    try:
        yield Gateway(port, server, relay, heart, tasks)
    finally:
        await _stop_listening(runner)
        await _drain(server)
        await _cancel(tasks)
        await runner.cleanup()
        await positions.close()


async def _run(settings: GatewaySettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with gateway(settings) as running:
        ops_port = ops.serve(
            "gateway",
            settings.ops_host,
            settings.ops_port,
            live={"event loop": running.heart.check},
            ready={"relay": running.relay.check},
        )
        log.info("listening", port=running.port, ops_port=ops_port)
        await _until(stop, running.tasks)
        log.info("stopping")


async def _until(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for `stop`; raise what a task ended by, for then the process is to be started again."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done:
        task.result()


async def _listen(server: Server, host: str, port: int) -> tuple[web.AppRunner, int]:
    app = web.Application()
    server.attach(app)
    # No access log: the address of each poll holds the socket's id.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    await web.SockSite(runner, listen(host, port)).start()
    return runner, runner.addresses[0][1]


async def _stop_listening(runner: web.AppRunner) -> None:
    for site in list(runner.sites):
        await site.stop()


async def _drain(server: Server) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_TIMEOUT):
            async for eio_sid in spread(server.eio.sockets, DRAIN_OVER):
                await server.cut(eio_sid, "stopping")
    await server.shutdown()


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
