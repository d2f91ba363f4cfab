"""How much one connection may say."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

#: Packets a second in the long run.
RATE = 20.0
#: Packets at once: a browser with 300 accounts joins all their rooms when it connects, and changes
#: them when another page of its own is opened.
BURST = 1000.0


@dataclass(slots=True)
class Bucket:
    """A token bucket: full at first, filled at `RATE`, never beyond `BURST`."""

    left: float = field(default_factory=lambda: BURST)
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        """Take one out; whether there was one."""
        now = time.monotonic()
        self.left = min(BURST, self.left + (now - self.at) * RATE)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True
