"""A proxy before the mail server, which counts commands and bytes each way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from postwire_demo.processes import HOST

#: Seconds until what was said last has come through.
_SETTLED = 0.2


@dataclass(frozen=True, slots=True)
class Said:
    """What was said while something was done."""

    commands: list[str]
    sent: int
    read: int
    seconds: float

    @property
    def row(self) -> tuple[float, ...]:
        """How many commands, and bytes each way."""
        return (len(self.commands), self.sent, self.read)


@dataclass(slots=True)
class Tap:
    """Hands bytes on and counts them."""

    port: int
    _target: int
    _up: int = 0
    _down: int = 0
    _heard: bytearray = field(default_factory=bytearray)

    def count(self, work: Callable[[], object]) -> Said:
        """What is said while `work` is done."""
        self._up = self._down = 0
        self._heard.clear()
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        time.sleep(_SETTLED)
        return Said(self._commands(), self._up, self._down, seconds)

    def _commands(self) -> list[str]:
        lines = self._heard.decode("utf-8", "replace").splitlines()
        words = (line.split() for line in lines if len(line.split()) > 1)
        return [" ".join(one[1:3]) if one[1] == "UID" else one[1] for one in words]

    def serve(self, listener: socket.socket) -> None:
        """Take clients until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((HOST, self._target))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._hand_on, args=pair, daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := source.recv(65_536):
                if upward:
                    self._up += len(data)
                    self._heard += data
                else:
                    self._down += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def tapping(target: int) -> Iterator[Tap]:
    """A tap before the port `target`."""
    with socket.create_server((HOST, 0)) as listener:
        tap = Tap(listener.getsockname()[1], target)
        threading.Thread(target=tap.serve, args=[listener], daemon=True).start()
        yield tap
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
