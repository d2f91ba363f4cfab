from __future__ import annotations

import asyncio

from postwire_gateway.spread import spread


async def test_a_single_one_does_not_wait() -> None:
    assert [each async for each in spread(["a"], 60)] == ["a"]


async def test_many_are_spread_evenly_and_none_is_left_out() -> None:
    loop, ids = asyncio.get_running_loop(), [str(n) for n in range(10)]
    start = loop.time()

    times = {each: loop.time() - start async for each in spread(ids, 0.5)}

    assert sorted(times) == ids
    assert 0.4 < max(times.values()) < 1.0
    assert list(times) != ids  # one in 3.6 million
