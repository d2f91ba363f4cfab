"""The command `postwire`, run as whoever runs Postwire does."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

POSTWIRE = Path(sysconfig.get_path("scripts")) / "postwire"
#: Columns that everything it says fits in.
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Ended:
    """What it said, and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def out(self) -> str:
        """Its results, however the lines are broken."""
        return " ".join(self.stdout.split())

    @property
    def said(self) -> str:
        """All else, however the lines are broken."""
        return " ".join(self.stderr.split())


def environment(**settings: object) -> dict[str, str]:
    """The environment with these settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if "POSTWIRE" not in name}
    return inherited | {f"POSTWIRE_{name.upper()}": str(value) for name, value in settings.items()}


def postwire(*arguments: str, **settings: object) -> Ended:
    """Run it; it never ends with a traceback, nor says a line that is too long."""
    ended = subprocess.run(
        [POSTWIRE, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for line in (ended.stdout + ended.stderr).splitlines():
        assert "Traceback" not in line, ended.stderr
        assert "--json" in arguments or arguments[0] == "token" or len(line) <= WIDTH, line
        assert "\x1b" not in line
    return Ended(ended.returncode, ended.stdout, ended.stderr)
