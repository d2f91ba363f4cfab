"""What the doctor looks at: settings, database, Redis, the processes that are alive."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import redis as driver
from redis.exceptions import NoPermissionError

from postwire import events, keys
from postwire.command.findings import Finding, fail, ok, warn
from postwire.command.times import span
from postwire.errors import SettingsError, StoreUnavailable
from postwire.jobs import SOCKET_TIMEOUT, make_redis
from postwire.settings import (
    PROCESSES,
    KeysSettings,
    MigrateSettings,
    QueueSettings,
    load,
)
from postwire.store import inspection, server
from postwire.store.pool import Pool, make_pool, transaction

#: Seconds that the clocks of database and processes may differ.
_CLOCKS = 5.0
#: Seconds that a due job may wait until somebody should look.
_LATE = 60.0
#: Of Redis, or Valkey, which counts on from 7.2.
_OLDEST_REDIS = 6


def settings(process: str | None) -> Iterator[Finding]:
    """Which processes could start with the settings that are here; `process` has to be one."""
    able: list[str] = []
    problems: dict[str, list[str]] = {}
    for name, kind in PROCESSES.items():
        try:
            load(kind)
        except SettingsError as error:
            for problem in str(error).splitlines()[1:]:
                # What is not here may be set where that process runs; what is wrong is wrong.
                if name == process or ": is missing" not in problem:
                    problems.setdefault(problem.strip(), []).append(name)
        else:
            able.append(name)
    for problem, names in problems.items():
        yield fail(f"settings: {problem}", f"it keeps {', '.join(names)} from starting")
    if able:
        yield ok(f"settings: complete for {', '.join(able)}")
    elif not problems:
        yield fail("settings: no process could start with these", "set what is missing")


def database() -> Iterator[Finding]:
    """Whether the database answers, and is as this release needs it."""
    try:
        url = load(MigrateSettings, typos=False).database_url.get_secret_value()
        found = server.look(url)
    except SettingsError as error:
        yield from _unset("database", error)
        return
    except StoreUnavailable as error:
        yield fail(f"database: {error}", "nothing works without it")
        return
    yield from _server(found)
    if found.migrated:
        with closing(make_pool(url, 1, prepare=False)) as pool:
            with transaction(pool) as connection:
                crew = inspection.crew(connection)
            yield from _crew(crew)
            yield from _keys(pool)


def _unset(what: str, error: SettingsError) -> Iterator[Finding]:
    """That it was not looked at; where it is not set, this process may have no business with it."""
    said = str(error).splitlines()
    about = next((line.strip() for line in said[1:]), said[0])
    yield warn(f"{what}: not looked at", about)


def _server(found: server.Server) -> Iterator[Finding]:
    who = f"database: PostgreSQL {found.words}, as {found.role}"
    if found.version < server.OLDEST:
        yield fail(who, f"upgrade it to PostgreSQL {server.OLDEST} or newer")
    else:
        yield ok(who)
    if found.standby or found.read_only:
        what = "a standby" if found.standby else "read-only"
        yield fail(f"database: it is {what}", "let POSTWIRE_DATABASE_URL lead to the primary")
    if abs(found.ahead) > _CLOCKS:
        ahead = "ahead of" if found.ahead > 0 else "behind"
        yield warn(
            f"database: its clock is {span(found.ahead)} {ahead} the one here",
            "have both set by NTP; times and tokens are off by as much",
        )
    if found.missing:
        yield fail(
            f"database: {len(found.missing)} migrations are missing, from {found.missing[0]} on",
            "run postwire migrate",
        )
    elif found.unknown:
        yield warn(
            f"database: it was migrated by a newer release ({found.unknown[-1]})",
            "this release works with it for as long as the upgrade takes; end the upgrade",
        )
    else:
        yield ok("database: migrated to what this release needs")


def _crew(crew: inspection.Crew) -> Iterator[Finding]:
    for count, what, effect in (
        (crew.workers, "sync-workers", "no mail is fetched"),
        (crew.watchers, "watchers", "nothing is noticed or scheduled"),
    ):
        if count:
            yield ok(f"processes: {what} alive: {count}")
        else:
            yield fail(f"processes: no {what} alive", f"start one; until then {effect}")
    if crew.oldest > _LATE:
        yield warn(
            f"jobs: {crew.due} are due, the oldest for {span(crew.oldest)}",
            "start more sync-workers, or look at postwire job list --state waiting",
        )


def _keys(pool: Pool) -> Iterator[Finding]:
    """Whether the keys open what they have sealed."""
    try:
        keyring = load(KeysSettings, typos=False).keyring()
        keys.check(pool, keyring)
        strangers = {id_ for id_ in keys.status(pool) if id_} - set(keyring.keys)
    except SettingsError as error:
        if "POSTWIRE_CREDENTIAL_KEYS: is missing" in str(error):
            yield from _unset("keys", error)
        else:
            yield fail("keys: they will not do", str(error))
        return
    if strangers:
        yield fail(
            f"keys: credentials are sealed with {', '.join(sorted(strangers))}, not set here",
            "set that key beside the others; its accounts cannot log in (docs/keys.md)",
        )
    else:
        yield ok(f"keys: they open what is sealed; {keyring.current} seals")


def redis() -> Iterator[Finding]:
    """Whether Redis answers, keeps what it is given, and is heard."""
    try:
        client = make_redis(load(QueueSettings, typos=False).redis_url.get_secret_value())
    except (SettingsError, ValueError) as error:
        words = (
            error if isinstance(error, SettingsError) else SettingsError("no address of a Redis")
        )
        yield from _unset("redis", words)
        return
    with closing(client):
        try:
            yield from _redis(client)
        except driver.AuthenticationError:
            yield fail("redis: it refuses the password", "correct POSTWIRE_REDIS_URL")
        except NoPermissionError:
            yield fail("redis: this user may not do all", "see docs/operations.md for its rights")
        except driver.RedisError as error:
            yield fail(
                f"redis: it does not answer ({type(error).__name__})",
                "see whether it runs, and POSTWIRE_REDIS_URL; jobs wait in the database meanwhile",
            )


def _redis(client: driver.Redis) -> Iterator[Finding]:
    info = client.info()
    name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else (
        "Redis", str(info["redis_version"]))  # fmt: skip
    if int(version.partition(".")[0]) < _OLDEST_REDIS:
        yield fail(f"redis: {name} {version}", f"upgrade it to {_OLDEST_REDIS} or newer")
    else:
        yield ok(f"redis: {name} {version}")
    policy = info.get("maxmemory_policy")
    if policy == "noeviction":
        yield ok("redis: maxmemory-policy is noeviction")
    else:
        yield warn(
            f"redis: maxmemory-policy is {policy}",
            "set noeviction: when memory is short, jobs are dropped until the sweep finds them",
        )
    if _hears_itself(client):
        yield ok("redis: what is published is heard")
    else:
        yield fail("redis: what is published is not heard", "browsers are told nothing; restart it")
    (_, gateways), *_ = client.pubsub_numsub(events.CHANNEL)
    if gateways:
        yield ok(f"processes: gateways that listen: {gateways}")
    else:
        yield fail("processes: no gateway listens", "start one; until then browsers hear nothing")


def _hears_itself(client: driver.Redis) -> bool:
    channel, word = f"postwire:doctor:{secrets.token_hex(8)}", secrets.token_bytes(8)
    with client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(channel)
        heard.get_message(timeout=SOCKET_TIMEOUT)
        client.publish(channel, word)
        message = heard.get_message(timeout=SOCKET_TIMEOUT)
    return message is not None and message["data"] == word
