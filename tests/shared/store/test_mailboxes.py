"""Mailboxes and their cursors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postwire.errors import CursorMoved
from postwire.model import Cursor
from postwire.store import mailboxes, messages
from postwire.store.pool import Pool, transaction
from support import rows


def test_a_mailbox_is_kept_once_and_takes_over_what_the_server_says(store: Pool) -> None:
    # Given a mailbox whose special use was not known
    account = rows.active(store)
    with transaction(store) as connection:
        first = mailboxes.keep(connection, account.id, "Gesendet", "/", None)
        # When the server says it
        again = mailboxes.keep(connection, account.id, "Gesendet", ".", "\\Sent")
    # Then it is the same mailbox, and knows it
    assert again.id == first.id
    assert (again.delimiter, again.special_use) == (".", "\\Sent")
    assert first.cursor is None


def test_only_one_of_two_starts_a_mailbox(store: Pool) -> None:
    # Given a mailbox that two workers saw without a cursor
    account = rows.active(store)
    with transaction(store) as connection:
        fresh = mailboxes.keep(connection, account.id, "INBOX", "/", None)
        mailboxes.start(connection, fresh, rows.START)
    # Then the second one loses
    with transaction(store) as connection, pytest.raises(CursorMoved):
        mailboxes.start(connection, fresh, rows.START)


def test_a_changed_uidvalidity_voids_the_placements_and_keeps_the_messages(store: Pool) -> None:
    # Given a mailbox with a message
    account = rows.active(store)
    box = rows.mailbox(store, account)
    what = rows.batch(box, rows.incoming(1))
    rows.store_batch(store, what)
    # When the server counts anew, and the message is found again under another UID
    anew = Cursor(uidvalidity=2, uidnext=1, backfill_uid=0)
    with transaction(store) as connection:
        mailboxes.start(connection, replace(box, cursor=what.after), anew)
        (counted,) = mailboxes.list_of_account(connection, account.id)
        assert counted.messages == 0
    moved = replace(rows.incoming(1), uid=9)
    stored = rows.store_batch(store, rows.batch(replace(box, cursor=anew), moved, before=anew))
    # Then it is the message it was
    assert stored.new == 0
    with transaction(store) as connection:
        (message,) = messages.list_of_user(
            connection, "ann", account_id=None, mailbox="INBOX", before=None, limit=9
        )
    assert message.id == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Cursor(uidvalidity=2, uidnext=1, backfill_uid=0),
        Cursor(uidvalidity=1, uidnext=2, backfill_uid=0),
        Cursor(uidvalidity=1, uidnext=1, backfill_uid=7),
    ],
)
def test_a_cursor_is_moved_only_from_where_it_is(store: Pool, wrong: Cursor) -> None:
    # Given a mailbox
    box = rows.mailbox(store, rows.active(store))
    # When it is moved from where it is not
    with transaction(store) as connection, pytest.raises(CursorMoved):
        mailboxes.move_cursor(connection, box.id, wrong, replace(wrong, uidnext=99))


def test_mailboxes_are_listed_with_inbox_first_in_any_case(store: Pool) -> None:
    # Given mailboxes
    account = rows.active(store)
    with transaction(store) as connection:
        for name in ("Archive", "inbox", "Sent"):
            mailboxes.keep(connection, account.id, name, None, None)
        mailboxes.checked(connection, account.id)
        # When they are listed
        listed = mailboxes.list_of_account(connection, account.id)
    # Then INBOX is first however the server writes it (RFC 3501 §5.1)
    assert [one.mailbox.name for one in listed] == ["inbox", "Archive", "Sent"]
    assert all(one.checked_at for one in listed)
