"""Messages set aside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postwire.errors import NotFound
from postwire.model import Account, Mailbox, SetAside
from postwire.store import set_aside
from postwire.store.pool import Pool, transaction
from postwire.store.set_aside import Due
from support import rows


@pytest.fixture
def box(store: Pool) -> Mailbox:
    """A mailbox with one message set aside."""
    box = rows.mailbox(store, account := rows.active(store))
    assert account.id == box.account_id
    aside = (SetAside(5, "first", b"raw"),)
    rows.store_batch(store, replace(rows.batch(box, rows.incoming(1)), set_aside=aside))
    return box


def test_the_last_error_and_the_bytes_stay(store: Pool, box: Mailbox) -> None:
    with transaction(store) as connection:
        set_aside.record(connection, box.id, 1, [SetAside(5, "second")])
        (aside,) = set_aside.list_of_account(connection, box.account_id, 10)
        assert (aside.error, aside.raw_size, aside.attempts) == ("second", 3, 1)
        assert set_aside.get_raw(connection, box.account_id, box.id, 5) == b"raw"
        with pytest.raises(NotFound):
            set_aside.get_raw(connection, box.account_id, box.id, 6)


def test_what_is_due_is_taken_once(store: Pool, box: Mailbox) -> None:
    with transaction(store) as connection:
        assert set_aside.take_due(connection, box.account_id) is None
        assert set_aside.make_due(connection, box.account_id) == 1
        assert set_aside.take_due(connection, box.account_id) == Due(box.id, 5)
        assert set_aside.take_due(connection, box.account_id) is None
        set_aside.remove(connection, box.id, 1, 5)
        assert set_aside.make_due(connection, box.account_id) == 0


def test_numbers_of_another_uidvalidity_mean_nothing(store: Pool, box: Mailbox) -> None:
    with transaction(store) as connection:
        connection.execute("UPDATE mailbox SET uidvalidity = 2 WHERE id = %s", [box.id])
        assert set_aside.list_of_account(connection, box.account_id, 10) == []
        set_aside.make_due(connection, box.account_id)
        assert set_aside.take_due(connection, box.account_id) is None


def test_another_account_has_none_of_it(store: Pool, box: Mailbox) -> None:
    other: Account = rows.active(store, "bob", "bob@example.com")
    with transaction(store) as connection:
        set_aside.make_due(connection, other.id)
        assert set_aside.list_of_account(connection, other.id, 10) == []
        with pytest.raises(NotFound):
            set_aside.get_raw(connection, other.id, box.id, 5)
