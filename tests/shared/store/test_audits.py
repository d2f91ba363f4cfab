"""When an account is due for its audit, and up to where it has come."""

from __future__ import annotations

from datetime import timedelta

from postwire.model import Account, MailboxId, SetAside
from postwire.store import accounts, audits, set_aside
from postwire.store.audits import Position
from postwire.store.pool import Pool, transaction
from support import rows

DAY = timedelta(days=1)


def take_due(store: Pool, account: Account) -> Position | None:
    with transaction(store) as connection:
        return audits.take_due(connection, account.id, DAY)


def hours_left(store: Pool, account: Account) -> float:
    with transaction(store) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM due_at - now()) / 3600 FROM audit WHERE account_id = %s",
            [account.id],
        ).fetchone()
    assert row
    return float(row[0])


def make_due(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        connection.execute(
            "UPDATE audit SET due_at = now() WHERE account_id = %s",
            [account.id],
        )


def test_accounts_that_were_added_together_are_not_due_together(store: Pool) -> None:
    added = [rows.account(store, address=f"{n}@example.com") for n in range(20)]
    assert [take_due(store, one) for one in added] == [None] * 20
    hours = [hours_left(store, one) for one in added]
    assert 0 < min(hours) < 12 < max(hours) < 24


def test_an_audit_goes_on_where_it_was_and_begins_anew_when_it_was_finished(store: Pool) -> None:
    # Given an account that is due
    account = rows.account(store)
    take_due(store, account)
    make_due(store, account)
    assert take_due(store, account) == Position(MailboxId(0), 0)
    # When it has come to some message, then it goes on there
    with transaction(store) as connection:
        audits.note(connection, account.id, Position(MailboxId(3), 2000))
    assert take_due(store, account) == Position(MailboxId(3), 2000)
    # And after a failure as well, but later
    with transaction(store) as connection:
        audits.put_off(connection, account.id)
    assert take_due(store, account) is None
    assert 0.9 < hours_left(store, account) <= 1
    make_due(store, account)
    assert take_due(store, account) == Position(MailboxId(3), 2000)
    # And when it is finished, the next is due in about a day, and begins at the beginning
    with transaction(store) as connection:
        audits.finish(connection, account.id, DAY)
        assert accounts.get(connection, account.id).audited_at is not None
    assert 21 < hours_left(store, account) < 27
    make_due(store, account)
    assert take_due(store, account) == Position(MailboxId(0), 0)


def test_an_account_that_was_removed_is_never_due(store: Pool) -> None:
    account = rows.account(store)
    with transaction(store) as connection:
        accounts.remove(connection, account.user_id, account.id)
    assert take_due(store, account) is None


def test_what_is_placed_or_set_aside_is_that_of_the_range_and_the_mailbox(store: Pool) -> None:
    account = rows.account(store)
    inbox, sent = rows.mailbox(store, account), rows.mailbox(store, account, "Sent")
    rows.store_batch(store, rows.batch(inbox, *(rows.incoming(uid) for uid in (1, 2, 5, 9))))
    rows.store_batch(store, rows.batch(sent, rows.incoming(3)))
    with transaction(store) as connection:
        set_aside.record(connection, inbox.id, 1, [SetAside(7, "no"), SetAside(8, "no")])
        set_aside.record(connection, sent.id, 1, [SetAside(6, "no")])
        assert audits.placed(connection, inbox, 2, 5) == [2, 5]
        assert audits.set_aside(connection, inbox, {6, 7}) == {7}


def test_messages_without_a_place_are_expunged_and_counted(store: Pool) -> None:
    account = rows.account(store)
    inbox = rows.mailbox(store, account)
    rows.store_batch(store, rows.batch(inbox, *(rows.incoming(uid) for uid in (1, 2, 3))))
    with transaction(store) as connection:
        assert audits.expunge_homeless(connection, account.id) is None
        connection.execute("DELETE FROM placement WHERE uid < 3")
        found = audits.expunge_homeless(connection, account.id)
        assert found is not None
        assert found[0] == 2
        assert audits.expunge_homeless(connection, account.id) is None
