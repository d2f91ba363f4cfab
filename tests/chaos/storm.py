"""The storm itself: waves of faults while mail arrives, then calm, and the audit."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from chaos.audit import Audit, audit
from chaos.faults import Deck, Fault, Kind
from chaos.ledger import Wave
from chaos.world import World

#: Seconds after a wave until the next, at most: it comes as soon as all viewers have seen all mail.
CALM = 12.0
#: Seconds in which the faults of a wave begin.
_SPREAD = 2.0
#: Seconds after which a wave that does not end is broken off.
_LONGEST = 180.0
#: Seconds until everything must be well after the storm; a connection may be tried every 120 s.
RECOVERY = 180.0
_TICK = 0.1


@dataclass(slots=True, order=True)
class _Fault:
    """A fault of the wave, and when it is to be resumed."""

    due: float
    number: int
    kind: Kind = field(compare=False)
    steps: Fault = field(compare=False)
    since: float = field(default=0, compare=False)


class Storm:
    """One storm on a world; what happens when is drawn from the seed."""

    def __init__(self, world: World, draw: random.Random, tell: Callable[[str], None]) -> None:
        self._world = world
        self._draw = draw
        self._tell = tell
        self._started = time.monotonic()

    def blow(self, seconds: float) -> Audit:
        """Let waves come for so long, then wait until all is well; the last audit."""
        deck = Deck(self._draw)
        self._world.load.start()
        while time.monotonic() < self._started + seconds:
            self._wave(deck.wave())
            self._calm()
        self._world.load.stop()
        self._world.crowd.wish_no_more()
        self._say("the storm is over")
        return self._recovered()

    def _wave(self, kinds: list[Kind]) -> None:
        now = time.monotonic()
        faults = [
            # With numbers of its own, or the order of the steps would decide what is drawn.
            _Fault(now + draw.uniform(0, _SPREAD), n, kind, kind.begin(self._world, draw))
            for n, kind in enumerate(kinds)
            for draw in [random.Random(self._draw.random())]  # noqa: S311 - to be drawn again
        ]
        try:
            self._run(faults)
        finally:
            for fault in faults:
                fault.steps.close()
        names = tuple(kind.name for kind in kinds)
        self._world.ledger.waves.append(Wave(names, time.monotonic()))

    def _run(self, faults: list[_Fault]) -> None:
        waiting = sorted(faults)
        broken_off = time.monotonic() + _LONGEST
        while waiting:
            self._wait(waiting[0].due)
            fault = heapq.heappop(waiting)
            if not fault.since:
                fault.since = time.monotonic()
                self._say(fault.kind.name)
            pause = next(fault.steps, None)
            lasted = time.monotonic() - fault.since
            if pause is None:
                self._say(f"{fault.kind.name}: over after {lasted:.1f} s")
            elif time.monotonic() > broken_off:
                self._world.ledger.finds(f"{fault.kind.name} did not end in {lasted:.0f} s")
            else:
                fault.due = time.monotonic() + pause
                heapq.heappush(waiting, fault)

    def _calm(self) -> None:
        ended = self._world.ledger.waves[-1].ended
        while (unseen := self._world.ledger.unseen(ended)) and time.monotonic() < ended + CALM:
            self._wait(time.monotonic() + _TICK)
        delivered = self._world.ledger.changes["delivered"]
        words = f"{len(unseen)} not yet seen by all" if unseen else "all of before seen by all"
        self._say(f"{delivered} letters delivered, {words}")

    def _recovered(self) -> Audit:
        since = time.monotonic()
        while True:
            found = self._audit()
            if found.aside:
                self._say(f"asked for another try of {found.aside} messages set aside")
                self._world.retry_set_aside()
            passed = time.monotonic() - since
            if not found.troubles() or passed > RECOVERY:
                self._say(f"{passed:.0f} s later {len(found.troubles())} things are not well")
                return found
            self._wait(time.monotonic() + 1)

    def _audit(self) -> Audit:
        try:
            return audit(self._world)
        except psycopg.OperationalError as error:
            return Audit(stuck=[f"the database does not answer: {error}"])

    def _wait(self, until: float) -> None:
        while True:
            self._world.look_after(self._draw)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TICK))

    def _say(self, words: str) -> None:
        self._tell(f"{time.monotonic() - self._started:7.1f} s  {words}")
