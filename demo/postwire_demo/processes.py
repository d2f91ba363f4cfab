"""Child processes that are always ended: at stop, and even when we are killed ourselves."""

from __future__ import annotations

import ctypes
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from postwire_demo.errors import DemoError

HOST = "127.0.0.1"
#: Below what Linux, macOS and BSD take for outgoing connections by default.
_PORTS = range(10_000, 32_000)
#: Seconds a server may take until it answers, on a machine that has other work too.
START_TIMEOUT = 60.0
#: prctl(2): the signal this process gets when its parent dies.
_PR_SET_PDEATHSIG = 1
#: Opened here and not in the child, which may take no lock that a thread of ours has.
_LIBC = ctypes.CDLL(None)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on.

    None of those that the system gives to outgoing connections: one may have it before we do.
    """
    for port in random.sample(_PORTS, 100):
        with suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise DemoError("there is no free port")


def accepts(port: int) -> bool:
    """Whether somebody listens on `port` of the loopback."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def spawn(
    command: list[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    at_our_death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[str]:
    """Start `command` with its output appended to `log`; it reads `stdin` and then end of file.

    In a session of its own: a Ctrl-C in the terminal is for us, who stop things in order.
    """
    with log.open("a") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(at_our_death),  # noqa: PLW1509 - we run no threads
        )
    if process.stdin:
        process.stdin.write(stdin)
        process.stdin.close()
    return process


def stop(process: subprocess.Popen[str], how: signal.Signals, seconds: float) -> None:
    """Ask `process` to end with the signal `how`; kill it when it takes longer than `seconds`."""
    process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(
    answers: Callable[[], bool], process: subprocess.Popen[str], name: str, log: Path
) -> None:
    """Wait until the server `process` answers.

    Raises:
        DemoError: it ended, or said nothing for START_TIMEOUT seconds.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DemoError(f"{name} did not start; its log says why: {log}")
        time.sleep(0.02)


def _die_with_parent(how: signal.Signals) -> None:
    # macOS has no such call; there a killed demo leaves its servers behind.
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, how)
