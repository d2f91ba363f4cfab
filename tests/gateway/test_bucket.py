from __future__ import annotations

import time

from postwire_gateway.bucket import BURST, RATE, Bucket


def test_a_full_bucket_gives_so_many_at_once_and_no_more() -> None:
    began = time.monotonic()
    bucket = Bucket()

    taken = [bucket.take() for _ in range(int(BURST) + 500)]

    assert all(taken[: int(BURST)])
    assert sum(taken) <= BURST + RATE * (time.monotonic() - began)


def test_it_fills_up_with_time_and_never_beyond() -> None:
    now = time.monotonic()

    empty = Bucket(left=0, at=now - 10)
    assert sum(empty.take() for _ in range(2000)) in {int(10 * RATE), int(10 * RATE) + 1}

    rested = Bucket(left=5, at=now - 10_000)
    assert BURST <= sum(rested.take() for _ in range(2000)) <= BURST + 5
