"""The floor of a gateway: a bare aiohttp server that writes frames to the WebSockets of a room.

No token is checked, nothing is counted, and who reads slowly is waited for by nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from typing import cast

import msgspec
from aiohttp import web
from redis.asyncio import Redis

from postwire import events
from postwire_demo.processes import HOST

#: What Engine.IO and Socket.IO say first: opened, connected, and the answer to the first join.
_GREETINGS = ("0{}", "40{}", "430[]")


class _Addressed(msgspec.Struct, rename="camel"):
    account_id: str


class _Rooms:
    """The sockets of each account."""

    def __init__(self) -> None:
        self._of: defaultdict[str, set[asyncio.WriteTransport]] = defaultdict(set)

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Let a socket join whatever it names."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        transport = cast(asyncio.WriteTransport, request.transport)
        await socket.send_str(_GREETINGS[0])
        async for message in socket:
            if message.data.startswith("42"):
                account = json.loads(message.data[message.data.index("[") :])[1]["accountId"]
                self._of[account].add(transport)
            if message.data.startswith("4"):
                await socket.send_str(_GREETINGS[1 + message.data.startswith("42")])
        for sockets in self._of.values():
            sockets.discard(transport)
        return socket

    def tell(self, event: bytes) -> None:
        """Write an event to all in its account's room."""
        frame = _frame(b'42["email:synced",' + event + b"]")
        for socket in self._of[msgspec.json.decode(event, type=_Addressed).account_id]:
            socket.write(frame)


async def main() -> None:
    """Serve until killed."""
    rooms = _Rooms()
    app = web.Application()
    app.router.add_get("/socket.io/", rooms.connect)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    redis = Redis.from_url(os.environ["POSTWIRE_REDIS_URL"])
    async with redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(events.CHANNEL)
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        async for message in pubsub.listen():
            if message["type"] == "message":
                rooms.tell(message["data"])


def _frame(payload: bytes) -> bytes:
    """A text frame of 126 to 65,535 bytes (RFC 6455 section 5.2)."""
    return b"\x81\x7e" + len(payload).to_bytes(2) + payload


if __name__ == "__main__":
    asyncio.run(main())
