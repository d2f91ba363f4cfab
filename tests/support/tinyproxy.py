"""A real HTTP proxy, tinyproxy, which wants a user name and a password."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from postwire_demo.processes import HOST, accepts, free_port, spawn, stop, wait_until

USER, PASSWORD = "postwire", "canary-proxy"
_SETTINGS = f"""
Listen {HOST}
Port {{port}}
BasicAuth {USER} {PASSWORD}
LogLevel Connect
Timeout 60
"""


@dataclass(frozen=True, slots=True)
class Tinyproxy:
    """Where it listens, and what it writes."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """What an operator sets."""
        return f"http://{USER}:{PASSWORD}@{HOST}:{self.port}"

    @property
    def asked(self) -> list[str]:
        """What it was asked to connect to, in order."""
        return re.findall(r"CONNECT (\S+) HTTP/1\.1", self.log.read_text())


@contextmanager
def tinyproxy(binary: str, folder: Path) -> Iterator[Tinyproxy]:
    """Run it with its settings and its log in `folder`."""
    proxy, settings = Tinyproxy(free_port(), folder / "tinyproxy.log"), folder / "tinyproxy.conf"
    settings.write_text(_SETTINGS.format(port=proxy.port))
    process = spawn([binary, "-d", "-c", str(settings)], proxy.log, at_our_death=signal.SIGTERM)
    try:
        wait_until(lambda: accepts(proxy.port), process, "tinyproxy", proxy.log)
        yield proxy
    finally:
        stop(process, signal.SIGTERM, seconds=5)
