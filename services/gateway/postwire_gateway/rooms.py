"""Who is in which room: python-socketio's own manager, with an index for those who leave.

At each disconnect the original looks through every room of the server, and every socket is a room
of its own: with thousands of sockets a wave of them leaving would hold up the event loop.
"""

from __future__ import annotations

import socketio


class Rooms(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio ships no types
    """An in-process manager that knows the rooms of each socket."""

    def __init__(self) -> None:
        super().__init__()
        self._rooms_of: dict[str, set[str | None]] = {}

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
