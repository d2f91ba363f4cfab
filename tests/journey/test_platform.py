"""Postwire on servers as platform teams run them: shared, locked down, and behind others."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from postwire_demo import services
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.pgbouncer import pgbouncer
from support.processes import eventually
from support.redis_servers import locked_redis, refused, watched_redis
from support.system import System, run_system

ROLES = Path(__file__).parents[2] / "deploy/postgresql/roles.sql"


@pytest.fixture
def bouncer_url(pgbouncer_program: str, database_url: str) -> Iterator[str]:
    """The migrated database by way of PgBouncer, for a role that owns nothing."""
    password = secrets.token_hex(16)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(ROLES.read_bytes())
        owner.execute(sql.SQL("ALTER ROLE postwire_app PASSWORD {}").format(password))
    # Not in pytest's folder, which is closed to the user that PgBouncer becomes under root.
    with tempfile.TemporaryDirectory(prefix="postwire-pgbouncer-") as folder:
        with pgbouncer(
            pgbouncer_program, Path(folder), database_url, "postwire_app", password
        ) as url:
            yield url


@pytest.fixture
def locked_url(redis_program: str, tmp_path: Path) -> Iterator[str]:
    """A Redis by TLS, for a user who may do what Postwire does and nothing else."""
    (tmp_path / "redis").mkdir()
    with locked_redis(redis_program, tmp_path / "redis") as url:
        yield url


@pytest.fixture
def system(bouncer_url: str, locked_url: str, tmp_path: Path) -> Iterator[System]:
    """A Postwire with no more rights than it needs."""
    both = dict.fromkeys(("api_host", "gateway_host", "ops_host"), "::")
    with run_system(bouncer_url, locked_url, tmp_path, database_prepare="false", **both) as system:
        yield system


def listed(api: httpx.Client, path: str, key: str, count: int) -> list[dict[str, object]]:
    """What the API lists under `key`, once it is so many."""
    deadline = time.monotonic() + 20
    while True:
        answer = api.get(path)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, object]] = answer.json()[key]
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_the_role_of_the_processes_may_use_what_a_later_migration_makes_and_change_no_table(
    postgres_server: str, tmp_path: Path
) -> None:
    # Given roles that were made before there was any table
    name = f"roles_{secrets.token_hex(8)}"
    url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(ROLES.read_bytes())
        # When the migrations have run
        services.migrate({"database_url": url}, tmp_path / "migrate.log")
        # Then that role can work with all tables, and can make or change none
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET ROLE postwire_app")
            lacking = connection.execute(
                """
                SELECT relname, need
                  FROM pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) need
                 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                   AND NOT has_table_privilege(pg_class.oid, need)
                """
            ).fetchall()
            assert lacking == []
            for forbidden in ("DROP TABLE account", "CREATE TABLE mine (id int)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(forbidden)
        admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_mail_is_synced_read_searched_and_removed_with_the_fewest_rights(
    system: System, dovecot: Dovecot, locked_url: str
) -> None:
    # Given an account whose mail was stored
    user = MailUser(dovecot, dovecot.new_user())
    user.append(letter("Was here before"))
    account_id = system.add_account(user)
    with system.api("robin") as api:
        listed(api, "/api/messages", "messages", 1)
        system.wait_until_watched()
        # When mail comes, and comes again often enough for statements to be prepared, if they were
        for number in range(8):
            user.append(letter(f"Lunch {number}"))
            listed(api, "/api/messages", "messages", number + 2)
        # Then it can be found, in conversations too, and changes are told
        assert listed(api, "/api/search?q=lunch", "results", 8)
        assert listed(api, "/api/conversations", "conversations", 9)
        assert api.get(f"/api/accounts/{account_id}/changes?since=0&epoch=1").status_code == 200
        # And the account can be removed
        assert api.delete(f"/api/accounts/{account_id}").status_code == 204
        listed(api, "/api/messages", "messages", 0)
    # And all of it is reached by IPv6 too
    for url in (
        f"{system.api_url}/",
        f"{system.gateway_url}/socket.io/?EIO=4&transport=polling",
        *(service.metrics for service in system.services),
    ):
        assert httpx.get(url.replace("127.0.0.1", "[::1]"), trust_env=False).is_success, url
    # And its browsers were told
    assert 'postwire_events_relayed_total{event="email:new"} 8.0' in system.metrics("gateway")
    # And no process had anything to complain about, nor was it refused anything
    assert refused(locked_url) == []
    for service in system.services:
        said = [json.loads(line) for line in service.log.read_text().splitlines()]
        assert not [line for line in said if line.get("level") in {"warning", "error"}], service


def test_mail_is_told_of_again_soon_after_redis_was_lost(
    database_url: str, redis_program: str, dovecot: Dovecot, tmp_path: Path
) -> None:
    # Given an account that is watched, and a Redis that Sentinels see to
    (tmp_path / "redis").mkdir()
    user = MailUser(dovecot, dovecot.new_user())
    with (
        watched_redis(redis_program, tmp_path / "redis") as watched,
        run_system(database_url, watched.url, tmp_path) as system,
        system.api("robin") as api,
    ):
        system.add_account(user)
        system.wait_until_watched()
        # When its master is lost
        watched.fail_over()
        assert eventually(lambda: system.service("gateway").find_trouble() is None, 40)
        # Then mail is synced, and is told, by way of the one that took its place
        user.append(letter("Afterwards"))
        listed(api, "/api/messages", "messages", 1)
        told = 'postwire_events_relayed_total{event="email:new"} 1.0'
        assert eventually(lambda: told in system.metrics("gateway"))
