"""Migrations are applied once, whoever runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg

from postwire.store.pool import make_pool, transaction
from support import rows

MIGRATE = [sys.executable, "-m", "postwire.store.migrate"]


def migrate(url: str | None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if "POSTWIRE" not in name}
    if url is not None:
        env["POSTWIRE_DATABASE_URL"] = url
    return subprocess.run(MIGRATE, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_several_that_migrate_at_once_apply_each_migration_once(empty_database: str) -> None:
    # When four pods start at once
    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(migrate, [empty_database] * 4))
    # Then all succeed, and one of them did the work
    assert [one.returncode for one in ended] == [0] * 4, ended
    assert sum('"applied": ["0001_initial"' in one.stdout for one in ended) == 1
    # And again there is nothing to do
    again = migrate(empty_database)
    assert again.returncode == 0
    assert '"applied": []' in again.stdout
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (0,)


def test_messages_of_a_release_without_threads_are_given_theirs(database_url: str) -> None:
    # Given messages as an older release stores them
    store = make_pool(database_url, 1)
    box = rows.mailbox(store, rows.active(store))
    answer = rows.incoming(2, references=("<1@example.com>",))
    rows.store_batch(store, rows.batch(box, rows.incoming(1), answer, rows.incoming(3)))
    with transaction(store) as connection:
        connection.execute("UPDATE message SET thread_id = NULL")
        connection.execute("DELETE FROM thread_reference")
        connection.execute("DELETE FROM thread")
    store.close()
    # When the next release migrates
    ended = migrate(database_url)
    # Then they are in threads
    assert ended.returncode == 0, ended
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT thread_id FROM message ORDER BY id").fetchall()
    assert found[0] == found[1] != found[2]
    assert None not in {thread for (thread,) in found}


#: What a release that did not keep the conversations of mailboxes has.
_BEFORE_0007 = """
    DROP TRIGGER thread_mailbox ON message;
    DROP TRIGGER thread_mailbox_insert ON placement;
    DROP TRIGGER thread_mailbox_delete ON placement;
    DROP FUNCTION message_changed, placement_changed, thread_mailbox_count, thread_mailbox_order;
    DROP TABLE thread_mailbox;
    DELETE FROM _yoyo_migration WHERE migration_id = '0007_thread_mailbox';
"""
_KEPT = "SELECT * FROM thread_mailbox ORDER BY thread_id, mailbox_id"


def test_conversations_of_mailboxes_that_an_older_release_stored_are_filled_in(
    database_url: str,
) -> None:
    # Given conversations in two mailboxes, one of them gone from the server
    store = make_pool(database_url, 1)
    account = rows.active(store)
    inbox, sent = (rows.mailbox(store, account, name) for name in ("INBOX", "Sent"))
    answer = rows.incoming(2, references=("<1@example.com>",))
    rows.store_batch(store, rows.batch(inbox, rows.incoming(1), answer, rows.incoming(3)))
    rows.store_batch(store, rows.batch(sent, rows.incoming(1), rows.incoming(4)))
    with transaction(store) as connection:
        connection.execute("UPDATE message SET expunged_at = now() WHERE subject = 'Message 3'")
        kept = connection.execute(_KEPT).fetchall()
        connection.execute(_BEFORE_0007)
    store.close()
    # When the next release migrates
    ended = migrate(database_url)
    # Then it has what the triggers had kept
    assert ended.returncode == 0, ended
    with psycopg.connect(database_url) as connection:
        assert connection.execute(_KEPT).fetchall() == [
            (UUID(account_id), *others) for account_id, *others in kept
        ]
    assert len(kept) == 4


def test_without_a_database_named_it_says_what_to_set() -> None:
    # When it is run without settings
    ended = migrate(None)
    # Then it says so in words
    assert ended.returncode == 2
    assert "POSTWIRE_DATABASE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr
