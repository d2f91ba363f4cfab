"""Content that is removed, and content that is not."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

import pytest
from psycopg import sql

from postwire.model import Account, MessageId
from postwire.store import contents, removal
from postwire.store.contents import Content, Wanted
from postwire.store.pool import Pool, transaction
from postwire.store.removal import GRACE
from support import rows


@pytest.fixture
def account(store: Pool) -> Account:
    """An account with two messages that have an attachment each."""
    account = rows.active(store)
    messages = [replace(rows.incoming(n), attachments=(rows.attachment(),)) for n in (1, 2)]
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), *messages))
    return account


def expunge(store: Pool, message_id: int, ago: float) -> None:
    """As if the message had been expunged so many seconds ago."""
    with transaction(store) as connection:
        connection.execute(
            "UPDATE message SET expunged_at = now() - make_interval(secs => %s) WHERE id = %s",
            [ago, message_id],
        )


def pass_over(store: Pool) -> list[str | None]:
    """What became of each content, all of them being due."""
    with transaction(store) as connection:
        connection.execute("UPDATE content SET due_at = now()")
    found: list[str | None] = []
    with transaction(store) as connection:
        while due := removal.take(connection):
            found.append(removal.settle(connection, due))
    return found


def count(store: Pool, table: LiteralString) -> int:
    with transaction(store) as connection:
        counted = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        row = connection.execute(counted).fetchone()
    assert row is not None
    return int(row[0])


def find(store: Pool, account: Account) -> object:
    wanted = Wanted(account.id, MessageId(1), 1, None, "", "active")
    with transaction(store) as connection:
        return contents.find(connection, wanted)


def test_content_outlives_its_message_by_a_day(store: Pool, account: Account) -> None:
    # Given content whose message is there, and then was expunged almost a day ago
    kept = rows.keep(store, 1, 1, b"content")
    assert pass_over(store) == [None]
    expunge(store, 1, GRACE - 60)
    assert pass_over(store) == [None]
    assert find(store, account) == kept
    # When the day is over
    expunge(store, 1, GRACE + 60)
    # Then it goes, with its chunks
    assert pass_over(store) == ["unneeded"]
    assert (count(store, "content"), count(store, "content_chunk")) == (0, 0)


def test_what_was_looked_at_is_due_again_in_a_day(store: Pool, account: Account) -> None:
    del account
    rows.keep(store, 1, 1, b"content")
    assert pass_over(store) == [None]
    with transaction(store) as connection:
        assert removal.take(connection) is None
        row = connection.execute("SELECT due_at - now() > '23 hours' FROM content").fetchone()
    assert row == (True,)


def test_content_of_two_messages_stays_while_one_of_them_is_there(
    store: Pool, account: Account
) -> None:
    rows.keep(store, 1, 1, b"same")
    rows.keep(store, 2, 1, b"same")
    expunge(store, 1, 2 * GRACE)
    assert pass_over(store) == [None]
    expunge(store, 2, 2 * GRACE)
    assert pass_over(store) == ["unneeded"]
    assert find(store, account) is None


def test_a_message_that_comes_back_has_its_content_fetched_again(
    store: Pool, account: Account
) -> None:
    # Given content that was removed
    rows.keep(store, 1, 1, b"content")
    expunge(store, 1, 2 * GRACE)
    pass_over(store)
    # When its message comes back
    with transaction(store) as connection:
        connection.execute("UPDATE message SET expunged_at = NULL")
    # Then it is not there, may be asked for, and is there
    assert find(store, account) is None
    assert isinstance(rows.keep(store, 1, 1, b"content"), Content)


def test_content_is_not_removed_while_its_account_is_written_to(
    store: Pool, account: Account
) -> None:
    # Given content without a message, and another attachment that is just found to be the same
    rows.keep(store, 1, 1, b"same")
    expunge(store, 1, 2 * GRACE)
    with transaction(store) as connection:
        connection.execute("UPDATE content SET due_at = now()")
        wanted = Wanted(account.id, MessageId(2), 1, None, "", "active")
        contents.ask(connection, wanted)
        request = contents.claim(connection, account.id, "w")
        assert request is not None
        id_ = contents.begin(connection, account.id)
    same = find(store, account)
    assert isinstance(same, Content)
    with transaction(store) as writing:
        assert not contents.complete(writing, request, id_, same.hash, same.size)
        # When a watcher looks meanwhile
        with transaction(store) as connection:
            # Then it passes over it, without a wait
            assert removal.take(connection) is None
    # And what it finds afterwards is needed
    assert pass_over(store) == [None]


def test_two_watchers_never_have_the_same_content(store: Pool, account: Account) -> None:
    del account
    rows.keep(store, 1, 1, b"content")
    with transaction(store) as connection:
        connection.execute("UPDATE content SET due_at = now()")
    with transaction(store) as first, transaction(store) as second:
        assert removal.take(first) is not None
        assert removal.take(second) is None


def test_what_a_dead_worker_left_is_removed_after_an_hour(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        contents.begin(connection, account.id)
        row = connection.execute("SELECT due_at - begun_at = '1 hour' FROM content").fetchone()
        assert row == (True,)
        assert removal.take(connection) is None
    assert pass_over(store) == ["unfinished"]
    assert count(store, "content") == 0


def test_a_failure_is_forgotten_after_an_hour_and_what_is_open_is_not(
    store: Pool, account: Account
) -> None:
    with transaction(store) as connection:
        for n in (1, 2):
            wanted = Wanted(account.id, MessageId(n), 1, None, "", "active")
            contents.ask(connection, wanted)
        request = contents.claim(connection, account.id, "w")
        assert request is not None
        contents.fail(connection, request, "w", "gone", "It is gone.")
    for minutes, left in ((59, 2), (2, 1)):
        with transaction(store) as connection:
            connection.execute(
                """
                UPDATE attachment_request
                   SET failed_at = failed_at - past, asked_at = asked_at - past
                  FROM (SELECT make_interval(mins => %s) AS past) AS _
                """,
                [minutes],
            )
            removal.forget_failed(connection, 9)
        assert count(store, "attachment_request") == left
