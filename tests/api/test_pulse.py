"""Liveness of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from postwire_api import pulse
from postwire_api.pulse import Pulse


async def test_a_loop_that_turns_is_alive_and_one_that_stands_still_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a pulse that beats, and little patience
    monkeypatch.setattr(pulse, "_BEAT", 0.01)
    monkeypatch.setattr(pulse, "_STUCK", 0.1)
    beats = Pulse()
    beating = asyncio.create_task(beats.beat())
    # Then it is alive while the loop turns
    await asyncio.sleep(0.3)
    assert beats.check() is None
    # And not when it turns no more
    beating.cancel()
    await asyncio.sleep(0.3)
    assert "stood still" in str(beats.check())
