"""A scripted IMAP server on the loopback, for all that Dovecot will not do.

`FakeImap` answers commands by a table: a pattern of the command, and what is sent for it, byte by
byte as the test wants it. Where that is not enough, an answer is a function of the `Wire`.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from support.dovecot import Dovecot

HOST = "127.0.0.1"
#: Seconds between two segments, so that they arrive as two.
_GAP = 0.03
#: Seconds a wire waits for its client; no test takes that long.
_PATIENCE = 30.0

#: What is sent for a command; `TAG` in it stands for the command's. A function may do anything.
Answer: TypeAlias = "bytes | Callable[[Wire, str], None]"


@dataclass(slots=True)
class Wire:
    """One connection, seen from the server."""

    connection: socket.socket
    server: FakeImap

    def send(self, *segments: bytes) -> None:
        """Send each segment by itself."""
        for number, segment in enumerate(segments):
            if number:
                time.sleep(_GAP)
            self.connection.sendall(segment)

    def line(self) -> str:
        """The next line of the client.

        Raises:
            EOFError: it sends no more.
        """
        line = bytearray()
        while not line.endswith(b"\r\n"):
            byte = self.connection.recv(1)
            if not byte:
                raise EOFError
            line += byte
        text = line[:-2].decode()
        self.server.lines.append(text)
        return text

    def serve(self, answers: Mapping[str, Answer]) -> None:
        """Answer commands, each by the first pattern that fits, until the client goes."""
        while True:
            tag, _, command = self.line().partition(" ")
            answer = next(
                (a for p, a in answers.items() if re.match(p, command, re.IGNORECASE)), None
            )
            if answer is None:
                self.send(f"{tag} BAD there is no answer to this\r\n".encode())
            elif callable(answer):
                answer(self, tag)
            else:
                self.send(answer.replace(b"TAG", tag.encode()))

    def secure(self, context: ssl.SSLContext) -> None:
        """Go on in TLS."""
        self.connection = context.wrap_socket(self.connection, server_side=True)

    def close_notify(self) -> None:
        """End TLS, but not TCP."""
        assert isinstance(self.connection, ssl.SSLSocket)
        with suppress(OSError):
            self.connection.unwrap()
        self.hang()

    def hang(self, *_: str) -> None:
        """Say nothing more, and leave the connection as it is."""
        self.server.over.wait(_PATIENCE)

    def cut(self, *_: str) -> None:
        """End the connection."""
        self.connection.close()
        raise EOFError


def capabilities(*names: str) -> dict[str, Answer]:
    """The answer to CAPABILITY."""
    return {"CAPABILITY": f"* CAPABILITY {' '.join(names)}\r\nTAG OK done\r\n".encode()}


def mailbox(uidvalidity: int = 1, uidnext: int = 1) -> dict[str, Answer]:
    """The answers about an INBOX, which is all the user has."""
    return {
        "LIST": b'* LIST () "/" INBOX\r\nTAG OK done\r\n',
        "STATUS": f"* STATUS INBOX (UIDVALIDITY {uidvalidity} UIDNEXT {uidnext})\r\n"
        "TAG OK done\r\n".encode(),
        "EXAMINE": f"* {uidnext - 1} EXISTS\r\n* OK [UIDVALIDITY {uidvalidity}] x\r\n"
        f"* OK [UIDNEXT {uidnext}] x\r\nTAG OK [READ-ONLY]\r\n".encode(),
    }


#: A server that lets everyone in and has no mail.
USUAL: Mapping[str, Answer] = {
    **capabilities("IMAP4rev1"),
    "LOGIN": b"TAG OK done\r\n",
    "LOGOUT": b"* BYE\r\nTAG OK done\r\n",
    **mailbox(),
    "UID SEARCH": b"* SEARCH\r\nTAG OK done\r\n",
}


@dataclass(slots=True)
class FakeImap:
    """Where the server listens, and what it has heard so far."""

    host: str
    port: int
    #: All lines of all clients.
    lines: list[str] = field(default_factory=list)
    #: When each connection was made, by the monotonic clock.
    connected: list[float] = field(default_factory=list)
    #: The most connections there were at a time.
    most: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def heard(self, pattern: str) -> list[str]:
        """The lines that match `pattern`, without their tags."""
        commands = (line.partition(" ")[2] for line in self.lines)
        return [command for command in commands if _fits(pattern, command)]


@contextmanager
def fake_imap(
    answers: Mapping[str, Answer] | None = None,
    *,
    greeting: bytes | None = b"* OK ready\r\n",
    tls: ssl.SSLContext | None = None,
    host: str = HOST,
) -> Iterator[FakeImap]:
    """Run a server that answers as usual but for `answers`; without greeting it is silent."""
    listener = socket.create_server((host, 0))
    server = FakeImap(host, listener.getsockname()[1])
    table = {**(answers or {}), **{p: a for p, a in USUAL.items() if p not in (answers or {})}}
    wires: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def talk(connection: socket.socket) -> None:
        with suppress(OSError, EOFError):
            connection.settimeout(_PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(connection, server)
            if tls:
                wire.secure(tls)
                wires.append(wire.connection)
            if greeting is None:
                wire.hang()
            else:
                wire.send(greeting)
                wire.serve(table)
        # Only now: the wire may have become another socket by TLS.
        with suppress(OSError):
            wire.connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.connected.append(time.monotonic())
                wires.append(connection)
                server.most = max(server.most, sum(map(_is_open, wires)))
                threads.append(threading.Thread(target=talk, args=[connection], daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        server.over.set()
        # Closing alone does not wake a thread that waits in accept or recv.
        for connection in (listener, *wires):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in (acceptor, *threads):
            thread.join(5)


def _is_open(connection: socket.socket) -> bool:
    """Whether the client has not closed it, as the kernel knows it, whatever is still unread."""
    ended = select.poll()
    with suppress(OSError, ValueError):
        ended.register(connection, select.POLLRDHUP)
        return not ended.poll(0)
    return False


def _fits(pattern: str, command: str) -> bool:
    return re.match(pattern, command, re.IGNORECASE) is not None


def server_context(dovecot: Dovecot) -> ssl.SSLContext:
    """The certificate of the tests, for a server; it names 127.0.0.1 and localhost."""
    return presenting(dovecot.ca_file)


def presenting(certificate: Path) -> ssl.SSLContext:
    """The certificate that `write_certificate` has written, for a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("server.key"))
    return context
