"""Do something to many browsers a little at a time, so that they do not all answer at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable


async def spread(ids: Iterable[str], seconds: float) -> AsyncIterator[str]:
    """Yield `ids` in random order, evenly over at most `seconds`; a single one at once."""
    shuffled = list(ids)
    random.shuffle(shuffled)
    for n, id_ in enumerate(shuffled):
        if n:
            await asyncio.sleep(seconds / len(shuffled))
        yield id_
