"""The embedded servers: they start, keep what they are given, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from imapclient import IMAPClient

from postwire_demo.errors import DemoError
from postwire_demo.servers import postgres, valkey
from support.dovecot import Dovecot
from support.processes import eventually, living_in

OWNER = """
import sys, time
from pathlib import Path
from postwire_demo.servers import postgres, valkey

folder = Path(sys.argv[1])
with postgres(folder / "pg", folder / "log", "x"), valkey(folder / "vk", folder / "log", "x"):
    print("started", flush=True)
    time.sleep(60)
"""


def test_postgres_keeps_its_rows_from_one_start_to_the_next(tmp_path: Path) -> None:
    # Given a database that was stopped
    with postgres(tmp_path / "data", tmp_path / "log", "secret") as url:
        run(url, "CREATE TABLE kept (n) AS VALUES (7)")

    # When it is started again
    with postgres(tmp_path / "data", tmp_path / "log", "secret") as url:
        # Then the rows are there
        assert run(url, "SELECT n FROM kept") == 7


def test_servers_live_in_a_folder_with_a_space_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my demo"
    folder.mkdir()
    with postgres(folder / "pg", folder / "log", "secret") as url:
        assert run(url, "SELECT 'å' < 'z'") is False
    with valkey(folder / "vk", folder / "log", "secret") as url, client(url) as store:
        assert store.config_get("dir") == {"dir": str(folder / "vk")}


def test_postgres_lets_nobody_in_without_the_password(postgres_server: str) -> None:
    url = urlsplit(postgres_server)
    guess = url._replace(netloc=url.netloc.replace(f"{url.password}@", "guess@")).geturl()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(guess)


def test_postgres_ends_with_all_its_processes(tmp_path: Path) -> None:
    with postgres(tmp_path / "data", tmp_path / "log", "secret"):
        assert len(living_in(tmp_path)) > 1
    assert not living_in(tmp_path)


def test_postgres_that_cannot_start_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9.6")
    with (
        pytest.raises(DemoError, match=str(tmp_path / "log")),
        postgres(tmp_path / "data", tmp_path / "log", "secret"),
    ):
        pass


def test_valkey_keeps_its_keys_and_never_evicts_one(tmp_path: Path) -> None:
    with valkey(tmp_path / "data", tmp_path / "log", "secret") as url, client(url) as store:
        store.set("job", "1")
        assert store.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert not living_in(tmp_path)
    with valkey(tmp_path / "data", tmp_path / "log", "secret") as url, client(url) as store:
        assert store.get("job") == b"1"


def test_servers_do_not_outlive_a_killed_owner(tmp_path: Path) -> None:
    # Given an owner of both servers
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        assert len(living_in(tmp_path)) > 2

        # When it is killed
        owner.kill()

    # Then neither is left
    assert eventually(lambda: not living_in(tmp_path))


def test_each_test_has_a_redis_without_keys(redis_url: str) -> None:
    with client(redis_url) as store:
        assert store.dbsize() == 0
        store.set("left", "behind")


def test_each_test_has_a_redis_without_keys_of_the_one_before(redis_url: str) -> None:
    with client(redis_url) as store:
        assert store.dbsize() == 0


def test_dovecot_takes_any_login_with_the_one_password(dovecot: Dovecot) -> None:
    user = dovecot.new_user()
    with IMAPClient(dovecot.host, dovecot.port, ssl=False, timeout=10) as session:
        session.login(user, dovecot.password)
        assert session.select_folder("INBOX")[b"EXISTS"] == 0
        assert b"CONDSTORE" in session.capabilities()
        assert {name for _, _, name in session.list_folders()} == {"INBOX", "Sent"}
        session.append("INBOX", b"Subject: hello\r\n\r\nbody")
    assert dovecot.new_user() != user


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url)


def run(url: str, statement: LiteralString) -> object:
    """The first value of what `statement` returns."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
