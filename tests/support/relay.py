"""A TCP relay on the loopback: counts what a server says, and does what networks and servers do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
#: Bytes that are passed on at a time while it drips.
_DROP = 16


def _flow() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass(slots=True)
class Relay:
    """Where it listens, and what went through it to `server`."""

    server: tuple[str, int]
    listener: socket.socket
    #: Bytes that the server has said.
    received: int = 0
    #: Connections so far.
    connections: int = 0
    #: All connections end with this byte of the server's; None: with none.
    cut_at: int | None = None
    #: What arrives instead of what the server says, and whether the connection ends with it.
    alters: Callable[[bytes], tuple[bytes, bool]] = lambda data: (data, False)
    #: Whether new connections are a black hole: they are accepted, and nothing comes of them.
    deaf: bool = False
    #: Seconds from one drop to the next; 0: the server's words come in one go.
    drips: float = 0
    _flowing: threading.Event = field(default_factory=_flow)
    _open: set[socket.socket] = field(default_factory=set)
    _threads: set[threading.Thread] = field(default_factory=set)
    _closed: bool = False

    @property
    def port(self) -> int:
        """The port to connect to."""
        return int(self.listener.getsockname()[1])

    def cut(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            _hang_up(connection)

    def freeze(self) -> None:
        """Let nothing through any more, in neither direction; what is sent waits."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again, what has waited first."""
        self._flowing.set()

    def accept(self) -> None:
        """Relay until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                self._open.add(client)
                self._run(lambda client=client: self._connect(client))

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self.drips = 0
        self.thaw()
        self.cut()
        for thread in list(self._threads):
            thread.join(5)

    def _run(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=run)
        # Not before it was started: `close` may join it at once.
        thread.start()
        self._threads.add(thread)
        return thread

    def _connect(self, client: socket.socket) -> None:
        try:
            self._flowing.wait()
            if self.deaf:
                # Only the client can find out, by its own patience.
                while client.recv(65536):
                    pass
                return
            with socket.create_connection(self.server) as server:
                self._open.add(server)
                back = self._run(lambda: self._pump(server, client, self._pass))
                self._pump(client, server, _send)
                back.join()
                self._open.discard(server)
        except OSError:
            pass  # no server: the client sees the connection end
        finally:
            self._open.discard(client)
            client.close()

    def _pump(
        self,
        source: socket.socket,
        sink: socket.socket,
        passes: Callable[[bytes, socket.socket], bool],
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                if not passes(data, sink):
                    break
        for connection in (source, sink):
            _hang_up(connection)

    def _pass(self, data: bytes, sink: socket.socket) -> bool:
        """Pass on what the server said; whether it may say more."""
        self.received += len(data)
        if self.cut_at is not None and self.received >= self.cut_at:
            sink.sendall(data[: len(data) - (self.received - self.cut_at)])
            self.cut()
            return False
        altered, ends = self.alters(data)
        while self.drips and altered and not self._closed:
            sink.sendall(altered[:_DROP])
            altered = altered[_DROP:]
            time.sleep(self.drips)
        sink.sendall(altered)
        return not ends


def _send(data: bytes, sink: socket.socket) -> bool:
    sink.sendall(data)
    return True


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(port: int, host: str = HOST) -> Iterator[Relay]:
    """Relay to the server on `port`."""
    with socket.create_server((HOST, 0)) as listener:
        made = Relay((host, port), listener)
        acceptor = threading.Thread(target=made.accept)
        acceptor.start()
        try:
            yield made
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)
            made.close()
