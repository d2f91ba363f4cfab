"""How the demo learns that it shall stop: SIGINT, SIGTERM, or `make` that was told so."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

#: Seconds between looks at our parent.
_LOOK = 0.5
_WANTED = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Raised once, wherever the demo is at that moment."""


def raise_at_stop() -> None:
    """From now on raise Stopped, once, when we shall stop."""
    for wanted in _WANTED:
        signal.signal(wanted, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup has set that
        signal.signal(signal.SIGHUP, _stop)
    parent = os.getppid()
    listened = _catches_interrupt(parent)

    def look(_number: int, _frame: FrameType | None) -> None:
        # GNU make that got a SIGINT for itself alone waits for us and tells us nothing; it
        # only no longer catches the signal.
        if os.getppid() != parent or (listened and not _catches_interrupt(parent)):
            _stop()

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)


def look_no_longer() -> None:
    """End the looks at our parent: one during Python's own end would end us by the alarm."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _stop(_number: int = 0, _frame: FrameType | None = None) -> None:
    # A second Ctrl-C would interrupt the very cleaning up that it asks for.
    look_no_longer()
    for wanted in (*_WANTED, signal.SIGHUP):
        signal.signal(wanted, signal.SIG_IGN)
    raise Stopped


def _catches_interrupt(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False  # no Linux, or gone
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)
