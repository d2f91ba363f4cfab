"""Who is in which room: python-socketio's own manager, made for rooms of thousands.

At each disconnect the original looks through every room of the server, and every socket is a room
of its own: with thousands of sockets a wave of them leaving would hold up the event loop. At each
event it has a task for each socket, which queues what the socket's writer then frames and sends.
Here there is an index for those who leave, and one frame for all (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio

import socketio
from engineio.packet import MESSAGE, Packet
from socketio.packet import EVENT

from postwire_gateway.websocket import frame_of

#: Sockets that are sent to before others in this process have their turn.
_SLICE = 200


class Rooms(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio ships no types
    """An in-process manager that knows the rooms of each socket."""

    def __init__(self) -> None:
        super().__init__()
        self._rooms_of: dict[str, set[str | None]] = {}

    async def emit(
        self, event: str, data: object, namespace: str, room: str | None = None, **_: object
    ) -> None:
        """Send an event to all in a room; it is encoded and framed once."""
        text = self.server.packet_class(EVENT, namespace=namespace, data=[event, data]).encode()
        packet = Packet(MESSAGE, text)
        frame = frame_of(packet.encode())
        for n, (_sid, eio_sid) in enumerate(self.get_participants(namespace, room), 1):
            await self.server.hand_over(eio_sid, packet, frame)
            if n % _SLICE == 0:
                await asyncio.sleep(0)

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        """Put a socket into a room."""
        super().basic_enter_room(sid, namespace, room, eio_sid)
        self._rooms_of.setdefault(sid, set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        """Take a socket out of a room, if it is there."""
        super().basic_leave_room(sid, namespace, room)
        self._rooms_of.get(sid, set()).discard(room)

    def basic_disconnect(self, sid: str, namespace: str, **_: object) -> None:
        """Forget a socket."""
        for room in self._rooms_of.pop(sid, set()):
            super().basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)
