"""All of Postwire for one test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, sync_playwright

from support.system import System, run_system

#: Chromium asks its maker's hosts for news unless told not to.
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    """A real browser that nobody has used before."""
    # Chromium's sandbox refuses to be run by root, as CI does.
    sandboxed = os.geteuid() != 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=_QUIET, chromium_sandbox=sandboxed
        )
        yield browser
        browser.close()


@pytest.fixture
def system(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[System]:
    """A running Postwire with an empty database."""
    with run_system(database_url, redis_url, tmp_path) as system:
        yield system


@pytest.fixture(scope="module")
def lasting_system(
    own_database: Callable[[], AbstractContextManager[str]],
    redis_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    """A Postwire that runs for all tests of a file; by `shared_system` they find it empty."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    with own_database() as database:
        with run_system(database, redis_server, tmp_path_factory.mktemp("system")) as system:
            yield system


@pytest.fixture
def shared_system(lasting_system: System) -> Iterator[System]:
    """The same Postwire for all tests of a file, for those that leave its processes alone."""
    yield lasting_system
    lasting_system.remove_accounts()
