"""BullMQ on Node: its workers, and who asks them."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from postwire_demo.node import node
from postwire_demo.processes import spawn, stop, wait_until

PROGRAM = str(Path(__file__).parent / "peers/bullmq.mjs")
#: Seconds a worker has to end its jobs.
_STOP = 10.0
#: Seconds until jobs must have been added.
_ANSWER = 60.0


@contextmanager
def worker(
    what: str, concurrency: int, env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run one that does `what` (bullmq.mjs says what there is); it tells what happened in `log`."""
    process = spawn([node(), PROGRAM, what, str(concurrency)], log, env=env)
    try:
        wait_until(lambda: any("ready" in one for one in told(log)), process, "BullMQ", log)
        yield process
    finally:
        stop(process, signal.SIGTERM, _STOP)


def told(log: Path) -> list[dict[str, Any]]:
    """What a worker has told so far."""
    text = log.read_text() if log.exists() else ""
    lines = [line for line in text.split("\n")[:-1] if line.startswith("{")]
    return [msgspec.json.decode(line) for line in lines]


class Asker:
    """Adds jobs; a process of its own, as a web server would be."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, queue: str, **what: object) -> float:
        """Add jobs, as bullmq.mjs says; the moment before they were, in seconds since 1970.

        Raises:
            RuntimeError: it has ended, or took too long and was killed.
        """
        assert self._process.stdin  # noqa: S101 - a pipe
        assert self._process.stdout  # noqa: S101 - a pipe
        self._process.stdin.write(msgspec.json.encode({"queue": queue} | what).decode() + "\n")
        self._process.stdin.flush()
        limit = threading.Timer(_ANSWER, self._process.kill)
        limit.start()
        line = self._process.stdout.readline()
        limit.cancel()
        if not line:
            raise RuntimeError("BullMQ adds no jobs")
        return msgspec.json.decode(line, type=dict[str, float])["asked"] / 1000


@contextmanager
def asker(env: Mapping[str, str]) -> Iterator[Asker]:
    """Run who asks."""
    command = [node(), PROGRAM, "ask"]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(env)
    ) as process:
        try:
            yield Asker(process)
        finally:
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
