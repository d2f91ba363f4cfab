"""Redis by its address, or by its name, which Sentinels know the address of.

`redis+sentinel://user:password@host:26379,host:26379/name/0` asks the Sentinels, at each new
connection, where the master of that name is; `rediss+sentinel://` speaks TLS to them and to it.
User and password are the master's; the Sentinels' own are `sentinel_username` and
`sentinel_password` in the query. All else there, such as `ssl_ca_certs`, is for both.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import redis
from redis import asyncio as aioredis
from redis.asyncio import sentinel as aiosentinel
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

_ANY = "+sentinel"
#: Seconds that one Sentinel may take to connect, and to answer, until the next is asked.
_PATIENCE = 0.5
#: A bound of ours would count connections that were lost with a former master.
_UNBOUNDED = 2**31


class _Named(NamedTuple):
    """A master, the URLs of its Sentinels, and how it is connected to."""

    name: str
    sentinels: list[str]
    options: dict[str, Any]


def make_pool(url: str, **options: Any) -> redis.ConnectionPool:
    """Connections to the Redis at `url`; `options` are redis-py's, of a connection."""
    if not _is_named(url):
        return redis.ConnectionPool.from_url(url, **options)
    named = _read(url)
    sentinels = _Sentinels([])  # type: ignore[no-untyped-call]
    sentinels.sentinels = [
        redis.Redis.from_url(one, retry=Retry(NoBackoff(), 0), **_waits())
        for one in named.sentinels
    ]
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        named.name, sentinels, max_connections=_UNBOUNDED, **named.options, **options
    )


def make_async_pool(url: str, **options: Any) -> aioredis.ConnectionPool:
    """The same for asyncio."""
    if not _is_named(url):
        return aioredis.ConnectionPool.from_url(url, max_connections=_UNBOUNDED, **options)
    named = _read(url)
    sentinels = _AsyncSentinels([])  # type: ignore[no-untyped-call]
    sentinels.sentinels = [
        aioredis.Redis.from_url(one, retry=aioredis.retry.Retry(NoBackoff(), 0), **_waits())
        for one in named.sentinels
    ]
    return aiosentinel.SentinelConnectionPool(  # type: ignore[no-untyped-call]
        named.name, sentinels, max_connections=_UNBOUNDED, **named.options, **options
    )


class _Sentinels(Sentinel):
    """Sentinels that are asked now and then: nothing stays connected to them."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            return super().discover_master(service_name)  # type: ignore[no-any-return, no-untyped-call]
        finally:
            for one in self.sentinels:
                one.connection_pool.disconnect(inuse_connections=False)


class _AsyncSentinels(aiosentinel.Sentinel):
    """The same for asyncio."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            return await super().discover_master(service_name)  # type: ignore[no-any-return]
        finally:
            for one in self.sentinels:
                await one.connection_pool.disconnect(inuse_connections=False)


def _is_named(url: str) -> bool:
    return urlsplit(url).scheme.endswith(_ANY)


def _waits() -> dict[str, Any]:
    return {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}


def _read(url: str) -> _Named:
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix(_ANY)
    who, at, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    user = quote(query.pop("sentinel_username", ""), safe="")
    password = quote(query.pop("sentinel_password", ""), safe="")
    further = urlencode(query)
    sentinels = [f"{scheme}://{user}:{password}@{host}/?{further}" for host in hosts.split(",")]
    options: dict[str, Any] = parse_url(  # type: ignore[no-untyped-call]
        f"{scheme}://{who}{at}{name}/{database}?{further}"
    )
    # What stands in the host's place is the name; the address comes from the Sentinels.
    options.pop("host", None)
    tls = options.pop("connection_class", None) is not None
    return _Named(name, sentinels, {**options, "ssl": tls})
