"""What the storm does to the system: each fault is a generator that hits, waits and makes good.

It yields the seconds until it is to be resumed; closed early, it makes good all the same.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg
import redis

from chaos.world import World
from postwire_demo.services import SERVICES
from support.relay import Relay

Fault = Generator[float, None, None]

#: Seconds a process may take to stop; it promises ten.
GRACE = 12.0
#: Seconds a process that was started again is waited for.
_READY = 30.0
#: More connections than PostgreSQL has.
_SLOTS = 120
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_GARBAGE = b"* \xff\xfe\x00 17 }{ NIL (((\r\n"
_BYE = b"* BYE Server shutting down.\r\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault, and what it hits; there is one at a time on each target."""

    name: str
    target: str
    begin: Callable[[World, random.Random], Fault]

    def bears(self, other: Kind) -> bool:
        """Whether both may be there at the same time."""
        targets = {self.target, other.target}
        rolls = _ALL in targets and targets & SERVICES.keys()
        return self.target != other.target and not rolls


#: The target of a rolling restart.
_ALL = "processes"


# Processes


def _killed(name: str) -> Callable[[World, random.Random], Fault]:
    def begin(world: World, draw: random.Random) -> Fault:
        with world.down(name) as process:
            process.kill()
            process.wait(GRACE)
            yield draw.uniform(1, 3)
            world.system.start_again(name)

    return begin


def _stopped(name: str) -> Callable[[World, random.Random], Fault]:
    def begin(world: World, draw: random.Random) -> Fault:
        process = world.system.service(name).process
        process.send_signal(signal.SIGSTOP)
        try:
            yield draw.uniform(3, 15)
        finally:
            process.send_signal(signal.SIGCONT)

    return begin


def _rolling_restart(world: World, _: random.Random) -> Fault:
    for name in SERVICES:
        with world.down(name) as process:
            process.terminate()
            until = time.monotonic() + GRACE
            while process.poll() is None and time.monotonic() < until:
                yield 0.1
            if process.poll() is None:
                world.ledger.finds(f"the {name} did not stop within {GRACE:.0f} s")
                process.kill()
                process.wait(GRACE)
            world.system.start_again(name)
        until = time.monotonic() + _READY
        while world.system.service(name).find_trouble() and time.monotonic() < until:
            yield 0.3


def _frozen(way: Callable[[World], Relay], most: float) -> Callable[[World, random.Random], Fault]:
    """Nothing comes through for up to `most` seconds; what was said then comes late, or never."""

    def begin(world: World, draw: random.Random) -> Fault:
        way(world).freeze()
        try:
            yield draw.uniform(2, most)
        finally:
            if draw.random() < 0.5:
                way(world).cut()
            way(world).thaw()

    return begin


# PostgreSQL


def _postgres_restarted(world: World, draw: random.Random) -> Fault:
    world.postgres.stop()
    try:
        yield draw.uniform(1, 5)
    finally:
        world.postgres.start()


def _postgres_crashed(world: World, _: random.Random) -> Fault:
    # What one backend may have done to shared memory nobody knows: PostgreSQL ends all of them.
    with psycopg.connect(world.postgres.direct) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid LIMIT 1"
        ).fetchall()
    for (pid,) in rows:
        os.kill(pid, signal.SIGKILL)
    yield 1


def _postgres_cut(world: World, draw: random.Random) -> Fault:
    for _ in range(draw.randint(1, 5)):
        world.postgres.relay.cut()
        yield draw.uniform(0.1, 1)


def _postgres_full(world: World, draw: random.Random) -> Fault:
    """Every connection taken by somebody else."""
    taken: list[psycopg.Connection] = []
    world.postgres.relay.cut()
    try:
        with suppress(psycopg.OperationalError):
            taken.extend(
                psycopg.connect(world.postgres.direct, connect_timeout=5) for _ in range(_SLOTS)
            )
        yield draw.uniform(5, 12)
    finally:
        for connection in taken:
            connection.close()


def _postgres_read_only(world: World, draw: random.Random) -> Fault:
    """The closest to a full disk that needs no file system of its own; a standby is like that."""
    try:
        _configure(world, "ALTER SYSTEM SET default_transaction_read_only = on")
        yield draw.uniform(5, 12)
    finally:
        _configure(world, "ALTER SYSTEM RESET default_transaction_read_only")


def _clock_jumps(world: World, draw: random.Random) -> Fault:
    """PostgreSQL's clock is wrong by up to two hours, and then right again."""
    world.clock.set(draw.choice([-1, 1]) * draw.uniform(60, 7200))
    try:
        yield draw.uniform(5, 12)
    finally:
        world.clock.set(0)


