"""What is yet to be indexed is taken in steps, from the newest down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib.resources import files

from postwire.model import AccountId, Attachment, MessageId
from postwire.store import backlog
from postwire.store.pool import Pool, transaction
from support import rows


def unindexed(store: Pool, count: int) -> AccountId:
    """An account with messages from before there was a search, and a pass over them."""
    account = rows.active(store)
    files = (Attachment("2", "plan.pdf", "application/pdf", 9, None, None),)
    messages = [replace(rows.incoming(n), attachments=files) for n in range(1, count + 1)]
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), *messages))
    with transaction(store) as connection:
        connection.execute("DELETE FROM search")
        connection.execute("INSERT INTO search_backlog VALUES (%s, now(), NULL)", [account.id])
    return account.id


def test_a_pass_goes_down_step_by_step_and_ends(store: Pool) -> None:
    # Given three messages that are not indexed
    unindexed(store, 3)
    seen = []
    # When they are taken two by two
    while True:
        with transaction(store) as connection:
            pass_ = backlog.take(connection)
            if pass_ is None:
                break
            sources, below = backlog.list_next(connection, pass_, 2)
            seen.append([one.id for one in sources])
            backlog.move(connection, pass_, below)
    # Then the newest come first, and at the end the pass is over
    assert seen == [[3, 2], [1], []]


def test_a_message_is_listed_with_all_that_it_is_found_by(store: Pool) -> None:
    # Given one message
    unindexed(store, 1)
    # When it is listed
    with transaction(store) as connection:
        pass_ = backlog.take(connection)
        assert pass_ is not None
        ((source,), below) = backlog.list_next(connection, pass_, 9)
    # Then it is the one that would have been indexed when it was stored
    assert below == MessageId(1)
    assert source.headers.subject == "Message 1"
    assert source.headers.from_ == rows.incoming(1).headers.from_
    assert source.filenames == ("plan.pdf",)
    assert source.body is not None
    assert source.body.text == "Text 1"


def test_a_pass_that_one_has_taken_is_left_alone_by_another(store: Pool) -> None:
    # Given a pass that one process works on
    unindexed(store, 1)
    with transaction(store) as first, transaction(store) as second:
        assert backlog.take(first) is not None
        # When another looks, then there is nothing for it
        assert backlog.take(second) is None


def test_a_pass_is_not_begun_before_it_is_due(store: Pool) -> None:
    # Given a pass for later
    account_id = unindexed(store, 1)
    with transaction(store) as connection:
        connection.execute("UPDATE search_backlog SET due_at = now() + interval '1 hour'")
        # Then nobody takes it yet
        assert backlog.take(connection) is None
        assert account_id


def test_the_migration_leaves_two_passes_for_each_account_there_is(store: Pool) -> None:
    # Given a database of the release before, with an account
    account = rows.active(store)
    migration = (files("postwire") / "migrations/0005_search.sql").read_bytes()
    with transaction(store) as connection:
        connection.execute("DROP TABLE search, search_backlog")
        # When it is migrated
        connection.execute(migration)
        # Then one pass is due now, and one an hour later for what that release stores meanwhile
        passes = connection.execute(
            "SELECT account_id, due_at - now(), below FROM search_backlog ORDER BY due_at"
        ).fetchall()
    assert passes == [(account.id, timedelta(0), None), (account.id, timedelta(hours=1), None)]
