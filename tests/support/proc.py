"""What Linux knows of a process (proc(5))."""

from __future__ import annotations

from pathlib import Path


def peak_memory(pid: int) -> float:
    """The most memory that the process ever had, in MB (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
