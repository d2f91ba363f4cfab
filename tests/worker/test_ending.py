"""A process ends when it is told to, whatever hangs; tried on processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

#: Says that it is there, and then does what a process of ours does at its end.
PROGRAM = """
import logging, queue, threading, time
from postwire_worker import ending
ending.LIMIT = {limit}
stopping = queue.SimpleQueue()
ending.on_signal(lambda: stopping.put(None))
threading.Thread(target=lambda: time.sleep(60)).start()
print("there", flush=True)
stopping.get(timeout=30)
time.sleep({work})
print("done", flush=True)
ending.leave(0)
"""


def ended(limit: float, work: float, number: signal.Signals) -> tuple[int, str, float]:
    """Exit code, output and seconds of a process that is sent the signal."""
    command = [sys.executable, "-c", PROGRAM.format(limit=limit, work=work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        started = time.monotonic()
        process.send_signal(number)
        rest = process.stdout.read()
        return process.wait(20), rest, time.monotonic() - started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_in_its_own_time(number: signal.Signals) -> None:
    # Given a process with a thread that would go on for a minute
    # When it is told to end
    code, output, seconds = ended(10, 0.1, number)

    # Then it does what it has to, and does not wait for the thread
    assert (code, output) == (0, "done\n")
    assert seconds < 5


def test_a_process_that_hangs_at_its_end_is_ended() -> None:
    # Given a process that would take a minute to end, and has half a second
    # When it is told to end
    code, output, seconds = ended(0.5, 60, signal.SIGTERM)

    # Then it ends all the same, and says nothing is wrong: others take over what it held
    assert (code, output) == (0, "")
    assert seconds < 5
