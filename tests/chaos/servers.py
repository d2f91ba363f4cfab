"""PostgreSQL and Valkey behind a relay, so that they may go and come back at the same address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


@contextmanager
def behind_relay(run: Callable[[], AbstractContextManager[str]]) -> Iterator[Server]:
    """Run the server that `run` runs."""
    with relay(0) as way:
        server = Server(way, run)
        try:
            yield server
        finally:
            server.stop()
