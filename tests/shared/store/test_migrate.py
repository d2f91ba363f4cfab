"""Migrations are applied once, whoever runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from postwire.errors import StoreUnavailable
from postwire.store import mailboxes
from postwire.store import migrate as runner
from postwire.store.pool import make_pool, transaction
from support import rows
from support.processes import eventually

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


#: What a release that counted messages when it was asked has.
_BEFORE_0019 = """
    DROP TRIGGER mailbox_count_insert ON placement;
    DROP TRIGGER mailbox_count_delete ON placement;
    DROP TRIGGER mailbox_count_update ON placement;
    DROP FUNCTION mailbox_counted;
    DROP TABLE mailbox_count;
    DELETE FROM _yoyo_migration WHERE migration_id = '0019_mailbox_count';
"""


def test_messages_that_an_older_release_stored_are_counted(database_url: str) -> None:
    # Given a release that has stored mail in two mailboxes, some of it read
    store = make_pool(database_url, 1)
    account = rows.active(store)
    inbox, sent = (rows.mailbox(store, account, name) for name in ("INBOX", "Sent"))
    with transaction(store) as connection:
        connection.execute(_BEFORE_0019)
    read = replace(rows.incoming(3), flags=("\\Seen",))
    rows.store_batch(store, rows.batch(inbox, rows.incoming(1), rows.incoming(2), read))
    rows.store_batch(store, rows.batch(sent, rows.incoming(1)))
    store.close()
    # When the next release migrates
    ended = migrate(database_url)
    # Then it knows how many there are
    assert ended.returncode == 0, ended
    store = make_pool(database_url, 1)
    with transaction(store) as connection:
        counted = mailboxes.list_of_account(connection, account.id)
    store.close()
    found = [(one.mailbox.name, one.messages, one.unread) for one in counted]
    assert found == [("INBOX", 3, 2), ("Sent", 1, 1)]


#: What a release that did not count the credentials of accounts has.
_BEFORE_0017 = """
    ALTER TABLE account DROP COLUMN credential_revision;
    DELETE FROM _yoyo_migration WHERE migration_id = '0017_credential_revision';
"""
_COUNTED = """
    SELECT count(*) FROM information_schema.columns
     WHERE table_name = 'account' AND column_name = 'credential_revision'
"""
_WAITS = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"


def test_who_reads_goes_on_while_a_migration_waits_for_a_long_transaction(
    database_url: str,
) -> None:
    # Given a migration that needs a table for itself, and somebody who has been reading it for long
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        psycopg.connect(database_url) as long,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute(_BEFORE_0017)
        other.execute("SET statement_timeout = '20s'")
        long.execute("SELECT FROM account")
        # When the migration waits for it
        ended = thread.submit(migrate, database_url)
        assert eventually(lambda: other.execute(_WAITS).fetchone() is not None)
        # Then others read all the same
        other.execute("SELECT FROM account")
        assert not ended.done()
        # And the migration comes once the transaction is over
        long.rollback()
        assert ended.result().returncode == 0, ended.result()
        assert "somebody is in the way" in ended.result().stdout
        assert other.execute(_COUNTED).fetchone() == (1,)


def test_a_migration_gives_up_in_words_when_its_locks_are_not_to_be_had(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody who reads for longer than all tries take
    monkeypatch.setattr(runner, "_PAUSES", (0.1,))
    with psycopg.connect(database_url) as long:
        long.execute(_BEFORE_0017)
        long.commit()
        long.execute("SELECT FROM account")
        # When the next release migrates
        # Then it says which migration had to give up
        with pytest.raises(StoreUnavailable, match="0017_credential_revision gets no lock"):
            runner.migrate(database_url)


def test_a_migration_that_is_killed_before_it_is_noted_has_not_happened(database_url: str) -> None:
    # Given a migration whose note cannot be written
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_BEFORE_0017)
        connection.execute(
            "ALTER TABLE _yoyo_migration ADD CONSTRAINT never CHECK (false) NOT VALID"
        )
        # When it is tried
        assert migrate(database_url).returncode == 1
        # Then nothing has changed, and the next try does all of it
        assert connection.execute(_COUNTED).fetchone() == (0,)
        connection.execute("ALTER TABLE _yoyo_migration DROP CONSTRAINT never")
        ended = migrate(database_url)
        assert ended.returncode == 0, ended
        assert connection.execute(_COUNTED).fetchone() == (1,)


@pytest.mark.timeout(60)
def test_an_index_is_built_concurrently_while_another_run_waits(
    database_url: str, tmp_path: Path
) -> None:
    # Given one run that has the lock, and one that waits for it
    (tmp_path / "9001_index.sql").write_text(
        "-- transactional: false\nCREATE INDEX CONCURRENTLY account_by_host ON account (host);\n"
    )
    with (
        psycopg.connect(database_url, autocommit=True) as second,
        psycopg.connect(database_url, autocommit=True) as first,
        ThreadPoolExecutor(1) as thread,
    ):
        runner._wait_for_others(first)
        waits = thread.submit(runner._wait_for_others, second)
        # When the first builds an index without a transaction
        applied = runner._apply_pending(database_url, tmp_path)
        # Then it does not wait for who waits for it
        assert applied == ["9001_index"]
        assert not waits.done()
        first.execute("SELECT pg_advisory_unlock_all()")
        waits.result(20)


def test_without_a_database_named_it_says_what_to_set() -> None:
    # When it is run without settings
    ended = migrate(None)
    # Then it says so in words
    assert ended.returncode == 2
    assert "POSTWIRE_DATABASE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr
