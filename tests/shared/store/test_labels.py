"""Labels are mailboxes whose placements come and go with those of the one that tells of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postwire.errors import CursorMoved
from postwire.model import Account, Flagged, Mailbox
from postwire.store import contents, labels, mailboxes, messages, placements
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
