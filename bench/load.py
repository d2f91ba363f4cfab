"""Clients of an HTTP server, in a process of their own; they read little, to take few cycles.

Reads a `Load` from its standard input, and writes the milliseconds of each answer to its output.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

#: Seconds that one answer may take.
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; a GET where there is no body."""

    path: str
    token: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """So many clients at once, each with a connection of its own, for so many seconds.

    They share the requests. Unless these are to `repeat`, who finds none left ends.
    """

    url: str
    clients: int
    seconds: float
    requests: list[Request]
    repeat: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """How it went: seconds in all, and milliseconds of each answer."""

    seconds: float
    ms: list[float]


def run(load: Load) -> Answered:
    """Send it.

    Raises:
        subprocess.SubprocessError: an answer was no success, or it took far too long.
    """
    command = [sys.executable, "-m", __name__]
    limit = load.seconds + 2 * _PATIENCE
    said = subprocess.run(  # noqa: S603
        command, input=msgspec.json.encode(load), stdout=subprocess.PIPE, timeout=limit, check=True
    ).stdout
    return msgspec.json.decode(said, type=Answered)


async def _run(load: Load) -> Answered:
    requests = itertools.cycle(load.requests) if load.repeat else iter(load.requests)
    sent = (_bytes(load.url, one) for one in requests)
    began = time.perf_counter()
    each = await asyncio.gather(*(_client(load, sent) for _ in range(load.clients)))
    return Answered(time.perf_counter() - began, [ms for some in each for ms in some])


def _bytes(url: str, one: Request) -> bytes:
    head = [
        f"{'POST' if one.body else 'GET'} {one.path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: Bearer {one.token}",
        "Content-Type: application/json",
        f"Content-Length: {len(one.body)}",
    ]
    return "\r\n".join([*head, "", one.body]).encode()


async def _client(load: Load, requests: Iterator[bytes]) -> list[float]:
    at = urlsplit(load.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    took = []
    end = time.perf_counter() + load.seconds
    for request in requests:
        began = time.perf_counter()
        if began > end:
            break
        writer.write(request)
        async with asyncio.timeout(_PATIENCE):
            await _read(reader)
        took.append(1000 * (time.perf_counter() - began))
    writer.close()
    return took


async def _read(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, rest = head.partition(b"content-length:")
    body = await reader.readexactly(int(rest.partition(b"\r\n")[0]))
    if b" 20" not in head.partition(b"\r\n")[0]:
        raise RuntimeError(body.decode())


if __name__ == "__main__":
    found = asyncio.run(_run(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(found))