def _configure(world: World, statement: LiteralString) -> None:
    with psycopg.connect(world.postgres.direct, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement)
        connection.execute("SELECT pg_reload_conf()")


# Redis


def _redis_restarted(world: World, draw: random.Random) -> Fault:
    world.redis.stop()
    try:
        yield draw.uniform(1, 5)
    finally:
        world.redis.start()


def _redis_flushed(world: World, _: random.Random) -> Fault:
    with redis.Redis.from_url(world.redis.direct) as client:
        client.flushall()
    yield 0


def _redis_cut(world: World, draw: random.Random) -> Fault:
    with redis.Redis.from_url(world.redis.direct) as client:
        for _ in range(draw.randint(1, 5)):
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
            yield draw.uniform(0.1, 1)


# IMAP


def _imap_hole(world: World, draw: random.Random) -> Fault:
    world.imap.deaf = True
    world.imap.cut()
    try:
        yield draw.uniform(5, 15)
    finally:
        world.imap.deaf = False
        world.imap.cut()


def _imap_drips(world: World, draw: random.Random) -> Fault:
    world.imap.drips = draw.uniform(0.05, 0.3)
    try:
        yield draw.uniform(5, 15)
    finally:
        world.imap.drips = 0


def _imap_altered(
    alter: Callable[[bytes, random.Random], tuple[bytes, bool]],
) -> Callable[[World, random.Random], Fault]:
    def begin(world: World, draw: random.Random) -> Fault:
        chances = random.Random(draw.random())  # noqa: S311 - to be drawn again
        world.imap.alters = lambda data: alter(data, chances)
        try:
            yield draw.uniform(5, 15)
        finally:
            world.imap.alters = lambda data: (data, False)

    return begin


def _cut_literal(data: bytes, draw: random.Random) -> tuple[bytes, bool]:
    """The connection ends in the middle of a literal."""
    found = _LITERAL.search(data)
    if found is None or draw.random() < 0.3:
        return data, False
    return data[: found.end() + int(found[1]) // 2], True


def _garbage(data: bytes, draw: random.Random) -> tuple[bytes, bool]:
    """A line that is none, before one of the server's; letters have no line like theirs."""
    if not data.startswith((b"* ", b"+ ")) or draw.random() < 0.5:
        return data, False
    return _GARBAGE + data, False


def _bye(data: bytes, draw: random.Random) -> tuple[bytes, bool]:
    if not data.startswith(b"* ") or draw.random() < 0.7:
        return data, False
    return _BYE, True


KINDS = (
    *(Kind(f"{name} killed", name, _killed(name)) for name in SERVICES),
    *(Kind(f"{name} stopped", name, _stopped(name)) for name in SERVICES),
    Kind("rolling restart", _ALL, _rolling_restart),
    Kind("postgres restarted", "postgres", _postgres_restarted),
    Kind("postgres crashed", "postgres", _postgres_crashed),
    Kind("postgres frozen", "postgres", _frozen(lambda world: world.postgres.relay, 15)),
    Kind("postgres connections cut", "postgres", _postgres_cut),
    Kind("postgres out of connections", "postgres", _postgres_full),
    Kind("postgres read-only", "postgres", _postgres_read_only),
    Kind("postgres clock jumps", "postgres", _clock_jumps),
    Kind("redis restarted", "redis", _redis_restarted),
    Kind("redis frozen", "redis", _frozen(lambda world: world.redis.relay, 12)),
    Kind("redis flushed", "redis", _redis_flushed),
    Kind("redis connections cut", "redis", _redis_cut),
    Kind("imap black hole", "imap", _imap_hole),
    Kind("imap frozen", "imap", _frozen(lambda world: world.imap, 15)),
    Kind("imap dripping", "imap", _imap_drips),
    Kind("imap cut in a literal", "imap", _imap_altered(_cut_literal)),
    Kind("imap garbage", "imap", _imap_altered(_garbage)),
    Kind("imap BYE", "imap", _imap_altered(_bye)),
)


class Deck:
    """All faults in an order that the seed gives, again and again."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._left: list[Kind] = []

    def wave(self) -> list[Kind]:
        """The next one to three faults, which bear each other."""
        drawn: list[Kind] = []
        for _ in range(self._draw.choice([1, 2, 2, 3])):
            if not self._left:
                self._left = self._draw.sample(KINDS, len(KINDS))
            fits = [kind for kind in self._left if all(kind.bears(one) for one in drawn)]
            if fits:
                drawn.append(fits[0])
                self._left.remove(fits[0])
        return drawn
