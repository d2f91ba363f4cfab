"""All of Postwire for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.system import System, run_system


@pytest.fixture
def system(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[System]:
    """A running Postwire with an empty database."""
    with run_system(database_url, redis_url, tmp_path) as system:
        yield system
