"""The queue without any mail: how soon a job begins when all is idle, and how many go through."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from dramatiq.brokers.redis import RedisBroker

from bench import bullmq, cost, nothing, stock
from bench.result import median, percentile, progress
from postwire import jobs
from postwire.model import JobId
from postwire_demo.processes import spawn, stop

#: Jobs of the look at an idle queue, and seconds between two of them.
PICKED_UP = 40
PAUSE = 0.1, 0.5
#: Seconds it is looked at what idling costs.
QUIET = 15.0
#: Seconds until each step must have come to its end.
PATIENCE = 120.0
_STOP = 10.0
#: Where the jobs that do nothing are, of each.
_LEFT = {
    "Postwire": lambda client: client.hlen(f"dramatiq:{jobs.QUEUE}.msgs"),
    "Dramatiq": lambda client: client.hlen(f"{stock.NAMESPACE}:none.msgs"),
    "BullMQ": lambda client: client.llen("bull:none:wait") + client.llen("bull:none:active"),
}


@dataclass(frozen=True, slots=True)
class PickedUp:
    """Milliseconds from before a job was added until it ran, and what waiting costs."""

    waits: list[float]
    #: Percent of a core that the worker takes while there is nothing to do.
    idle: float

    @property
    def figures(self) -> list[float]:
        """Median, p99, longest, percent of a core."""
        return [median(self.waits), percentile(self.waits, 0.99), max(self.waits), self.idle]


@dataclass(frozen=True, slots=True)
class Through:
    """Jobs that do nothing: how many a second, and microseconds of CPU of the workers for each."""

    rate: float
    cpu: float


class Queues:
    """Three queues on one Redis, none of which anybody works at yet."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.client = redis.Redis.from_url(redis_url)
        self.env = os.environ | {"REDIS_URL": redis_url}
        self.folder = folder
        self.broker = jobs.make_broker(jobs.make_redis(redis_url))
        self.stock = RedisBroker(client=self.client, namespace=stock.NAMESPACE)  # type: ignore[no-untyped-call]

    def picked_up(self) -> dict[str, PickedUp]:
        """Ask each in turn, so that each has been idle for a while."""
        with ExitStack() as stack:
            asker = stack.enter_context(bullmq.asker(self.env))
            workers = {
                "Postwire": stack.enter_context(self._postwire(4)),
                "Dramatiq": stack.enter_context(self._dramatiq(1, 4)),
                "BullMQ": stack.enter_context(self._bullmq(4)),
            }
            asks: dict[str, Callable[[], object]] = {
                "Postwire": lambda: jobs.enqueue(self.broker, JobId(str(time.time())), jobs.QUEUE),
                "Dramatiq": lambda: self.stock.enqueue(stock.nothing.message(time.time())),
                "BullMQ": lambda: asker.ask("none", accounts=[""], person=True),
            }
            for name, ask in asks.items():
                # Connections are made, and programs loaded: nobody waits for that each time.
                ask()
                until(lambda name=name: not self._left(name))  # type: ignore[misc]
            time.sleep(1)
            self.client.delete(nothing.WAITS, stock.WAITS)
            first = len(self._bullmq_waits())
            idle = _idle(workers)
            for _ in range(PICKED_UP):
                for name, ask in asks.items():
                    ask()
                    until(lambda name=name: not self._left(name))  # type: ignore[misc]
                    time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret
            waits = {
                "Postwire": self._waits(nothing.WAITS),
                "Dramatiq": self._waits(stock.WAITS),
                "BullMQ": self._bullmq_waits()[first:],
            }
        return {name: PickedUp(waits[name], idle[name]) for name in asks}

    def _waits(self, key: str) -> list[float]:
        return [float(wait) * 1000 for wait in self.client.lrange(key, 0, -1)]

    def _bullmq_waits(self) -> list[float]:
        told = bullmq.told(self.folder / "bullmq-none.log")
        return [one["started"] - one["asked"] for one in told if "started" in one]

    def through(self, name: str, many: int, processes: int, threads: int) -> Through:
        """Put so many jobs on the queue, then let so many processes work."""
        progress(f"{many} jobs that do nothing: {name}, {processes} x {threads}")
        self._put(name, many)
        with ExitStack() as stack:
            match name:
                case "Postwire":
                    workers = [
                        stack.enter_context(self._postwire(threads)) for _ in range(processes)
                    ]
                case "Dramatiq":
                    workers = [stack.enter_context(self._dramatiq(processes, threads))]
                case _:
                    workers = [stack.enter_context(self._bullmq(threads)) for _ in range(processes)]
            until(lambda: self._left(name) < many)
            # What it takes to start is not counted, nor what was done before all had started.
            time.sleep(0.5)
            left, began, used = self._left(name), time.monotonic(), _cpu(workers)
            until(lambda: self._left(name) == 0)
            took, used = time.monotonic() - began, _cpu(workers) - used
        return Through(left / took, used / max(left, 1) * 1e6)

    def _put(self, name: str, many: int) -> None:
        if name == "Postwire":
            jobs.enqueue_all(self.broker, [(JobId(""), jobs.QUEUE)] * many)
        elif name == "Dramatiq":
            for _ in range(many):
                self.stock.enqueue(stock.nothing.message())
        else:
            with bullmq.asker(self.env) as asker:
                asker.ask("none", many=many)

    def _left(self, name: str) -> int:
        return int(_LEFT[name](self.client))

    @contextmanager
    def _postwire(self, threads: int) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "bench.nothing", str(threads)]
        with _running(command, self.folder / "nothing.log", self.env) as process:
            yield process

    @contextmanager
    def _dramatiq(self, processes: int, threads: int) -> Iterator[subprocess.Popen[str]]:
        with dramatiq(self.env, self.folder, "none", processes, threads) as process:
            yield process

    @contextmanager
    def _bullmq(self, concurrency: int) -> Iterator[subprocess.Popen[str]]:
        log = self.folder / "bullmq-none.log"
        with bullmq.worker("none", concurrency, self.env, log) as process:
            yield process


@contextmanager
def dramatiq(
    env: Mapping[str, str], folder: Path, queue: str, processes: int, threads: int
) -> Iterator[subprocess.Popen[str]]:
    """Run Dramatiq as its users do, by its own program."""
    command = [sys.executable, "-m", "dramatiq", "bench.stock", "--queues", queue]
    command += ["--processes", str(processes), "--threads", str(threads)]
    with _running(command, folder / f"dramatiq-{queue}.log", env) as process:
        yield process


@contextmanager
def _running(
    command: list[str], log: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    process = spawn(command, log, env=env)
    try:
        yield process
    finally:
        stop(process, signal.SIGTERM, _STOP)


def _idle(workers: Mapping[str, subprocess.Popen[str]]) -> dict[str, float]:
    before = {name: cost.cpu(worker.pid) for name, worker in workers.items()}
    time.sleep(QUIET)
    return {
        name: (cost.cpu(worker.pid) - before[name]) / QUIET * 100
        for name, worker in workers.items()
    }


def _cpu(workers: list[subprocess.Popen[str]]) -> float:
    return sum(cost.cpu(worker.pid) for worker in workers)


def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until it holds.

    Raises:
        TimeoutError: it took too long.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {seconds:.0f} s")
        time.sleep(0.005)
