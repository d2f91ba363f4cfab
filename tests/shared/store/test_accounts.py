"""Accounts: state, schedule, unread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from postwire.errors import Conflict, NotFound
from postwire.model import Account, AccountId, AccountState
from postwire.store import accounts
from postwire.store.pool import Pool, transaction
from support import rows


def now(store: Pool, account: Account) -> Account:
    with transaction(store) as connection:
        return accounts.get(connection, account.id)


def make_due(store: Pool) -> None:
    with transaction(store) as connection:
        connection.execute("UPDATE account SET next_sync_at = now()")


def test_an_address_is_there_once_for_a_user_and_again_for_another(store: Pool) -> None:
    # Given an account
    rows.account(store, "ann", "ann@example.com")
    # Then its user cannot add it again, and another user can
    with pytest.raises(Conflict):
        rows.account(store, "ann", "Ann@Example.com")
    rows.account(store, "bob", "ann@example.com")


def test_of_requests_at_once_only_as_many_add_an_account_as_there_is_room(store: Pool) -> None:
    def add(n: int) -> bool:
        try:
            with transaction(store) as connection:
                accounts.make_sure_of_room(connection, "ann", 3)
                connection.execute("SELECT pg_sleep(0.05)")
                accounts.add(
                    connection,
                    AccountId(str(uuid4())),
                    user_id="ann",
                    address=f"{n}@example.com",
                    host="imap.example.com",
                    port=993,
                    security="tls",
                    username="ann",
                    credential=b"sealed",
                    window_days=30,
                )
        except Conflict:
            return False
        return True

    # When several accounts of a user are added at once, and there may be three
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(add, range(8)))
    # Then three are
    assert sum(added) == 3
    with transaction(store) as connection:
        assert len(accounts.list_of_user(connection, "ann")) == 3
        # And another user has room
        accounts.make_sure_of_room(connection, "bob", 1)


def test_accounts_are_listed_oldest_first_and_reached_through_their_owner(store: Pool) -> None:
    # Given accounts of two users
    mine = [rows.account(store, "ann", f"{n}@example.com").id for n in "abc"]
    other = rows.account(store, "bob", "bob@example.com")
    # Then each user sees those of nobody else
    with transaction(store) as connection:
        assert [one.id for one in accounts.list_of_user(connection, "ann")] == mine
        for reach in (accounts.get_of_user, accounts.remove, accounts.pause, accounts.resume):
            with pytest.raises(NotFound):
                reach(connection, "ann", other.id)
        assert accounts.get_of_user(connection, "bob", other.id) == other


def test_a_state_is_changed_once_and_raises_the_revision(store: Pool) -> None:
    # Given an account that works
    account = rows.active(store)
    with transaction(store) as connection:
        # When it is refused, twice for the same reason
        refused = accounts.set_state(connection, account, "auth_failed", "No.")
        again = accounts.set_state(connection, account, "auth_failed", "No.")
        other = accounts.set_state(connection, account, "auth_failed", "Still no.")
    # Then the second time changes nothing, and another reason does
    assert refused is not None
    assert (refused.state, refused.state_reason) == ("auth_failed", "No.")
    assert refused.revision == account.revision + 1
    assert again is None
    assert other is not None
    assert other.state_since == refused.state_since


def test_what_a_login_with_an_earlier_password_found_says_nothing(store: Pool) -> None:
    # Given a worker that still tries the old password
    account = rows.active(store)
    with transaction(store) as connection:
        accounts.resume(connection, "ann", account.id, b"new password")
        # When it is refused
        assert accounts.set_state(connection, account, "auth_failed", "No.") is None
    # Then the account still tries the new one
    assert now(store, account).state == "connecting"
    assert now(store, account).credential == b"new password"


def test_only_resume_ends_a_pause(store: Pool) -> None:
    # Given a paused account
    account = rows.active(store)
    with transaction(store) as connection:
        paused = accounts.pause(connection, "ann", account.id)
        # When a worker that was under way comes back
        assert accounts.set_state(connection, paused, "active") is None
        # Then it stays paused until it is resumed, with the credential it has
        resumed = accounts.resume(connection, "ann", account.id)
    assert (paused.state, resumed.state) == ("paused", "connecting")
    assert resumed.credential == account.credential


def test_a_schedule_is_of_one_account_or_of_all_and_of_no_stranger(store: Pool) -> None:
    # Given two accounts of ann and one of bob
    first, second = (rows.active(store, "ann", f"{n}@example.com").id for n in "ab")
    bobs = rows.active(store, "bob", "bob@example.com").id
    with transaction(store) as connection:
        # When they are scheduled
        assert accounts.set_schedule(connection, "ann", bobs, 60) == []
        assert accounts.set_schedule(connection, "ann", first, 60) == [first]
        assert set(accounts.set_schedule(connection, "ann", None, 90)) == {first, second}
        # Then ann sees hers
        assert [one.every for one in accounts.schedules(connection, "ann")] == [90, 90]
        # And what is not automatic is not listed
        accounts.set_schedule(connection, "ann", first, None)
        assert [one.account_id for one in accounts.schedules(connection, "ann")] == [second]


@pytest.mark.parametrize(
    ("state", "due"),
    [("active", True), ("unreachable", True), ("auth_failed", False), ("connecting", False)],
)
def test_only_accounts_that_a_login_is_tried_for_come_due(
    store: Pool, state: AccountState, *, due: bool
) -> None:
    # Given an account in that state, whose time has come
    account = rows.account(store)
    with transaction(store) as connection:
        accounts.set_state(connection, account, state)
    make_due(store)
    # Then it is due or not, and put off to its next time
    with transaction(store) as connection:
        taken = accounts.take_due(connection, 10)
        assert accounts.take_due(connection, 10) == []
    assert taken == ([(account.id, "ann")] if due else [])


def test_an_account_that_is_to_be_left_alone_is_due_afterwards(store: Pool) -> None:
    # Given an account whose time has come, and whose server wants to be left alone
    account = rows.active(store)
    make_due(store)
    with transaction(store) as connection:
        left = accounts.leave_alone(connection, account.id, 60, "Later.")
        assert left
        assert (left.state, left.state_reason) == ("active", "Later.")
        assert left.revision == account.revision + 1
        # Then a shorter wait does not make it a shorter one, and it is not due
        again = accounts.leave_alone(connection, account.id, 1, "Later.")
        assert again
        assert again.busy_until == left.busy_until
        assert 50 < again.busy_seconds <= 60
        assert accounts.take_due(connection, 10) == []
        # But it is when the time is over
        connection.execute("UPDATE account SET busy_until = now()")
        assert accounts.take_due(connection, 10) == [(account.id, "ann")]
        # And what is paused says so and nothing else
        accounts.pause(connection, "ann", account.id)
        assert accounts.leave_alone(connection, account.id, 60, "Later.") is None


def test_no_account_is_due_for_two_watchers(store: Pool) -> None:
    # Given many accounts that are due
    ids = {rows.active(store, "ann", f"{n}@example.com").id for n in range(40)}
    make_due(store)

    def take(_: int) -> list[AccountId]:
        with transaction(store) as connection:
            return [id_ for id_, _ in accounts.take_due(connection, 10)]

    # When several watchers take them at once
    with ThreadPoolExecutor(8) as threads:
        taken = [id_ for some in threads.map(take, range(8)) for id_ in some]
    # Then each went to one of them
    assert sorted(taken) == sorted(ids)


def test_an_account_whose_jobs_fail_is_looked_at_less_and_less(store: Pool) -> None:
    # Given an account whose jobs failed three times
    account = rows.active(store)
    with transaction(store) as connection:
        for _ in range(3):
            accounts.failed(connection, account.id)
    make_due(store)
    # When it is taken
    with transaction(store) as connection:
        accounts.take_due(connection, 1)
        row = connection.execute(
            "SELECT extract(epoch FROM next_sync_at - now())::float8 FROM account"
        ).fetchone()
        # Then its next time is some four minutes away, until a sync succeeds
        assert row is not None
        assert 30 * 8 * 0.8 < row[0] < 30 * 8 * 1.2
        accounts.looked_at(connection, account.id)
        assert connection.execute("SELECT failures FROM account").fetchone() == (0,)
    assert now(store, account).last_synced_at is not None


def test_unread_counts_the_inbox_of_each_account(store: Pool) -> None:
    # Given an account with unread mail in INBOX and elsewhere, and one with none
    account = rows.active(store, "ann", "a@example.com")
    rows.active(store, "ann", "b@example.com")
    inbox = rows.mailbox(store, account, "Inbox")
    seen = rows.incoming(3, flags=["\\Seen"])
    rows.store_batch(store, rows.batch(inbox, rows.incoming(1), rows.incoming(2), seen))
    junk = rows.mailbox(store, account, "Junk")
    rows.store_batch(store, rows.batch(junk, rows.incoming(4)))
    # Then what counts is what a person has not read in INBOX
    with transaction(store) as connection:
        assert accounts.unread_of_user(connection, "ann") == {account.id: 2}
        assert accounts.unread_of_user(connection, "bob") == {}
