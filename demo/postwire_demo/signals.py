"""How the demo learns that it shall stop: SIGINT, SIGTERM, or `make` that was told so."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

#: Seconds between looks at our parent.
_LOOK = 0.5
_WANTED = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Raised once, wherever the demo is at that moment; says who asked for it."""


def raise_at_stop() -> None:
    """From now on raise Stopped, once, when we shall stop."""
    for wanted in _WANTED:
        signal.signal(wanted, _at_signal)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup has set that
        signal.signal(signal.SIGHUP, _at_signal)
    parent = os.getppid()
    listened = _catches_interrupt(parent)

    def look(_number: int, _frame: FrameType | None) -> None:
        if os.getppid() != parent:
            _stop("the parent process has ended")
        # GNU make that got a SIGINT for itself alone waits for us and tells us nothing; it
        # only no longer catches the signal.
        if listened and _catches_interrupt(parent) is False:
            _stop("make was interrupted")

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)


def look_no_longer() -> None:
    """End the looks at our parent: one during Python's own end would end us by the alarm."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _at_signal(number: int, _frame: FrameType | None) -> None:
    _stop(signal.Signals(number).name)


def _stop(why: str) -> NoReturn:
    # A second Ctrl-C would interrupt the very cleaning up that it asks for.
    look_no_longer()
    for wanted in (*_WANTED, signal.SIGHUP):
        signal.signal(wanted, signal.SIG_IGN)
    raise Stopped(why)


def _catches_interrupt(pid: int) -> bool | None:
    """Whether the process catches SIGINT; None where that cannot be known."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    return None
