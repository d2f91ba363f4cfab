"""One thread that waits for sockets, timers and the results of other threads, all at once.

Nothing here knows what is watched. Work that may take time is handed to threads; what comes of it
is handed back, so that all state is touched by the loop's thread alone.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import selectors
import socket
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from postwire.errors import PostwireError

#: Seconds the loop may have been away before it counts as stuck.
_STUCK = 60.0

logger = structlog.get_logger()


@dataclass(order=True, slots=True)
class _Timer:
    at: float
    number: int
    action: Callable[[], None] = field(compare=False)


class Loop:
    """`run` until `stop`; everything else is for the loop's own thread, except `call`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[_Timer] = []
        self._numbers = itertools.count()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._wake_write.settimeout(0)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._stopping = False
        self._seen = time.monotonic()

    def run(self) -> None:
        """Go round until `stop`; after that the loop is of no use any more."""
        while not self._stopping:
            self._seen = time.monotonic()
            self._go_round()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _go_round(self) -> None:
        timeout = self._timers[0].at - self._seen if self._timers else 1.0
        for key, _ in self._selector.select(min(max(timeout, 0.0), 1.0)):
            key.data()
        while self._timers and self._timers[0].at <= time.monotonic():
            heapq.heappop(self._timers).action()
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()()

    def stop(self) -> None:
        """Make `run` come to its end; may be called from a signal handler."""
        self._stopping = True
        self._wake()

    def stuck(self) -> str | None:
        """What is wrong with the loop in words, for liveness."""
        away = time.monotonic() - self._seen
        return f"the loop has not come round for {away:.0f} s" if away > _STUCK else None

    def call(self, action: Callable[[], None]) -> None:
        """Have the loop do `action`; from any thread."""
        self._calls.put(action)
        self._wake()

    def watch(self, connection: socket.socket, readable: Callable[[], None]) -> None:
        """Call `readable` whenever there is something to read."""
        self._selector.register(connection, selectors.EVENT_READ, readable)

    def forget(self, connection: socket.socket) -> None:
        """Watch `connection` no more."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do `action` after so many seconds."""
        timer = _Timer(time.monotonic() + seconds, next(self._numbers), action)
        heapq.heappush(self._timers, timer)

    def repeat(self, threads: ThreadPoolExecutor, seconds: float, work: Callable[[], None]) -> None:
        """Do `work` in a thread now, and again so many seconds after it has ended."""
        again = lambda _: self.later(seconds, begin)  # noqa: E731

        def begin() -> None:
            self.in_thread(threads, work, again)

        begin()

    def in_thread(
        self,
        threads: ThreadPoolExecutor,
        work: Callable[[], object],
        then: Callable[[object], None],
    ) -> None:
        """Do `work` in a thread; then the loop is given its result, or the error it raised."""

        def job() -> None:
            result: object
            try:
                result = work()
            except PostwireError as error:
                logger.warning("not done", error=str(error), kind=type(error).__name__)
                result = error
            except Exception as error:  # noqa: BLE001 - one account's trouble is not the loop's
                # Not its words: they may be mail.
                where = traceback.format_tb(error.__traceback__)
                kind = type(error).__name__
                logger.error("not done for a reason nobody foresaw", kind=kind, where=where)  # noqa: TRY400
                result = error
            self.call(lambda: then(result))

        if not self._stopping:
            threads.submit(job)

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)

    def _wake(self) -> None:
        # A full pipe has woken the loop already; one that is closed has nobody to wake.
        with contextlib.suppress(OSError):
            self._wake_write.send(b"\0")
