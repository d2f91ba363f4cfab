"""The loop: sockets, timers and the results of threads, each in its turn."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from postwire.errors import ConnectionLost
from postwire_worker import loop as module
from postwire_worker.loop import Loop


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def run(loop: Loop) -> None:
    """Run the loop, which ends by itself or fails the test."""
    loop.later(10, loop.stop)
    started = time.monotonic()
    loop.run()
    assert time.monotonic() - started < 9, "nobody stopped the loop"


def test_timers_come_in_the_order_of_their_time() -> None:
    loop, order = Loop(), []
    loop.later(0.03, lambda: order.append("last"))
    loop.later(0.04, loop.stop)
    loop.later(0.0, lambda: order.append("first"))
    loop.later(0.02, lambda: order.append("middle"))
    run(loop)
    assert order == ["first", "middle", "last"]


def test_a_socket_is_read_when_there_is_something_and_not_after_it_is_forgotten() -> None:
    # Given a watched socket
    loop, here_and_there = Loop(), socket.socketpair()
    here, there = here_and_there
    read: list[bytes] = []

    def readable() -> None:
        read.append(here.recv(10))
        if len(read) == 2:
            loop.forget(here)
            there.send(b"unheard")
            loop.later(0.05, loop.stop)
        else:
            there.send(b"two")

    # When something comes, again and again
    loop.watch(here, readable)
    there.send(b"one")
    run(loop)

    # Then it was read until it was forgotten
    assert read == [b"one", b"two"]
    loop.forget(here)
    here.close()
    loop.forget(here)
    there.close()


def test_other_threads_hand_work_to_the_loops_own() -> None:
    # Given a loop that waits for nothing
    loop, seen = Loop(), []

    def work() -> None:
        seen.append(threading.get_ident())
        loop.stop()

    thread = threading.Thread(target=lambda: (time.sleep(0.05), loop.call(work)))
    started = time.monotonic()

    # When another thread hands it something
    thread.start()
    run(loop)
    thread.join()

    # Then it does so at once, in its own thread
    assert seen == [threading.get_ident()]
    assert time.monotonic() - started < 0.9


def test_the_result_of_a_thread_comes_back_or_its_error(threads: ThreadPoolExecutor) -> None:
    # Given work that succeeds, that fails as we know it, and that fails otherwise
    loop = Loop()
    results: list[object] = []

    def then(result: object) -> None:
        results.append(result)
        if len(results) == 3:
            loop.stop()

    def lost() -> None:
        raise ConnectionLost

    def broken() -> None:
        raise ZeroDivisionError

    # When it is done in threads
    for work in (lambda: 42, lost, broken):
        loop.in_thread(threads, work, then)
    run(loop)

    # Then the loop has all three
    assert {type(result) for result in results} == {int, ConnectionLost, ZeroDivisionError}


def test_what_is_repeated_goes_on_after_an_error(threads: ThreadPoolExecutor) -> None:
    loop, times = Loop(), []

    def work() -> None:
        times.append(time.monotonic())
        if len(times) == 3:
            loop.stop()
        raise ConnectionLost

    loop.repeat(threads, 0.02, work)
    run(loop)
    assert len(times) == 3


def test_a_stopped_loop_takes_no_more_work(threads: ThreadPoolExecutor) -> None:
    loop, done = Loop(), []
    loop.stop()
    loop.in_thread(threads, lambda: done.append(1), lambda _: None)
    run(loop)
    threads.shutdown()
    assert done == []


def test_many_calls_do_not_block_the_callers() -> None:
    # Given a loop that does not run, whose pipe is soon full
    loop, done = Loop(), []
    for n in range(100_000):
        loop.call(lambda n=n: done.append(n))  # type: ignore[misc]

    # When it runs
    loop.call(loop.stop)
    run(loop)

    # Then nothing was lost
    assert len(done) == 100_000


def test_a_stuck_loop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a loop that counts as stuck after a moment
    monkeypatch.setattr(module, "_STUCK", 0.05)
    loop = Loop()
    seen: list[str | None] = []

    # When something in it takes longer
    def block() -> None:
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            pass
        seen.append(loop.stuck())
        loop.later(0.01, look)

    def look() -> None:
        seen.append(loop.stuck())
        loop.stop()

    loop.later(0, block)
    run(loop)

    # Then that shows, until it goes round again
    assert seen[0] is not None
    assert "the loop has not come round" in seen[0]
    assert seen[1] is None
