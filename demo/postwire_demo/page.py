"""Builds the inbox page, when its sources changed: `python -m postwire_demo.page`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from postwire_demo import node
from postwire_demo.errors import DemoError
from postwire_demo.processes import spawn

#: Seconds npm may take, downloads included.
TIMEOUT = 600
_STOP_SECONDS = 3


def build(web: Path, log: Path) -> None:
    """Make `web`/dist as new as its sources; says so when there is something to do.

    Raises:
        DemoError: npm failed.
    """
    if _is_built(web):
        return
    install(web, log)
    print("Building the inbox page …", flush=True)
    _run([*node.npm(), "run", "build"], web, log)


def install(web: Path, log: Path) -> None:
    """Install what `web` is built and checked with, unless it is there.

    Raises:
        DemoError: npm failed.
    """
    if not _is_newer(web / "node_modules/.package-lock.json", [web / "package-lock.json"]):
        print("Installing what the inbox page is built with …", flush=True)
        _run([*node.npm(), "ci", "--no-audit", "--no-fund"], web, log)


def _is_built(web: Path) -> bool:
    sources = [file for folder in (".", "hooks") for file in (web / folder).glob("*")]
    sources = [file for file in sources if file.is_file()]
    for folder in ("src", "public", "hooks/src"):
        sources += (web / folder).rglob("*")
    return _is_newer(web / "dist/index.html", sources)


def _is_newer(target: Path, sources: list[Path]) -> bool:
    if not target.exists():
        return False
    made = target.stat().st_mtime
    return all(source.stat().st_mtime <= made for source in sources)


def _run(command: list[str], web: Path, log: Path) -> None:
    process = spawn([*command, "--prefix", str(web)], log, env=node.environment())
    try:
        code = process.wait(TIMEOUT)
    finally:
        # npm starts processes of its own; when we are stopped meanwhile, all of them end.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(_STOP_SECONDS)
    if code:
        raise DemoError(f"npm failed, while building the inbox page; its log says why: {log}")


if __name__ == "__main__":
    folder, log_file = (Path(argument).resolve() for argument in sys.argv[1:])
    build(folder, log_file)
