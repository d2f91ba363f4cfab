"""Cut off whoever costs memory and gives nothing: who does not read, and who never says who it is.

Who is sent an event while too much waits for it is cut at once (`server.py`); here it is who asked
for so many answers. engineio lets a connection live for ever that answers pings and never
authenticates.
"""

from __future__ import annotations

import asyncio

from postwire_gateway.server import Server

#: Seconds between two looks at the queues.
LOOK_EVERY = 1.0
#: Seconds a connection has to authenticate, at least; at most twice as long.
GRACE = 15.0


async def cut_slow(server: Server) -> None:
    """Cut sockets whose queue is too long, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for eio_sid in _slow(server):
            await server.cut(eio_sid, "slow")


async def cut_strangers(server: Server) -> None:
    """Cut sockets that were there at the last look and still have no token, until cancelled."""
    before: set[str] = set()
    while True:
        await asyncio.sleep(GRACE)
        now = _strangers(server)
        for eio_sid in now & before:
            await server.cut(eio_sid, "stranger")
        before = now


def _slow(server: Server) -> list[str]:
    sockets = server.eio.sockets.items()
    return [eio_sid for eio_sid, socket in sockets if socket.queue.is_full]


def _strangers(server: Server) -> set[str]:
    known = {eio_sid for _, eio_sid in server.manager.get_participants("/", None)}
    return set(server.eio.sockets) - known
