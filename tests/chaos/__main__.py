"""A storm on the whole of Postwire, and an audit after it: `make chaos SEED=… MINUTES=…`.

Everything is real and runs on this machine; it ends with code 1 where anything was lost, stored
twice, unequal or stuck. The seed gives which faults come and for how long; what they hit in that
moment no seed can give.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
from pathlib import Path

from chaos import report
from chaos.storm import Storm
from chaos.world import Size, make_world
from postwire_demo.signals import Stopped, look_no_longer, raise_at_stop


def main() -> int:
    """Run a storm; the exit code."""
    wanted = _arguments()
    raise_at_stop()
    logs = wanted.logs / wanted.seed
    shutil.rmtree(logs, ignore_errors=True)
    say(f"seed {wanted.seed}, {wanted.minutes} minutes, {_load()}")
    size = Size(wanted.accounts, wanted.viewers, wanted.rate)
    try:
        with make_world(size, wanted.seed, logs) as world:
            draw = random.Random(wanted.seed)  # noqa: S311 - to be drawn again
            audit = Storm(world, draw, say).blow(wanted.minutes * 60)
    except Stopped as why:
        say(f"stopped: {why}")
        return 130
    finally:
        look_no_longer()
    say(f"\nSeed {wanted.seed}, {_load()}")
    for line in report.summary(world.ledger, audit):
        say(line)
    if report.troubles(world.ledger, audit):
        say(f"the logs of all processes: {logs.resolve()}")
        return 1
    shutil.rmtree(logs)
    return 0


def say(words: str) -> None:
    """Print it at once: whoever looks on wants to know where it is."""
    print(words, flush=True)


def _load() -> str:
    return f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description="A storm on all of Postwire.")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--accounts", type=int, default=8)
    parser.add_argument("--viewers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2, help="changes a second")
    parser.add_argument("--logs", type=Path, default=Path("var/chaos"))
    return parser.parse_args()


if __name__ == "__main__":
    logging.disable()
    sys.exit(main())
