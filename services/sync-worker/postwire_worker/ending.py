"""How a process ends: when it is told to, and in less than ten seconds whatever hangs."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

#: Seconds after a signal until the process ends in the middle of whatever it does. What it held is
#: taken over by others when its hold or its lease has run out.
LIMIT = 9.0


def on_signal(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and SIGINT, from the main thread."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        deadline = threading.Timer(LIMIT, leave, [0])
        deadline.daemon = True
        deadline.start()
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def leave(code: int) -> None:
    """End the process now.

    A thread may wait for a server that does not answer, and Python would wait for the thread.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
