"""One of our processes as it is deployed: settings from the environment, JSON lines, a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.local import LOOPBACK
from support.processes import eventually


@dataclass(slots=True)
class Process:
    """A process of ours, and all that it has written."""

    popen: subprocess.Popen[bytes]
    output: Path

    def lines(self) -> list[dict[str, object]]:
        """Its log so far."""
        return [json.loads(line) for line in self.output.read_text().splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip

    def ready(self) -> dict[str, object] | None:
        """The line in which it says that it is ready, if it did."""
        return next((line for line in self.lines() if line["event"] == "ready"), None)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page on its port for operations."""
        ready = self.ready()
        assert ready
        url = f"http://127.0.0.1:{ready['ops_port']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Its exit code, and the seconds it took after the signal."""
        started = time.monotonic()
        self.popen.send_signal(number)
        return self.popen.wait(30), time.monotonic() - started


@contextmanager
def process(module: str, settings: Mapping[str, str], folder: Path) -> Iterator[Process]:
    """Run `python -m module`; yields when it is ready."""
    output = folder / f"{module}-{time.monotonic_ns()}.log"
    with output.open("wb") as sink:
        popen = start(module, settings, sink.fileno())
    try:
        made = Process(popen, output)
        assert eventually(lambda: made.ready() or popen.poll() is not None, 30)
        assert made.ready(), output.read_text()
        yield made
    finally:
        popen.kill()
        popen.wait()


def start(module: str, settings: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    """Start `python -m module` with these settings; the tests' servers are on the loopback."""
    given = {"allowed_networks": LOOPBACK, **settings}
    ours = {f"POSTWIRE_{name.upper()}": value for name, value in given.items()}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("POSTWIRE_")}
    return subprocess.Popen(
        [sys.executable, "-m", module],
        env={**inherited, **ours},
        stdout=output,
        stderr=subprocess.STDOUT,
    )
