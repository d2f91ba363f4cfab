"""Looking at processes from outside, to see that none is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def living_in(folder: Path) -> set[int]:
    """Pids of the processes that work in `folder` or name it in their command."""
    return {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _is_in(entry, folder)}


def descendants(pid: int) -> set[int]:
    """Pids of the children of `pid`, of theirs, and so on."""
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").glob("[0-9]*")}
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is more than a name in the list."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: Callable[[], object], seconds: float = 10) -> bool:
    """Whether `holds` comes true within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _is_in(entry: Path, folder: Path) -> bool:
    try:
        command = (entry / "cmdline").read_bytes()
        return (entry / "cwd").readlink().is_relative_to(folder) or bytes(folder) in command
    except OSError:
        return False  # it has ended meanwhile, or is somebody else's


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it has ended meanwhile
