"""Whoever asks for the changes since what they have, and applies them, has what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postwire.errors import NotFound
from postwire.model import Account, Message, MessageId
from postwire.store import accounts, changes, messages
from postwire.store.changes import Changes
from postwire.store.pool import Pool, make_pool, snapshot, transaction
from support import many, rows


def since(
    store: Pool,
    account: Account,
    revision: int,
    *,
    epoch: int = 1,
    limit: int = 50,
    user: str = "ann",
) -> Changes:
    with snapshot(store) as connection:
        return changes.since(
            connection, user, account.id, revision=revision, epoch=epoch, limit=limit
        )


def position(store: Pool, account: Account) -> int:
    with transaction(store) as connection:
        return accounts.get(connection, account.id).revision


def touch(store: Pool, account: Account, *ids: int, expunged: bool = False) -> int:
    """Change messages in one transaction, as other parts of the store do; its revision."""
    with transaction(store) as connection:
        row = connection.execute(
            "UPDATE account SET revision = revision + 1 WHERE id = %s RETURNING revision",
            [account.id],
        ).fetchone()
        assert row is not None
        connection.execute(
            """
            UPDATE message SET revision = %s, expunged_at = CASE WHEN %s THEN now() END
             WHERE account_id = %s AND id = ANY(%s)
            """,
            [row[0], expunged, account.id, list(ids)],
        )
    return int(row[0])


def ids(told: tuple[Message, ...]) -> list[int]:
    return [message.id for message in told]


@pytest.fixture
def account(store: Pool) -> Account:
    """An account with the messages 1 and 2, 3 and 4, 5 and 6, a revision each two."""
    added = rows.active(store)
    box = rows.mailbox(store, added)
    before = rows.START
    for n in (1, 3, 5):
        batch = rows.batch(box, rows.incoming(n), rows.incoming(n + 1), before=before)
        rows.store_batch(store, batch)
        before = batch.after
    return added


def test_what_was_added_changed_and_expunged_is_told_once_each(
    store: Pool, account: Account
) -> None:
    # Given a client that has the first two messages
    had = account.revision + 1
    # When one of them changes, the other one is expunged, and so is one that it never saw
    touch(store, account, 1)
    touch(store, account, 2, expunged=True)
    touch(store, account, 3, expunged=True)
    # Then each is told of as what it now is
    told = since(store, account, had)
    assert (ids(told.changed), ids(told.added), told.expunged) == ([1], [4, 5, 6], (2, 3))
    assert (told.revision, told.more, told.reset) == (position(store, account), False, False)
    # And whoever has that has everything
    assert since(store, account, told.revision) == Changes(1, told.revision)


def test_a_page_never_splits_a_revision(store: Pool, account: Account) -> None:
    # Given three revisions of two messages each, behind one of the account's state
    start = account.revision
    # When pages of any size are asked for
    ends = {limit: since(store, account, start, limit=limit) for limit in (1, 2, 3, 4, 5, 6)}
    # Then they end between revisions; one that is larger than the page comes whole
    assert {limit: (ids(told.added), told.more) for limit, told in ends.items()} == {
        1: ([1, 2], True),
        2: ([1, 2], True),
        3: ([1, 2], True),
        4: ([1, 2, 3, 4], True),
        5: ([1, 2, 3, 4], True),
        6: ([1, 2, 3, 4, 5, 6], False),
    }
    assert [told.revision - start for told in ends.values()] == [1, 1, 1, 2, 2, 3]


def test_a_revision_without_messages_is_passed_over(store: Pool, account: Account) -> None:
    # Given an account whose state changed after its messages did
    with transaction(store) as connection:
        accounts.pause(connection, "ann", account.id)
    # Then the last page leads up to that
    told = since(store, account, account.revision, limit=6)
    assert (told.revision, told.more) == (position(store, account), False)


def test_another_epoch_or_a_revision_from_the_future_means_load_again(
    store: Pool, account: Account
) -> None:
    now = position(store, account)
    # When a client asks from where this account never was
    for revision, epoch in ((0, 0), (0, 2), (now + 1, 1)):
        told = since(store, account, revision, epoch=epoch)
        # Then it is told where the account is, and nothing else
        assert told == Changes(1, now, reset=True)
    # And so is one that has what was before history was rebuilt
    with transaction(store) as connection:
        messages.begin_again(connection, account.id)
    assert since(store, account, now) == Changes(2, now + 1, reset=True)


def test_a_revision_that_is_too_large_to_tell_means_load_again(
    store: Pool, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a revision with more messages than an answer may hold
    monkeypatch.setattr(changes, "MOST", 3)
    now = touch(store, account, 1, 2, 3, 4)
    # Then it is not told in part
    assert since(store, account, now - 1) == Changes(1, now, reset=True)
    # And one that just fits is told
    now = touch(store, account, 1, 2, 3)
    assert ids(since(store, account, now - 1).changed) == [1, 2, 3]


def test_what_is_committed_while_a_page_is_read_is_not_half_in_it(
    store: Pool, account: Account
) -> None:
    # Given a reader that has begun
    start = account.revision
    with snapshot(store) as connection:
        connection.execute("SELECT 1")
        # When a change is committed meanwhile
        now = touch(store, account, 1)
        told = changes.since(connection, "ann", account.id, revision=start, epoch=1, limit=50)
    # Then the page is as of before, and the next one has it
    assert (told.revision, ids(told.added)) == (now - 1, [1, 2, 3, 4, 5, 6])
    assert ids(since(store, account, told.revision).changed) == [1]


def test_nobody_is_told_of_the_account_of_another(store: Pool, account: Account) -> None:
    with pytest.raises(NotFound):
        since(store, account, 0, user="bob")


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "touch", "expunge"]), st.integers(0, 9)), max_size=12
    ),
    limit=st.integers(1, 4),
)
def test_a_client_that_applies_what_it_is_told_has_what_is_there(
    store: Pool, steps: list[tuple[str, int]], limit: int
) -> None:
    # Given an account, and a client that asks now and then, and does not always read to the end
    account = rows.active(store, address="any@example.com")
    box = rows.mailbox(store, account)
    cursor, stored = rows.START, list[int]()
    had: dict[MessageId, int] = {}
    at = account.revision
    for step, n in steps:
        if step == "add":
            batch = rows.batch(box, rows.incoming(cursor.uidnext), before=cursor)
            rows.store_batch(store, batch)
            cursor = batch.after
            with transaction(store) as connection:
                stored = [id_ for (id_,) in connection.execute("SELECT id FROM message")]
        elif stored:
            touch(store, account, stored[n % len(stored)], expunged=step == "expunge")
        if n % 3 == 0:
            at, _ = apply(store, account, had, at, limit)
    # When it reads to the end
    more = True
    while more:
        at, more = apply(store, account, had, at, limit)
    # Then it has what is there, each as it last changed
    with transaction(store) as connection:
        there = connection.execute("SELECT id, revision FROM message WHERE expunged_at IS NULL")
        assert had == dict(there.fetchall())
        connection.execute("DELETE FROM account")


def apply(
    store: Pool, account: Account, had: dict[MessageId, int], at: int, limit: int
) -> tuple[int, bool]:
    """One page of a client; where it is then, and whether there is more."""
    told = since(store, account, at, limit=limit)
    had |= {message.id: message.revision for message in told.added + told.changed}
    for id_ in told.expunged:
        had.pop(id_, None)
    return told.revision, told.more


def test_a_copy_elsewhere_is_a_change_and_no_addition(store: Pool, account: Account) -> None:
    # Given a client that is up to date
    now = position(store, account)
    # When one of the messages is found in another mailbox
    archive = rows.mailbox(store, account, "Archive")
    rows.store_batch(store, rows.batch(archive, replace(rows.incoming(1), body=None)))
    # Then that is what it is told
    told = since(store, account, now)
    assert (ids(told.changed), told.added) == ([1], ())
    assert told.changed[0].mailboxes == ("Archive", "INBOX")


def test_no_page_goes_through_all_messages(database_url: str) -> None:
    # Given an account of 20,000 messages
    store = make_pool(database_url, 1)
    account = rows.active(store)
    many.fill(database_url, account.id, 20_000)
    many.analyze(database_url)
    # When pages are read from anywhere
    plans: list[str] = []
    with snapshot(store) as connection:
        many.explain(connection, plans.append)
        for revision in (0, 200, 399):
            told = changes.since(
                connection, "ann", account.id, revision=revision, epoch=1, limit=50
            )
            assert told.added
    store.close()
    # Then messages are found by the index of their revisions, and by nothing else
    scanned = [line for plan in plans for line in plan.splitlines() if " on message" in line]
    executed = [line for line in scanned if "never executed" not in line]
    assert executed
    assert [line for line in executed if "revision" not in line] == []
