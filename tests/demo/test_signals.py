"""How the demo learns that it shall stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RECIPE = """
import time
from postwire_demo.signals import Stopped, raise_at_stop

raise_at_stop()
try:
    print("started", flush=True)
    time.sleep(60)
except Stopped:
    print("stopped", flush=True)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """GNU make, in a session of its own, with a recipe that waits to be stopped."""
    code = tmp_path / "recipe.py"
    code.write_text(RECIPE)
    (tmp_path / "Makefile").write_text(f"demo:\n\t@exec {sys.executable} {code}\n")
    with subprocess.Popen(
        ["make", "-C", str(tmp_path), "--no-print-directory"],  # noqa: S607
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A shell starts what it runs in the background deaf to SIGINT, us perhaps.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_make_alone_stops_its_recipe(
    make: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    make.send_signal(number)
    assert make.communicate(timeout=5)[0] == b"stopped\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_stops_it_once(
    make: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    os.killpg(make.pid, number)
    assert make.communicate(timeout=5)[0] == b"stopped\n"
