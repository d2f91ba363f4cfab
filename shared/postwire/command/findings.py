"""What a doctor finds: whether it is well, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `todo` says what mends it."""

    level: Level
    what: str
    todo: str = ""


def ok(what: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", what)


def warn(what: str, todo: str) -> Finding:
    """Postwire works, but somebody should know."""
    return Finding("warn", what, todo)


def fail(what: str, todo: str) -> Finding:
    """Postwire, or something of it, does not work like that."""
    return Finding("fail", what, todo)
