"""A TCP relay on the loopback: counts what a server says, is cut or frozen, or breaks by itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"


@dataclass(slots=True)
class Relay:
    """Where it listens, and what went through it to `server`."""

    server: tuple[str, int]
    listener: socket.socket
    #: Bytes that the server has said.
    received: int = 0
    #: Connections so far.
    connections: int = 0
    #: Whether what the server says now is the last thing it says on that connection.
    breaks: Callable[[bytes], bool] = lambda _: False
    #: All connections end with this byte of the server's; None: with none.
    cut_at: int | None = None
    _flows: threading.Event = field(default_factory=threading.Event)
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port to connect to."""
        return int(self.listener.getsockname()[1])

    def freeze(self) -> None:
        """Pass nothing on any more and leave all connections open, as a black hole does."""
        self._flows.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and what comes."""
        self._flows.set()

    def cut(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        """Relay until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                server = socket.create_connection(self.server)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pump, args=[source, sink, server])
                    self._threads.append(thread)
                    thread.start()

    def close(self) -> None:
        """End everything."""
        self.cut()
        self.thaw()
        for thread in self._threads:
            thread.join(5)
        for connection in self._open:
            connection.close()

    def _pump(self, source: socket.socket, sink: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if source is server:
                    self.received += len(data)
                    if self.breaks(data):
                        break
                    if self.cut_at is not None and self.received >= self.cut_at:
                        sink.sendall(data[: len(data) - (self.received - self.cut_at)])
                        self.cut()
                        break
                sink.sendall(data)
        for connection in (source, sink):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(port: int, host: str = HOST) -> Iterator[Relay]:
    """Relay to the server on `port`."""
    with socket.create_server((HOST, 0)) as listener:
        made = Relay((host, port), listener)
        made.thaw()
        acceptor = threading.Thread(target=made.accept)
        acceptor.start()
        try:
            yield made
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)
            made.close()
