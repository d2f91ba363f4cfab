"""Whether the event loop still turns; for liveness."""

from __future__ import annotations

import asyncio
import time

#: Seconds between two beats, and without one until the process counts as stuck.
_BEAT = 1.0
_STUCK = 30.0


class Pulse:
    """Beats as long as the event loop turns."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            self._last = time.monotonic()
            await asyncio.sleep(_BEAT)

    def check(self) -> str | None:
        """What is wrong in words, or None."""
        silent = time.monotonic() - self._last
        return f"the event loop has stood still for {silent:.0f} s" if silent > _STUCK else None
