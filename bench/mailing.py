"""IMAP with nothing around it: what delivers mail, and what shows how fast a server tells of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

#: Seconds that an answer may take.
PATIENCE = 20.0
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_APPENDED = re.compile(rb"\[APPENDUID \d+ (\d+)\]")
_EXISTS = re.compile(rb"\* (\d+) EXISTS")


@dataclass(slots=True)
class Connection:
    """A connection that is logged in; one command at a time."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def command(self, *lines: bytes) -> list[bytes]:
        """Send the commands at once; what is answered, the end of the last one at the end.

        Raises:
            OSError: the connection ended, or the server refused or was silent for `PATIENCE`.
        """
        self._writer.write(b"".join(b"t%d %b\r\n" % (n, line) for n, line in enumerate(lines)))
        last = b"t%d " % (len(lines) - 1)
        said = [b""]
        async with asyncio.timeout(PATIENCE):
            while not said[-1].startswith(last):
                said.append(await self.line())
        if not said[-1].startswith(last + b"OK"):
            raise OSError(said[-1])
        return said[1:]

    async def line(self) -> bytes:
        """The next line, with the literals in it."""
        line = await self._reader.readuntil(b"\r\n")
        while found := _LITERAL.search(line):
            line += await self._reader.readexactly(int(found[1]))
            line += await self._reader.readuntil(b"\r\n")
        return line

    async def append(self, content: bytes) -> int:
        """Put the message into INBOX; the UID that it has there (RFC 4315)."""
        said = await self.command(b"APPEND INBOX {%d+}\r\n%b" % (len(content), content))
        found = _APPENDED.search(said[-1])
        if not found:
            raise OSError(said[-1])
        return int(found[1])

    async def existing(self) -> AsyncIterator[int]:
        """How many messages there are, whenever the server says so in IDLE."""
        self._writer.write(b"t0 IDLE\r\n")
        while True:
            if found := _EXISTS.match(await self.line()):
                yield int(found[1])


@asynccontextmanager
async def connected(
    host: str, port: int, user: str, password: str, *, selects: bool
) -> AsyncIterator[Connection]:
    """Log in, and open INBOX if wanted."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        try:
            connection = Connection(reader, writer)
            await connection.line()
            await connection.command(f"LOGIN {user} {password}".encode())
            if selects:
                await connection.command(b"EXAMINE INBOX")
        except BaseException:
            writer.close()
            raise
    try:
        yield connection
    finally:
        writer.close()
