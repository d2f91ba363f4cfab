"""A mail server that knows IDLE and hardly more, for thousands of connections in TLS."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postwire_demo.processes import HOST
from support.dovecot import write_certificate

#: Seconds that connections have to be closed at the end.
_CLOSING = 5.0
_OPENED = "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 1] x\r\n{tag} OK done"
_ANSWERS = {
    "LOGIN": "{tag} OK [CAPABILITY IMAP4rev1 IDLE] done",
    "CAPABILITY": "* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done",
    "LIST": '* LIST () "/" INBOX\r\n{tag} OK done',
    "EXAMINE": _OPENED,
    "SELECT": _OPENED,
    "LOGOUT": "* BYE\r\n{tag} OK done",
}


class IdleServer:
    """Takes any password; `idling` are the users that are in IDLE."""

    def __init__(self, folder: Path) -> None:
        write_certificate(folder)
        self.ca_file = folder / "server.pem"
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(self.ca_file, folder / "server.key")
        self.idling: dict[str, asyncio.StreamWriter] = {}
        #: When each was told last (CLOCK_MONOTONIC, nanoseconds), and of how many messages.
        self.told: dict[str, int] = {}
        self._messages: Counter[str] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._there = threading.Event()

    def tell(self, user: str) -> None:
        """Say that there is one message more."""
        self._loop.call_soon_threadsafe(self._tell, user)

    @contextmanager
    def running(self) -> Iterator[IdleServer]:
        """Serve in a thread."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        self._there.wait(10)
        yield self
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(10)

    def _tell(self, user: str) -> None:
        self._messages[user] += 1
        self.told[user] = time.monotonic_ns()
        self.idling[user].write(f"* {self._messages[user]} EXISTS\r\n".encode())

    def _run(self) -> None:
        listening = asyncio.start_server(self._serve, HOST, 0, ssl=self._tls, backlog=1024)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._there.set()
        self._loop.run_forever()
        # Whoever was connected has been ended before; what serves them is still to see that.
        if serving := asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(asyncio.wait(serving, timeout=_CLOSING))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await self._answer(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user = idle = ""
        writer.write(b"* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n")
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            name, _, rest = command.partition(" ")
            if name == "LOGIN":
                user = rest.split(" ")[0].strip('"')
            if name == "IDLE":
                idle, self.idling[user] = tag, writer
                self._messages[user] = 0
                writer.write(b"+ idling\r\n")
            elif tag == "DONE":
                writer.write(f"{idle} OK done\r\n".encode())
            else:
                answer = _ANSWERS.get(name, "{tag} BAD what?")
                writer.write(f"{answer.format(tag=tag)}\r\n".encode())
        if self.idling.get(user) is writer:
            del self.idling[user]
