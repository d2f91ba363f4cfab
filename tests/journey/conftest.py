"""All of Postwire for one test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
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
