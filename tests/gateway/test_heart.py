from __future__ import annotations

import asyncio
import time

import pytest

from postwire_gateway import heart


async def test_a_loop_that_turns_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heart, "EVERY", 0.01)
    monkeypatch.setattr(heart, "STALE_AFTER", 0.2)
    beating = heart.Heart()
    task = asyncio.create_task(beating.run())

    await asyncio.sleep(0.4)
    assert beating.check() is None

    time.sleep(0.4)  # noqa: ASYNC251 - this is what must be noticed
    assert beating.check() == "the event loop has not turned for 0 s"
    task.cancel()
