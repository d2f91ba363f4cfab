"""What waits to be sent to one browser: engineio's queue, which knows how much that is.

engineio queues packets for each socket without a bound, and takes all of them out at once before it
sends the first.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from engineio.packet import Packet

#: Bytes that may wait for one browser; as many again may be on their way through the writer. An
#: event has some 350: a browser with 300 accounts that fill up can be silent for several seconds.
MAX_WAITING = 256 * 1024
#: Bytes that a packet costs beside its text.
_OVERHEAD = 256


class Wire(Protocol):
    """A WebSocket that takes frames."""

    def write(self, frame: bytes) -> bool:
        """Write the frame if all before it is gone; whether it was."""


class Outbox(asyncio.Queue[Packet | None]):
    """A queue of packets that counts bytes, with a way past it for when it is empty."""

    def __init__(self) -> None:
        super().__init__()
        #: Bytes of what waits.
        self.waiting = 0
        #: The browser's WebSocket, if it has one.
        self.wire: Wire | None = None
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether the browser is to be cut off."""
        return self.waiting > MAX_WAITING

    def write(self, frame: bytes) -> bool:
        """Send the frame past the queue, if nothing is to be sent before it; whether it was."""
        idle = self.empty() and not self._taken
        return idle and self.wire is not None and self.wire.write(frame)

    # asyncio has `_put` and `_get` for subclasses: its own other queues are made of them.

    def _put(self, item: Packet | None) -> None:
        super()._put(item)
        self.waiting += _cost(item)

    def _get(self) -> Packet | None:
        item: Packet | None = super()._get()
        self.waiting -= _cost(item)
        self._taken += 1
        return item

    def task_done(self) -> None:
        """One that was taken out has arrived at the writer.

        Not at once: in Python 3.11, `wait_for` gets it by a task of its own.
        """
        super().task_done()
        self._taken -= 1


def _cost(packet: Packet | None) -> int:
    text = packet.data if packet else None
    return _OVERHEAD + (len(text) if isinstance(text, str) else 0)
