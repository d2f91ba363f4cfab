"""PostgreSQL and Valkey behind a relay, so that they may go and come back at the same address."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from postwire_demo.errors import DemoError
from support.relay import HOST, Relay, relay

#: Tries to start a server whose elder still lets go of its memory or its port.
_TRIES = 5


class Server:
    """A server that can be stopped, and started again on what it has kept."""

    def __init__(self, way: Relay, run: Callable[[], AbstractContextManager[str]]) -> None:
        #: What everybody but us comes by.
        self.relay = way
        self._run = run
        self._running = ExitStack()
        #: Where it really is; another port each time.
        self.direct = ""
        self.start()

    @property
    def url(self) -> str:
        """Its address by the relay."""
        parts = urlsplit(self.direct)
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@{HOST}:{self.relay.port}").geturl()

    def start(self) -> None:
        """Start it, which takes a second or so.

        Raises:
            DemoError: it does not start.
        """
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                self.direct = self._running.enter_context(self._run())
                break
            except DemoError:
                if last:
                    raise
                time.sleep(1)
        self.relay.server = (HOST, urlsplit(self.direct).port or 0)

    def stop(self) -> None:
        """Stop it as its operators would."""
        self._running.close()


class Clock:
    """A clock of its own for a server; it shows the machine's time until it is set."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        # The server reads it as another user.
        self._file.chmod(0o644)

    @property
    def env(self) -> dict[str, str]:
        """The environment of whoever is to go by it.

        Raises:
            DemoError: libfaketime is not installed.
        """
        library = find_faketime()
        if library is None:
            raise DemoError("libfaketime is missing; as root: apt-get install libfaketime")
        return os.environ | {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, seconds: float) -> None:
        """Let it show so many seconds more than the machine's."""
        self._file.write_text(f"{seconds:+.0f}\n")


def find_faketime() -> Path | None:
    """Where the library of libfaketime is, if it is installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@contextmanager
def behind_relay(run: Callable[[], AbstractContextManager[str]]) -> Iterator[Server]:
    """Run the server that `run` runs."""
    with relay(0) as way:
        server = Server(way, run)
        try:
            yield server
        finally:
            server.stop()
