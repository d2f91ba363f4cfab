"""How much a run takes on at once, and how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

#: Seconds a batch should take: longer, and a run would overstay its time by one slow batch.
_AIM = 2.0
#: Part of a full batch to begin with, before it is known how fast the server is; and the least.
_FIRST, _LEAST = 0.25, 0.01
#: Seconds between two words on the progress.
_EVERY = 1.0


@dataclass(slots=True)
class Pace:
    """The share of a full batch that takes about as long as a batch should."""

    share: float = _FIRST
    _since: float = 0.0

    def begin(self) -> None:
        """A batch begins."""
        self._since = time.monotonic()

    def end(self) -> None:
        """The batch was stored: the next is larger where it was quick, smaller where slow."""
        took = max(time.monotonic() - self._since, 0.001)
        self.share = min(1.0, max(_LEAST, self.share * min(2.0, _AIM / took)))

    def of(self, full: int) -> int:
        """So many of `full`, one at least."""
        return max(1, round(full * self.share))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is: messages, messages a second, seconds; `left` None: unknown."""

    done: int
    total: int
    rate: float
    left: float | None


@dataclass(slots=True)
class Meter:
    """Counts the messages a backfill has stored, and those that are left by mailbox."""

    done: int = 0
    left: dict[int, int] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _told: float = 0.0
    _here: int = 0

    def expect(self, mailbox: int, stored: int, left: int) -> None:
        """A further mailbox: so many of its messages are stored, so many may be left."""
        self.done += stored
        self.left[mailbox] = left

    def settle(self, mailbox: int, left: int) -> None:
        """By now it is known how many are left of the mailbox."""
        self.left[mailbox] = left

    def count(self, mailbox: int, messages: int) -> Progress | None:
        """Messages were stored; how far it is, if that was not told within the last second."""
        self.done += messages
        self._here += messages
        self.left[mailbox] = max(0, self.left.get(mailbox, 0) - messages)
        now, left = time.monotonic(), sum(self.left.values())
        if left and now - self._told < _EVERY:
            return None
        self._told = now
        rate = self._here / max(now - self._began, 0.001)
        seconds = round(left / rate, 1) if rate else None
        return Progress(self.done, self.done + left, round(rate, 1), seconds)
