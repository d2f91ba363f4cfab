"""Real servers for the tests: each run has its own, on free ports, in temporary folders."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
import redis
from psycopg import sql

from chaos.servers import find_faketime
from postwire_demo.servers import postgres, valkey
from support.dovecot import Dovecot
from support.dovecot import dovecot as run_dovecot
from support.sso import Sso, dovecot_settings
from support.sso import sso as run_sso

TEMPLATE = "postwire_template"

#: Other examples each time, and many more of them; asked for by --hypothesis-profile=long.
hypothesis.settings.register_profile("long", deadline=None, database=None)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an own PostgreSQL, with the rights to make databases."""
    folder = tmp_path_factory.mktemp("postgres")
    password = secrets.token_urlsafe()
    with postgres(folder / "data", folder / "log", password, durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an own Valkey."""
    folder = tmp_path_factory.mktemp("valkey")
    with valkey(folder / "data", folder / "log", secrets.token_urlsafe()) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """Name of a database with all migrations and no rows, to be copied."""
    _run_sql(postgres_server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    subprocess.run(
        [sys.executable, "-m", "postwire.store.migrate"],
        env=os.environ | {"POSTWIRE_DATABASE_URL": _with_database(postgres_server, TEMPLATE)},
        check=True,
        timeout=60,
    )
    return TEMPLATE


@pytest.fixture(scope="session")
def own_database(
    postgres_server: str, migrated_template: str
) -> Callable[[], AbstractContextManager[str]]:
    """Makes migrated databases without rows; each is dropped in the end."""

    @contextmanager
    def make() -> Iterator[str]:
        names = {
            "name": sql.Identifier(f"test_{secrets.token_hex(8)}"),
            "template": sql.Identifier(migrated_template),
        }
        # Without fsync, to copy some 700 small files is faster than to log each block.
        copy = "CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
        _run_sql(postgres_server, sql.SQL(copy).format(**names))
        yield _with_database(postgres_server, names["name"].as_string()[1:-1])
        _run_sql(postgres_server, sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))

    return make


@pytest.fixture
def database_url(own_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """URL of a migrated database without rows, for one test alone."""
    with own_database() as url:
        yield url


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """URL of a database that nobody migrated."""
    name = f"empty_{secrets.token_hex(8)}"
    _run_sql(postgres_server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield _with_database(postgres_server, name)
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
    _run_sql(postgres_server, drop.format(sql.Identifier(name)))


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of a Valkey without keys."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def dovecot_program() -> str:
    """Path of Dovecot, for tests that run one of their own."""
    return _installed("dovecot", "/usr/sbin/dovecot", package="dovecot-imapd")


@pytest.fixture(scope="session")
def nginx_program() -> str:
    """Path of nginx."""
    return _installed("nginx", "/usr/sbin/nginx", package="nginx-light")


@pytest.fixture(scope="session")
def pgbouncer_program() -> str:
    """Path of PgBouncer."""
    return _installed("pgbouncer", "/usr/sbin/pgbouncer", package="pgbouncer")


@pytest.fixture(scope="session")
def tinyproxy_program() -> str:
    """Path of tinyproxy."""
    return _installed("tinyproxy", package="tinyproxy-bin")


@pytest.fixture(scope="session")
def redis_program() -> str:
    """Path of a Redis that speaks TLS."""
    return _installed("redis-server", "valkey-server", package="redis-server")


@pytest.fixture(scope="session")
def kustomize() -> list[str]:
    """The command that builds a folder: kustomize, or the one in kubectl."""
    program = _installed("kustomize", "kubectl", package="kustomize")
    return [program, "build" if Path(program).name == "kustomize" else "kustomize"]


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """Path of Prometheus; promtool comes with it."""
    return _installed("prometheus", package="prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of the program that checks Prometheus's rules."""
    return _installed("promtool", package="prometheus")


@pytest.fixture(scope="session")
def faketime() -> Path:
    """The library that gives a process a clock of its own."""
    return find_faketime() or _missing("libfaketime", package="libfaketime")


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """An own Dovecot, which knows every login."""
    binary = _installed("dovecot", "/usr/sbin/dovecot", package="dovecot-imapd")
    # Not in pytest's folder, which is closed to the user that Dovecot becomes under root.
    with TemporaryDirectory(prefix="postwire-dovecot-") as folder:
        with run_dovecot(binary, Path(folder)) as server:
            yield server


@pytest.fixture(scope="session")
def elder_dovecot() -> Iterator[Dovecot]:
    """An own Dovecot that announces nothing that a sync could make use of."""
    binary = _installed("dovecot", "/usr/sbin/dovecot", package="dovecot-imapd")
    with TemporaryDirectory(prefix="postwire-dovecot-") as folder:
        with run_dovecot(
            binary, Path(folder), "imap_capability = IMAP4rev1 MOVE UIDPLUS UNSELECT"
        ) as server:
            yield server


@pytest.fixture(scope="session")
def sso_server() -> Iterator[Sso]:
    """An own OAuth provider."""
    with run_sso() as provider:
        yield provider


@pytest.fixture
def sso(sso_server: Sso) -> Sso:
    """The provider, behaving; it remembers nobody."""
    fresh = Sso(port=sso_server.port)
    for name in ("grants", "access", "expires_in", "rotates", "delay", "misbehaves", "asked"):
        setattr(sso_server, name, getattr(fresh, name))
    return sso_server


@pytest.fixture(scope="session")
def oauth_dovecot(sso_server: Sso) -> Iterator[Dovecot]:
    """An own Dovecot that takes passwords, and the provider's tokens by both mechanisms."""
    binary = _installed("dovecot", "/usr/sbin/dovecot", package="dovecot-imapd")
    with TemporaryDirectory(prefix="postwire-dovecot-") as folder:
        settings = dovecot_settings(sso_server, Path(folder) / "oauth2.conf")
        with run_dovecot(binary, Path(folder), settings) as server:
            yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium for the tests of the page."""
    return _installed("chromium", "chromium-browser", "google-chrome", package="chromium")


def _installed(*names: str, package: str) -> str:
    """The first of the programs `names`; without one a laptop skips the test, and CI fails."""
    for name in names:
        if found := shutil.which(name):
            return found
    return _missing(names[0], package)


def _missing(what: str, package: str) -> NoReturn:
    missing = f"{what} is not installed; install the package {package}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def _run_sql(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
