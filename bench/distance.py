"""A mail server far away: `python -m bench.distance PORT MILLISECONDS` relays to PORT.

Its first line says by which port. What either side sends arrives after half a round trip, however
much it is. A connection costs what TCP's handshake would: the server hears of it one and a half
round trips after it was asked for, so that its greeting is there after two. `connect` itself
returns at once, which nobody gains by.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postwire_demo.processes import HOST

#: Bytes read at a time, and how many such pieces may be under way.
_PIECE = 64 * 1024
_UNDER_WAY = 256


@contextmanager
def distant(port: int, round_trip: float) -> Iterator[int]:
    """The port by which the server on `port` is so many seconds away; a process of its own."""
    command = [sys.executable, "-m", "bench.distance", str(port), str(round_trip * 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None, "it was asked for"  # noqa: S101
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def main(port: int, round_trip: float) -> None:
    """Relay until killed."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.5 * round_trip)
        there, back = await asyncio.open_connection(HOST, port)
        await asyncio.gather(
            _carry(reader, back, round_trip / 2), _carry(there, writer, round_trip / 2)
        )
        back.close()
        writer.close()

    server = await asyncio.start_server(accept, HOST, 0, limit=_PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, after: float) -> None:
    """Carry what is read to the other side, `after` so many seconds; its end, too."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
    arriving = asyncio.create_task(_arrive(under_way, writer))
    data = b"-"
    while data:
        try:
            data = await reader.read(_PIECE)
        except OSError:
            data = b""
        await under_way.put((asyncio.get_running_loop().time() + after, data))
    await arriving


async def _arrive(
    under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    data = b"-"
    while data:
        due, data = await under_way.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        # What cannot be delivered is lost, as on any road; the reader learns of the end by itself.
        with suppress(OSError):
            writer.write(data) if data else writer.write_eof()
            await writer.drain()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
