"""How often the API may be asked, in minutes of the clock, counted in Redis for all processes.

Litestar's own RateLimitMiddleware runs before anybody knows who asks, reads and writes its count in
two steps, one request at a time, and fails the request where Redis does. Its guards and hooks serve
better: a user is counted once the token was checked, and one command counts.
"""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Literal

import redis
from litestar.exceptions import TooManyRequestsException
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from postwire.errors import TokenRejected
from postwire.metrics import RATES_UNCOUNTED, REQUESTS_REFUSED
from postwire.settings import ApiSettings
from postwire_api.auth import Connection

#: Wrong tokens of one address a minute: an office whose tokens all expire at once has fewer.
WRONG_TOKENS = 600
#: Seconds a count may take, the wait for a free connection included.
TIMEOUT = 0.25
#: Seconds in which Redis is not asked after it failed to answer, so that not each request waits.
PAUSE = 2.0
_CONNECTIONS = 8
_MINUTE = 60

Kind = Literal["requests", "costly", "tokens"]


class Rates:
    """Counts requests by user and wrong tokens by address; refuses what is too many."""

    def __init__(self, settings: ApiSettings) -> None:
        """Connects when first asked."""
        pool = BlockingConnectionPool.from_url(
            settings.redis_url.get_secret_value(),
            client_name="postwire-api",
            max_connections=_CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            timeout=TIMEOUT,
        )
        self._redis = Redis.from_pool(pool)
        self._most: dict[Kind, int] = {
            "requests": settings.user_requests,
            "costly": settings.user_costly_requests,
            "tokens": WRONG_TOKENS,
        }
        self._paused_until = 0.0
        self._minute = 0
        # Who is refused until the minute ends; few, for to get in here takes hundreds of requests.
        self._exhausted: set[str] = set()

    def check(self, kind: Kind, who: str) -> None:
        """Refuse whom `count` refused this minute; nobody asks Redis for that.

        Raises:
            TooManyRequestsException: in words, with `Retry-After`.
        """
        now = time.time()
        if int(now) // _MINUTE != self._minute:
            self._minute = int(now) // _MINUTE
            self._exhausted.clear()
        if _key(kind, who) in self._exhausted:
            REQUESTS_REFUSED.labels(limit=kind).inc()
            raise _too_many(ceil(_MINUTE - now % _MINUTE))

    async def count(self, kind: Kind, who: str) -> bool:
        """Count one more; False where it is too many, and `check` refuses from now on."""
        key = _key(kind, who)
        if await self._count(key) <= self._most[kind]:
            return True
        self._exhausted.add(key)
        return False

    async def close(self) -> None:
        """Let go of Redis."""
        await self._redis.aclose()

    async def _count(self, key: str) -> int:
        """How many there were this minute, this one included; 0 where Redis does not say.

        Who cannot be counted is let in: mail that nobody can read while Redis is away is worse than
        some requests too many, and what guards it are the tokens' signatures.
        """
        if time.monotonic() < self._paused_until:
            RATES_UNCOUNTED.labels(reason="not_asked").inc()
            return 0
        try:
            async with asyncio.timeout(TIMEOUT), self._redis.pipeline() as pipe:
                pipe.incr(key)
                pipe.expire(key, 2 * _MINUTE)
                counts = await pipe.execute()
        except (redis.RedisError, TimeoutError):
            self._paused_until = time.monotonic() + PAUSE
            RATES_UNCOUNTED.labels(reason="failed").inc()
            return 0
        return int(counts[0])


async def check_address(connection: Connection, _: BaseRouteHandler) -> None:
    """The guard before the token is looked at: who guesses is not told any more.

    Raises:
        TooManyRequestsException: the address has sent too many wrong tokens.
    """
    _rates(connection.scope).check("tokens", _address(connection.scope))


async def count_user(connection: Connection, handler: BaseRouteHandler) -> None:
    """The guard behind the token; what costs is counted by itself.

    Raises:
        TooManyRequestsException: the user has asked too often.
    """
    rates = _rates(connection.scope)
    kind: Kind = "costly" if handler.opt.get("costly") else "requests"
    user = connection.scope["user"]
    rates.check(kind, user)
    if not await rates.count(kind, user):
        rates.check(kind, user)


async def count_wrong_token(error: Exception, scope: Scope) -> None:
    """The hook behind every refusal."""
    if isinstance(error, TokenRejected):
        await _rates(scope).count("tokens", _address(scope))


def _rates(scope: Scope) -> Rates:
    rates: Rates = scope["litestar_app"].state.rates
    return rates


def _key(kind: Kind, who: str) -> str:
    return f"postwire:rate:{kind}:{who}:{int(time.time()) // _MINUTE}"


def _address(scope: Scope) -> str:
    """Who sends, as far as a network tells: of IPv6, everyone has at least a /64 (RFC 6177)."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), 64), strict=False))


def _too_many(seconds: int) -> TooManyRequestsException:
    return TooManyRequestsException(
        f"That was asked too often; ask again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
