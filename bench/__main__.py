"""Run the benchmarks one after another, keep what they found, and draw the page.

What is measured anew replaces what the day's file has of it; the rest of the file stays.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import charts, machine, page
from bench.result import Measurement

#: In the order of the page.
ALL = (
    "first_sync",
    "unchanged",
    "many_accounts",
    "delivery",
    "idle",
    "api",
    "gateway",
    "growth",
)
HERE = Path(__file__).parent
RESULTS = HERE / "results"


def main() -> None:
    """Measure what is asked for, or all."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}")
    only = arguments.parse_args().only or ALL
    if unknown := set(only) - set(ALL):
        arguments.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    failed = [name for name in ALL if name in only and not _run(name)]
    charts.write(page.newest(RESULTS), HERE.parent / "docs")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}; nothing was written of them.")


def _run(name: str) -> bool:
    """Run one in a process of its own, so that no one's leftovers burden the next."""
    print(f"{name}: begins {datetime.now(UTC):%H:%M} UTC", flush=True)
    began, load = time.monotonic(), machine.load()
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "result.json"
        command = [sys.executable, "-m", f"bench.{name}", "--to", str(to)]
        if subprocess.run(command, check=False).returncode or not to.exists():  # noqa: S603
            return False
        found = msgspec.json.decode(to.read_bytes(), type=Measurement)
    took = time.monotonic() - began
    _keep(name, page.Entry(found, seconds=round(took), load=load))
    print(f"{name}: took {took:.0f} s\n", flush=True)
    return True


def _keep(name: str, entry: page.Entry) -> None:
    """Write it into the file of the day at once: a run that is broken off keeps what it has."""
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    entries = page.read(file).entries if file.exists() else {}
    entries |= {name: entry}
    ordered = {name: entries[name] for name in ALL if name in entries}
    run = page.Run(file.stem, machine.describe(), machine.versions(), ordered)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


if __name__ == "__main__":
    main()
