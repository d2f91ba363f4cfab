"""How far an account is, as last told on Redis, for whoever joins its room.

A hint like the push: where Redis is slow, gone or was wiped, the answer is that we do not know,
and the browser asks the API.
"""

from __future__ import annotations

import asyncio
import time

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from postwire import events, sentinel
from postwire.metrics import POSITIONS_FAILED

#: Seconds an answer may take, the wait for a free connection included.
TIMEOUT = 0.8
#: Seconds in which Redis is not asked after it failed to answer: a browser joins hundreds of rooms
#: one after the other, and is not to wait as often.
PAUSE = 2.0
#: Connections to Redis.
_CONNECTIONS = 8
#: Questions under way at most; of a thousand browsers that come back at once, the first are served.
MAX_ASKED = 1000


class Positions:
    """Asks Redis, with patience for everyone in all."""

    def __init__(self, redis_url: str) -> None:
        """Connects when first asked."""
        pool = sentinel.make_async_pool(
            redis_url,
            client_name="postwire-gateway",
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
        )
        self._redis = Redis.from_pool(pool)
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._asked = 0
        self._paused_until = 0.0

    async def newest(self, account_id: str) -> events.Position | None:
        """The newest position that is known of the account, within `TIMEOUT`; None: unknown."""
        if self._asked >= MAX_ASKED or time.monotonic() < self._paused_until:
            POSITIONS_FAILED.labels(reason="not_asked").inc()
            return None
        self._asked += 1
        try:
            async with asyncio.timeout(TIMEOUT), self._connections:
                score = await self._redis.zscore(events.POSITIONS, account_id)
        except (redis.RedisError, TimeoutError):
            self._paused_until = time.monotonic() + PAUSE
            POSITIONS_FAILED.labels(reason="read").inc()
            return None
        finally:
            self._asked -= 1
        return None if score is None else events.position(score)

    async def close(self) -> None:
        """Let go of Redis."""
        await self._redis.aclose()
