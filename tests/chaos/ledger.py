"""What was done and what was seen: every letter, every fault, every answer of the API."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Letter:
    """A message that was delivered; its subject is its name."""

    account_id: str
    #: All times are of the monotonic clock.
    delivered: float
    #: When each viewer first had it.
    seen: dict[str, float] = field(default_factory=dict)
    #: It was expunged again, so that nobody need see it any more.
    expunged: bool = False


@dataclass(frozen=True, slots=True)
class Wave:
    """Faults that were there at the same time, and when all of them were over."""

    faults: tuple[str, ...]
    ended: float


class Ledger:
    """Written and read by several threads."""

    def __init__(self, viewers: dict[str, set[str]]) -> None:
        """`viewers` says which accounts each of them looks at."""
        self._viewers = viewers
        self._lock = threading.Lock()
        self.letters: dict[str, Letter] = {}
        self.waves: list[Wave] = []
        #: Changes made on the mail server, by kind.
        self.changes: Counter[str] = Counter()
        #: Answers of the API by status, and the slowest of each request in seconds.
        self.answers: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        #: Events and reconnections of the viewers.
        self.heard: Counter[str] = Counter()
        #: What must never be.
        self.findings: list[str] = []

    def delivers(self, subject: str, account_id: str) -> None:
        """The letter is about to be delivered, or just was: the last word counts."""
        with self._lock:
            letter = self.letters.setdefault(subject, Letter(account_id, 0))
            letter.delivered = time.monotonic()

    def expunges(self, subject: str) -> None:
        """The letter is about to be expunged."""
        with self._lock:
            if letter := self.letters.get(subject):  # else it was there before
                letter.expunged = True

    def sees(self, viewer: str, subjects: Iterable[str]) -> None:
        """The viewer has these letters now."""
        now = time.monotonic()
        with self._lock:
            for subject in subjects:
                if letter := self.letters.get(subject):
                    letter.seen.setdefault(viewer, now)

    def answered(self, request: str, status: str, seconds: float) -> None:
        """The API has answered a viewer, or has not."""
        with self._lock:
            self.answers[status] += 1
            self.slowest[request] = max(seconds, self.slowest.get(request, 0))

    def finds(self, what: str) -> None:
        """Something is as it must never be; the same is kept once."""
        with self._lock:
            if what not in self.findings:
                self.findings.append(what)

    def unseen(self, before: float) -> list[str]:
        """Subjects of letters delivered before that time, not yet seen by all who look."""
        with self._lock:
            return [
                subject
                for subject, letter in self.letters.items()
                if letter.delivered < before and not letter.expunged and self._wait(letter)
            ]

    def latencies(self) -> list[float]:
        """From delivery to the last viewer, of each letter that all have seen."""
        with self._lock:
            return [
                max(letter.seen.values()) - letter.delivered
                for letter in self.letters.values()
                if letter.seen and not self._wait(letter)
            ]

    def recoveries(self) -> dict[str, float]:
        """By fault, how long after a wave with it the last letter of before was seen."""
        with self._lock:
            longest: dict[str, float] = {}
            for wave in self.waves:
                late = [
                    self._seen_by_all(letter) - wave.ended
                    for letter in self.letters.values()
                    if letter.delivered < wave.ended and not letter.expunged
                ]
                for fault in wave.faults:
                    longest[fault] = max(longest.get(fault, 0.0), *late, 0.0)
            return longest

    def _seen_by_all(self, letter: Letter) -> float:
        return math.inf if self._wait(letter) else max(letter.seen.values())

    def _wait(self, letter: Letter) -> set[str]:
        looking = {name for name, mine in self._viewers.items() if letter.account_id in mine}
        return looking - letter.seen.keys()
