"""Whether the event loop still turns; everything in this process waits for it."""

from __future__ import annotations

import asyncio
import time

#: Seconds between two beats.
EVERY = 1.0
#: Seconds without one after which the process had better be started again.
STALE_AFTER = 15.0


class Heart:
    """Beats in the event loop and is asked from the thread of the operations port."""

    def __init__(self) -> None:
        self._beat = time.monotonic()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(EVERY)

    def check(self) -> str | None:
        """What is wrong in words, or None."""
        age = time.monotonic() - self._beat
        return f"the event loop has not turned for {age:.0f} s" if age > STALE_AFTER else None
