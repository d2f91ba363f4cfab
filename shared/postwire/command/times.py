"""Times as people read them: by the clock, and how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

#: Seconds of each unit, the largest first.
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_GIVEN = re.compile(r"(\d{1,6})([smhd])")
_LETTERS = {unit[0]: seconds for unit, seconds in _UNITS}


def span(seconds: float) -> str:
    """A length of time in its largest unit: "3 minutes"."""
    whole = max(round(abs(seconds)), 0)
    unit, length = next(((unit, one) for unit, one in _UNITS if whole >= one), ("second", 1))
    number = whole // length
    return f"{number} {unit}{'s' * (number != 1)}"


def ago(then: datetime | None, now: datetime) -> str:
    """How far `then` is from `now`: "3 minutes ago", "in 2 hours"."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if round(abs(seconds)) == 0:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(seconds)}"


def briefly(then: datetime | None, now: datetime) -> str:
    """As `ago`, for a column: "3m ago"."""
    said = ago(then, now)
    return re.sub(r" ([smhd])\w*", r"\1", said, count=1) if then else said


def when(then: datetime | None, now: datetime) -> str:
    """By the clock, and how far that is from `now`."""
    if then is None:
        return "never"
    return f"{then:%Y-%m-%d %H:%M:%S} UTC ({ago(then, now)})"


def parse(text: str) -> timedelta | None:
    """What "90s", "15m", "2h" or "7d" stands for; None where it is none of these."""
    given = _GIVEN.fullmatch(text)
    return timedelta(seconds=int(given[1]) * _LETTERS[given[2]]) if given else None
