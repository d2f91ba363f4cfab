"""How a process ends: when it is told to, and in less than ten seconds whatever hangs.

A handler runs in the middle of whatever the main thread does, and may take no lock that it holds;
neither may the end wait for one, for there is no telling who has it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

#: Seconds after a signal until the process ends in the middle of whatever it does. What it held is
#: taken over by others when its hold or its lease has run out.
LIMIT = 9.0


def on_signal(stop: Callable[[], None]) -> None:
    """Call `stop`, which takes no lock, at SIGTERM and SIGINT."""

    def handle(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        stop()

    signal.signal(signal.SIGALRM, lambda *_: leave(0))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def leave(code: int) -> None:
    """End the process now.

    A thread may wait for a server that does not answer, and Python would wait for the thread.
    Each line of the log is written already.
    """
    os._exit(code)
