"""The real store over a database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postwire.store.pool import Pool, make_pool


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    """A pool with room for some threads."""
    pool = make_pool(database_url, 10)
    yield pool
    pool.close()
