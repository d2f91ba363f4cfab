"""Do something to many browsers a little at a time, so that they do not all answer at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable


async def spread(ids: Iterable[str], seconds: float) -> AsyncIterator[str]:
    """Yield `ids` in random order, evenly over at most `seconds`; a single one at once."""
    shuffled = list(ids)
    random.shuffle(shuffled)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for n, id_ in enumerate(shuffled):
        # By the clock, since what is done to each takes its time too.
        await asyncio.sleep(max(0.0, start + n * seconds / len(shuffled) - loop.time()))
        yield id_
