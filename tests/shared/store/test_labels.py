"""Labels are mailboxes whose placements come and go with those of the one that tells of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from postwire.errors import CursorMoved
from postwire.model import Account, Flagged, Mailbox
from postwire.store import (
    contents,
    conversations,
    labels,
    mailboxes,
    messages,
    placements,
    search,
)
from postwire.store.contents import Place
from postwire.store.pool import Pool, transaction
from support import rows

ALL = "[Gmail]/All Mail"


@pytest.fixture
def account(store: Pool) -> Account:
    return rows.active(store)


@pytest.fixture
def whole(store: Pool, account: Account) -> Mailbox:
    """All Mail with INBOX and Sent Mail for labels, and two messages in INBOX."""
    whole = rows.mailbox(store, account, ALL, "\\All")
    with transaction(store) as connection:
        for name, use in (("INBOX", None), ("[Gmail]/Sent Mail", "\\Sent")):
            label = mailboxes.keep(connection, account.id, name, "/", use)
            mailboxes.turn(connection, label, whole.id)
    told = [replace(rows.incoming(uid), labels=("INBOX", "Nowhere")) for uid in (1, 2)]
    what = rows.batch(whole, *told)
    rows.store_batch(store, what)
    return replace(whole, cursor=what.after)


def lies(store: Pool) -> list[tuple[str, ...]]:
    """The mailboxes of each message, oldest first."""
    with transaction(store) as connection:
        listed = messages.list_of_user(
            connection, "ann", account_id=None, mailbox=None, before=None, limit=9
        )
    return [one.mailboxes for one in reversed(listed)]


def told(uid: int, *flags: str, named: tuple[str, ...] | None) -> Flagged:
    return Flagged(uid, flags, None, named)


def test_a_batch_places_its_messages_in_their_labels(store: Pool, whole: Mailbox) -> None:
    assert lies(store) == [("INBOX", ALL), ("INBOX", ALL)]
    with transaction(store) as connection:
        named = labels.of_mailbox(connection, whole)
        inbox = next(one for one in mailboxes.list_of_account(connection, whole.account_id))
    assert set(named) == {"INBOX", "\\Sent", "[Gmail]/Sent Mail"}
    assert (inbox.mailbox.name, inbox.messages, inbox.unread) == ("INBOX", 2, 2)


def test_mail_is_found_by_its_label_as_by_a_mailbox(store: Pool, whole: Mailbox) -> None:
    with transaction(store) as connection:
        placements.set_flags(connection, whole, [told(1, named=())], force=False)
        listed = conversations.list_of_user(
            connection, "ann", account_id=None, mailbox="INBOX", before=None, limit=9
        )
        found = search.find(
            connection,
            "ann",
            search.Query(mailbox="inbox"),
            account_id=None,
            below=None,
            offset=0,
            limit=9,
        )
    assert [one.subject for one in listed] == ["Message 2"]
    assert [one.message.headers.subject for one in found.found] == ["Message 2"]


def test_changed_labels_move_placements_and_the_same_ones_write_nothing(
    store: Pool, whole: Mailbox
) -> None:
    # Given one message that left INBOX and was sent, and one that is what it was
    said = [told(1, named=("\\Sent",)), told(2, named=("INBOX",))]
    with transaction(store) as connection:
        stored = placements.set_flags(connection, whole, said, force=False)
    assert stored is not None
    assert lies(store) == [(ALL, "[Gmail]/Sent Mail"), ("INBOX", ALL)]
    # When the same is said again, or nothing of labels
    said = [told(1, named=("\\Sent",)), told(2, named=None)]
    with transaction(store) as connection:
        # Then nothing is written
        assert placements.set_flags(connection, whole, said, force=True) is None


def test_a_flag_is_set_in_the_labels_too(store: Pool, whole: Mailbox) -> None:
    with transaction(store) as connection:
        placements.set_flags(connection, whole, [told(1, "\\Seen", named=None)], force=False)
        counted = mailboxes.list_of_account(connection, whole.account_id)
    assert [one.unread for one in counted if one.messages] == [1, 1]


def test_what_leaves_the_whole_leaves_its_labels(store: Pool, whole: Mailbox) -> None:
    with transaction(store) as connection:
        assert placements.expunge(connection, whole, [1])
    assert lies(store) == [("INBOX", ALL)]


def test_a_label_is_no_place_to_read_a_message_at(store: Pool, whole: Mailbox) -> None:
    with transaction(store) as connection:
        (id_,) = connection.execute("SELECT min(id) FROM message").fetchone() or (0,)
        connection.execute(
            "INSERT INTO attachment (account_id, message_id, n, section, content_type, size)"
            " VALUES (%s, %s, 1, '2', 'a/b', 1)",
            [whole.account_id, id_],
        )
        contents.ask(connection, contents.Wanted(whole.account_id, id_, 1, None, "", "active"))
        request = contents.claim(connection, whole.account_id, "test")
        assert request
        assert contents.places(connection, request) == [Place(ALL, 1, 1)]


def test_whoever_turns_a_mailbox_second_has_lost(store: Pool, whole: Mailbox) -> None:
    with transaction(store) as connection:
        inbox = next(
            one for one in mailboxes.list_all(connection, whole.account_id) if one.name == "INBOX"
        )
        turned = mailboxes.turn(connection, inbox, None)
        assert (turned.label_of, turned.cursor, turned.homeless) == (None, None, True)
        with pytest.raises(CursorMoved):
            mailboxes.turn(connection, inbox, None)
    assert lies(store) == [(ALL,), (ALL,)]


def test_what_takes_over_from_others_reaches_back_as_far(store: Pool, account: Account) -> None:
    # Given a mailbox that reaches back to March
    march, april = date(2025, 3, 1), date(2025, 4, 1)
    with transaction(store) as connection:
        inbox = mailboxes.keep(connection, account.id, "INBOX", "/", None)
        inbox = mailboxes.start(connection, inbox, rows.START, window_start=march)
        # When it becomes a label of one that is begun with a window from April on
        whole = mailboxes.keep(connection, account.id, ALL, "/", "\\All")
        label = mailboxes.turn(connection, inbox, whole.id)
        whole = mailboxes.compare_whole(connection, whole, [inbox])
        whole = mailboxes.start(connection, whole, rows.START, window_start=april)
        # Then that one reaches back to March as well, and so does the label, if it is one no more
        assert (whole.window_start, whole.homeless) == (march, True)
        inbox = mailboxes.turn(connection, label, None)
        assert (
            mailboxes.start(connection, inbox, rows.START, window_start=april).window_start == march
        )
        # And a mailbox without a window has none, whatever was before
        third = mailboxes.keep(connection, account.id, "Work", "/", None)
        assert mailboxes.start(connection, third, rows.START).window_start is None
