"""What processes cost: CPU and memory of one, with all that it started, from /proc."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from support.proc import peak_memory


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that has ended."""

    seconds: float
    #: Seconds of CPU, user and system, of it and all whose end it waited for.
    cpu: float
    #: The most memory it ever had, in MB; looked at 20 times a second.
    peak: float
    stdout: str


def run(command: Sequence[str], timeout: float, env: Mapping[str, str] | None = None) -> Ran:
    """Run a program to its end, which comes after `timeout` seconds at the latest.

    Raises:
        subprocess.CalledProcessError: it failed, or took too long.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)  # noqa: S603
    limit = threading.Timer(timeout, process.kill)
    limit.start()
    peak = [0.0]
    ended = threading.Event()
    looks = threading.Thread(target=_look, args=[process.pid, peak, ended], daemon=True)
    looks.start()
    with process.stdout:  # type: ignore[union-attr]
        stdout = process.stdout.read()  # type: ignore[union-attr]
    # Not `process.wait`, which does not tell what it cost.
    _, status, usage = os.wait4(process.pid, 0)
    limit.cancel()
    ended.set()
    looks.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stdout)
    return Ran(took, usage.ru_utime + usage.ru_stime, peak[0], stdout)


def _look(pid: int, peak: list[float], ended: threading.Event) -> None:
    # Not wait4's ru_maxrss: that counts what we had ourselves when we started the program.
    while not ended.wait(0.05):
        with suppress(OSError):
            peak[0] = max(peak[0], peak_memory(pid))


def child(name: str) -> int:
    """The id of the process of that name that we have started.

    Raises:
        LookupError: there is none, or more than one.
    """
    found = [one.pid for one in psutil.Process().children() if one.name() == name]
    if len(found) != 1:
        raise LookupError(f"{len(found)} processes are called {name}")
    return found[0]


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and of all below it, those that have ended included."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def memory(pid: int) -> float:
    """MB that a process and all below it have to themselves (PSS: what is shared is divided)."""
    root = psutil.Process(pid)
    total = 0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 2**20
