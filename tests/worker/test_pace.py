"""How much a run takes on at once, and how far it has come."""

from __future__ import annotations

import pytest

from postwire_worker import pace
from postwire_worker.pace import Meter, Pace


class Clock:
    """Goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_batches_grow_while_they_are_quick(clock: Clock) -> None:
    # Given a server that is quick
    ours = Pace()
    sizes = []
    for _ in range(4):
        sizes.append(ours.of(100))
        ours.begin()
        clock.now += 0.1
        ours.end()
    # Then a batch is soon a full one
    assert sizes == [25, 50, 100, 100]


def test_batches_shrink_to_what_a_slow_server_does_in_two_seconds(clock: Clock) -> None:
    # Given a server that needs a second a message
    ours = Pace()
    took = []
    for _ in range(4):
        ours.begin()
        size = ours.of(100)
        clock.now += size
        took.append(size)
        ours.end()
    # Then only the first batch is a long one, and something always goes on
    assert took == [25, 2, 2, 2]
    assert ours.of(10) == 1


def test_progress_is_told_once_a_second_and_at_the_end(clock: Clock) -> None:
    # Given two mailboxes with 60 messages, of which 10 are stored
    meter = Meter(_began=clock.now)
    meter.expect(1, stored=10, left=40)
    meter.expect(2, stored=0, left=10)
    clock.now += 2
    # When some are stored
    first = meter.count(1, 20)
    clock.now += 0.5
    again = meter.count(1, 20)
    clock.now += 0.1
    last = meter.count(2, 10)
    # Then done, total, rate and what is left are right
    assert first == pace.Progress(done=30, total=60, rate=10.0, left=3.0)
    assert again is None
    assert last is not None
    assert (last.done, last.total, last.left) == (60, 60, 0.0)


def test_what_turns_out_to_be_less_shrinks_the_total() -> None:
    meter = Meter()
    meter.expect(1, stored=0, left=5000)
    meter.settle(1, 100)
    told = meter.count(1, 100)
    assert told is not None
    assert (told.done, told.total) == (100, 100)
