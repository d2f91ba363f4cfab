"""Redis by the name that Sentinels know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis import asyncio as aioredis

from postwire import jobs, sentinel
from support.processes import eventually
from support.redis_servers import Watched, watched_redis


@pytest.fixture
def watched(redis_program: str, tmp_path: Path) -> Iterator[Watched]:
    """A master, a replica and a Sentinel."""
    with watched_redis(redis_program, tmp_path) as watched:
        yield watched


def answers(call: Callable[[], object]) -> bool:
    try:
        return bool(call())
    except redis.RedisError:
        return False


def test_a_client_finds_the_master_and_after_it_is_gone_its_successor(watched: Watched) -> None:
    # Given a client that has written, past a Sentinel that is not there
    with jobs.make_redis(watched.url) as client:
        client.set("kept", "before")
        client.execute_command("WAIT", 1, 1500)
        # When the master is killed
        watched.fail_over()
        # Then the same client writes to the one that took its place
        assert eventually(lambda: answers(lambda: client.set("kept", "after")), seconds=20)
        assert client.get("kept") == b"after"


async def test_a_client_of_asyncio_does_likewise(watched: Watched) -> None:
    pool = sentinel.make_async_pool(watched.url, socket_timeout=2)
    async with aioredis.Redis.from_pool(pool) as client:
        await client.set("kept", "before")
        await asyncio.to_thread(watched.fail_over)
        async with asyncio.timeout(20):
            while True:
                try:
                    await client.set("kept", "after")
                    break
                except redis.RedisError:
                    await asyncio.sleep(0.1)
        assert await client.get("kept") == b"after"


def test_where_no_sentinel_answers_a_client_fails_soon(watched: Watched) -> None:
    # Given a name that nobody knows
    with jobs.make_redis(watched.url.replace("/Mail/", "/Other/")) as client:
        with pytest.raises(redis.ConnectionError):
            client.ping()


def test_what_stands_in_a_url_is_for_whom_it_is_meant() -> None:
    # Given a URL with everything in it
    pool = sentinel.make_pool(
        "rediss+sentinel://me:p%40ss@one:1,[::1]:2/Name/3"
        "?ssl_ca_certs=/ca.pem&sentinel_username=su&sentinel_password=s%2Fp"
    )
    own = pool.connection_kwargs
    assert (own["username"], own["password"], own["db"]) == ("me", "p@ss", 3)
    assert own["ssl_ca_certs"] == "/ca.pem"
    assert pool.connection_class.__name__ == "SentinelManagedSSLConnection"
    assert pool.service_name == "Name"  # type: ignore[attr-defined]
    sentinels = [one.connection_pool for one in pool.sentinel_manager.sentinels]  # type: ignore[attr-defined]
    kept = [one.connection_kwargs for one in sentinels]
    assert [(one["host"], one["port"]) for one in kept] == [("one", 1), ("::1", 2)]
    assert {(one["username"], one["password"]) for one in kept} == {("su", "s/p")}
    assert {one.connection_class for one in sentinels} == {redis.SSLConnection}
