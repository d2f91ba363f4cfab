"""What the doctor finds on real servers, and on those that will not do."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis

from postwire.command import checks
from postwire.command.findings import Finding
from postwire.credentials import make_keyring
from postwire.store import processes
from postwire.store.pool import make_pool, transaction
from postwire.store.server import Server
from support import rows

K1 = f"k1:{'A' * 43}="


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("POSTWIRE_")]:
        monkeypatch.delenv(name)


def told(found: Iterable[Finding]) -> list[str]:
    return [f"{one.level} {one.what}: {one.todo}" for one in found]


def put(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"POSTWIRE_{name.upper()}", value)


def test_settings_say_which_process_could_start(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given nothing
    assert told(checks.settings(None)) == [
        "fail settings: no process could start with these: set what is missing"
    ]
    # Given what the gateway needs
    put(monkeypatch, redis_url="redis://h", realtime_secret="r" * 32)
    assert told(checks.settings(None)) == ["ok settings: complete for gateway: "]
    # Then what another needs is missing only if it is to be that one
    said = told(checks.settings("migrate"))
    assert said[0] == (
        "fail settings: POSTWIRE_DATABASE_URL: is missing; set it: it keeps migrate from starting"
    )


def test_settings_that_are_wrong_are_named_without_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(monkeypatch, redis_url="redis://h", realtime_secret="canary", gatway_port="1")
    said = told(checks.settings("gateway"))
    assert said[0] == (
        "fail settings: POSTWIRE_GATWAY_PORT: there is no such setting: "
        "it keeps migrate, api, sync-worker, watcher, gateway from starting"
    )
    assert said[1] == (
        "fail settings: POSTWIRE_REALTIME_SECRET: must be at least 32 bytes long: "
        "it keeps api, gateway from starting"
    )
    assert "canary" not in "".join(said)


def test_a_database_with_nobody_at_work_and_one_with_all(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    put(monkeypatch, database_url=database_url, credential_keys=K1)
    idle = told(checks.database())
    assert "ok database: migrated to what this release needs: " in idle
    assert [line.partition(";")[0] for line in idle if line.startswith("fail")] == [
        "fail processes: no sync-workers alive: start one",
        "fail processes: no watchers alive: start one",
    ]
    with make_pool(database_url, 1) as pool:
        account = rows.active(pool)
        with transaction(pool) as connection:
            processes.beat(connection, "w", "watcher")
            processes.beat(connection, "s", "sync-worker")
            connection.execute(
                "INSERT INTO job (id, account_id, user_id, reason, state, run_at) VALUES"
                " ('j', %s, 'ann', 'auto', 'waiting', now() - interval '1 hour')",
                [account.id],
            )
    said = told(checks.database())
    assert "ok processes: sync-workers alive: 1: " in said
    assert any(line.startswith("warn jobs: 1 are due, the oldest for 1 hour") for line in said)


def test_a_database_that_will_not_do(
    monkeypatch: pytest.MonkeyPatch, empty_database: str, database_url: str
) -> None:
    assert told(checks.database()) == [
        "warn database: not looked at: POSTWIRE_DATABASE_URL: is missing; set it"
    ]
    put(monkeypatch, database_url=empty_database)
    assert "run postwire migrate" in told(checks.database())[-1]
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    put(monkeypatch, database_url=database_url)
    assert any(
        line.startswith("fail database: it is read-only") for line in told(checks.database())
    )
    put(monkeypatch, database_url="postgresql://127.0.0.1:1/x")
    (dead,) = told(checks.database())
    assert dead.startswith("fail database: The database does not answer: 127.0.0.1:1")


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({"version": 14, "words": "14.2"}, "fail database: PostgreSQL 14.2, as robin: upgrade it"),
        ({"standby": True}, "fail database: it is a standby: let POSTWIRE_DATABASE_URL lead to"),
        ({"ahead": 90.0}, "warn database: its clock is 1 minute ahead of the one here"),
        ({"ahead": -7.0}, "warn database: its clock is 7 seconds behind the one here"),
        ({"missing": ("0009_x", "0010_y")}, "fail database: 2 migrations are missing, from 0009_x"),
        ({"unknown": ("9999_z",)}, "warn database: it was migrated by a newer release (9999_z)"),
    ],
)
def test_what_is_said_of_a_database_by_what_it_is(differs: dict[str, Any], said: str) -> None:
    well = Server(18, "18.1", "robin", standby=False, read_only=False, ahead=0.1, missing=(),
                  unknown=())  # fmt: skip
    assert [line[:3] for line in told(checks._server(well))] == ["ok ", "ok "]
    found = told(checks._server(replace(well, **differs)))
    assert any(line.startswith(said) for line in found), found


def test_keys_that_open_nothing_or_are_missing(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    with make_pool(database_url, 1) as pool:
        account = rows.active(pool)
        sealed = make_keyring(K1).seal(account.id, "secret")
        with transaction(pool) as connection:
            connection.execute("UPDATE account SET credential = %s", [sealed])
    put(monkeypatch, database_url=database_url, credential_keys=K1)
    assert told(checks.database())[-1] == "ok keys: they open what is sealed; k1 seals: "
    put(monkeypatch, credential_keys=f"k1:{'C' * 42}A=")
    assert "another one than that" in told(checks.database())[-1]
    put(monkeypatch, credential_keys=f"k2:{'C' * 42}A=")
    assert told(checks.database())[-1].startswith(
        "fail keys: credentials are sealed with k1, not set"
    )


def test_a_redis_that_is_heard_and_one_that_may_forget(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    put(monkeypatch, redis_url=redis_url)
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as gateway:
        before = client.config_get("maxmemory-policy")["maxmemory-policy"]
        try:
            client.config_set("maxmemory-policy", "noeviction")
            said = told(checks.redis())
            assert said[0].startswith("ok redis: ")
            assert said[1:3] == [
                "ok redis: maxmemory-policy is noeviction: ",
                "ok redis: what is published is heard: ",
            ]
            assert said[3].startswith("fail processes: no gateway listens")
            gateway.subscribe("email:sync")
            assert gateway.get_message(timeout=5)
            client.config_set("maxmemory-policy", "allkeys-lru")
            said = told(checks.redis())
            assert said[1].startswith("warn redis: maxmemory-policy is allkeys-lru")
            assert said[3] == "ok processes: gateways that listen: 1: "
        finally:
            client.config_set("maxmemory-policy", before)


def test_a_redis_that_will_not_do(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    assert told(checks.redis())[0].startswith("warn redis: not looked at: POSTWIRE_REDIS_URL")
    put(monkeypatch, redis_url="redis://:canary@127.0.0.1:1/0")
    (dead,) = told(checks.redis())
    assert dead.startswith("fail redis: it does not answer (ConnectionError)")
    scheme, _, rest = redis_url.partition("://")
    put(monkeypatch, redis_url=f"{scheme}://:canary@{rest.rpartition('@')[2]}")
    (refused,) = told(checks.redis())
    assert refused.startswith("fail redis: it refuses the password")
    put(monkeypatch, redis_url="canary")
    (none,) = told(checks.redis())
    assert "canary" not in none + dead + refused
