"""The real store over a database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from postwire.store.pool import Pool, make_pool

#: Mailboxes of which something else is kept than lies in them.
_MISCOUNTED = r"""
    SELECT mailbox_id, kept.messages, kept.unread, lies.messages, lies.unread
      FROM mailbox_count AS kept
      FULL JOIN (SELECT mailbox_id, count(*) AS messages,
                        count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags))) AS unread
                   FROM placement GROUP BY mailbox_id) AS lies USING (mailbox_id)
     WHERE coalesce(kept.messages, 0) <> coalesce(lies.messages, 0)
        OR coalesce(kept.unread, 0) <> coalesce(lies.unread, 0)
"""


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    """A pool with room for some threads; whatever was done, mailboxes are counted rightly."""
    pool = make_pool(database_url, 10)
    yield pool
    pool.close()
    with psycopg.connect(database_url) as connection:
        if connection.execute("SELECT to_regclass('mailbox_count')").fetchone() != (None,):
            assert connection.execute(_MISCOUNTED).fetchall() == []
