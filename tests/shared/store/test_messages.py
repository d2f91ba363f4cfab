"""Batches are stored once and whole, and read by their owner."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from postwire.errors import CursorMoved, NotFound
from postwire.model import Address, Attachment, Cursor, MessageId, SetAside
from postwire.store import accounts, mailboxes, messages
from postwire.store.pool import Pool, transaction
from support import many, rows


def subjects(store: Pool, user: str = "ann") -> list[str]:
    with transaction(store) as connection:
        listed = messages.list_of_user(
            connection, user, account_id=None, mailbox=None, before=None, limit=99
        )
    return [message.headers.subject for message in listed]


def test_a_batch_that_is_stored_twice_is_stored_once(store: Pool) -> None:
    # Given a batch that was stored
    account = rows.active(store)
    what = rows.batch(rows.mailbox(store, account), rows.incoming(1), rows.incoming(2))
    stored = rows.store_batch(store, what)
    assert (stored.new, stored.inbound) == (2, 2)
    assert stored.received_at == rows.NOON + timedelta(minutes=2)
    assert stored.oldest_received_at == rows.NOON + timedelta(minutes=1)
    # When the same batch comes again, from a worker that died before it could say so
    with pytest.raises(CursorMoved):
        rows.store_batch(store, what)
    # Then there is nothing twice, and nothing was raised
    assert subjects(store) == ["Message 2", "Message 1"]
    with transaction(store) as connection:
        assert accounts.get(connection, account.id).revision == stored.revision


def test_the_loser_of_a_race_leaves_nothing_behind(store: Pool) -> None:
    # Given two workers that read the same cursor, and one of them was first
    account = rows.active(store)
    box = rows.mailbox(store, account)
    first = rows.store_batch(store, rows.batch(box, rows.incoming(1)))
    # When the other one stores what it has
    loser = replace(
        rows.batch(box, rows.incoming(2, subject="lost")), set_aside=(SetAside(3, "unreadable"),)
    )
    with pytest.raises(CursorMoved):
        rows.store_batch(store, loser)
    # Then nothing of it is there: no message, no placement, no revision, no cursor
    assert subjects(store) == ["Message 1"]
    with transaction(store) as connection:
        (counted,) = mailboxes.list_of_account(connection, account.id)
        revision = accounts.get(connection, account.id).revision
        aside = connection.execute("SELECT count(*) FROM set_aside").fetchone()
    assert counted.messages == 1
    assert counted.mailbox.cursor == replace(rows.START, uidnext=2)
    assert revision == first.revision
    assert aside == (0,)


def test_a_message_twice_in_one_batch_is_one_message_in_two_places(store: Pool) -> None:
    # Given a mailbox that holds the same message twice
    account = rows.active(store)
    copy = replace(rows.incoming(1), uid=2, flags=("\\Seen",))
    # When both are stored in one batch
    stored = rows.store_batch(
        store, rows.batch(rows.mailbox(store, account), rows.incoming(1), copy)
    )
    # Then there is one message with two placements, and a copy that was read makes it read
    assert stored.new == 1
    with transaction(store) as connection:
        (counted,) = mailboxes.list_of_account(connection, account.id)
        (message,) = messages.list_of_user(
            connection, "ann", account_id=None, mailbox=None, before=None, limit=9
        )
    assert (counted.messages, counted.unread) == (2, 1)
    assert message.flags == ("\\Seen",)
    assert not message.unread


def test_one_message_in_two_mailboxes_is_one_message(store: Pool) -> None:
    # Given a message that lies in INBOX
    account = rows.active(store)
    inbox, archive = (rows.mailbox(store, account, name) for name in ("INBOX", "Archive"))
    first = rows.store_batch(store, rows.batch(inbox, rows.incoming(1)))
    # When it is found in another mailbox, so that its body was not fetched again
    with transaction(store) as connection:
        digest = rows.incoming(1).digest
        assert messages.find_known(connection, account.id, [digest, b"other"]) == {digest}
    again = rows.store_batch(store, rows.batch(archive, replace(rows.incoming(1), body=None)))
    # Then it is the same one in both, changed by the later revision and not new
    assert (again.new, again.inbound, again.received_at) == (0, 0, None)
    with transaction(store) as connection:
        message = messages.get_of_user(connection, "ann", MessageId(1))
    assert message.mailboxes == ("Archive", "INBOX")
    assert message.revision == again.revision == first.revision + 1
    assert message.body is not None
    assert message.body.text == "Text 1"


def test_two_messages_with_one_message_id_stay_two(store: Pool) -> None:
    # Given two different messages whose senders gave them the same Message-ID
    box = rows.mailbox(store, rows.active(store))
    same = "<same@example.com>"
    # When they are stored
    rows.store_batch(
        store,
        rows.batch(box, rows.incoming(1, message_id=same), rows.incoming(2, message_id=same)),
    )
    # Then both are there
    assert subjects(store) == ["Message 2", "Message 1"]


def test_messages_without_a_message_id_are_stored_once_each(store: Pool) -> None:
    # Given two messages without the header
    box = rows.mailbox(store, rows.active(store))
    two = (rows.incoming(1, message_id=None), rows.incoming(2, message_id=None))
    # When they are stored
    rows.store_batch(store, rows.batch(box, *two))
    # Then both are there
    assert len(subjects(store)) == 2


def test_copies_in_two_accounts_are_both_there(store: Pool) -> None:
    # Given one mail that went to two accounts of a user
    for name in "ab":
        box = rows.mailbox(store, rows.active(store, "ann", f"{name}@example.com"))
        # When each account's copy is stored
        assert rows.store_batch(store, rows.batch(box, rows.incoming(1))).new == 1
    # Then both are there
    assert subjects(store) == ["Message 1", "Message 1"]


def test_mail_in_the_sent_mailbox_is_outbound_and_nobody_is_told_of_it_as_new(store: Pool) -> None:
    # Given a mailbox for sent mail
    box = rows.mailbox(store, rows.active(store), "Sent Items", "\\Sent")
    # When a message in it is stored
    stored = rows.store_batch(store, rows.batch(box, rows.incoming(1)))
    # Then it is new, and not inbound
    assert (stored.new, stored.inbound) == (1, 0)
    with transaction(store) as connection:
        assert messages.get_of_user(connection, "ann", MessageId(1)).direction == "outbound"


def direction(store: Pool) -> str:
    """Of the one message there is."""
    with transaction(store) as connection:
        return messages.get_of_user(connection, "ann", MessageId(1)).direction


@pytest.mark.parametrize("boxes", [("INBOX", "Sent"), ("Sent", "INBOX")])
def test_mail_that_lies_in_sent_too_is_outbound_whichever_mailbox_came_first(
    store: Pool, boxes: tuple[str, str]
) -> None:
    # Given a mail that came back by a list, from an address that the account does not know
    account = rows.active(store)
    for name in boxes:
        # When it is found in one mailbox and then in the other
        box = rows.mailbox(store, account, name, "\\Sent" if name == "Sent" else None)
        rows.store_batch(store, rows.batch(box, rows.incoming(1)))
    # Then it was sent
    assert direction(store) == "outbound"


@pytest.mark.parametrize(
    ("special_use", "author", "expected"),
    [
        (None, "ann@example.com", "outbound"),
        (None, "ANN@Example.com", "outbound"),
        (None, "ann@example.org", "inbound"),
        ("\\Drafts", "somebody@example.org", "outbound"),
        ("\\Junk", "somebody@example.org", "inbound"),
    ],
)
def test_direction_goes_by_the_author_and_by_what_the_mailbox_is_for(
    store: Pool, special_use: str | None, author: str, expected: str
) -> None:
    # Given a mailbox of some use, and a message of some author
    box = rows.mailbox(store, rows.active(store), "Some", special_use)
    what = rows.batch(box, rows.incoming(1, from_=(Address("", author),)))
    # When it is stored
    stored = rows.store_batch(store, what)
    # Then its direction is told, and nobody hears of their own mail as new
    assert direction(store) == expected
    assert (stored.new, stored.inbound) == (1, int(expected == "inbound"))


def test_attachments_come_back_in_their_order(store: Pool) -> None:
    # Given a message with two attachments
    parts = (
        Attachment("2", "b.pdf", "application/pdf", 10, None, "attachment"),
        Attachment("1.2", None, "image/png", 20, "<logo>", "inline"),
    )
    box = rows.mailbox(store, rows.active(store))
    rows.store_batch(store, rows.batch(box, replace(rows.incoming(1), attachments=parts)))
    # When it is read
    with transaction(store) as connection:
        message = messages.get_of_user(connection, "ann", MessageId(1))
    # Then they are as they were
    assert message.attachments == parts
    assert message.has_attachments


def test_the_list_is_ordered_and_goes_on_after_a_position(store: Pool) -> None:
    # Given messages of two accounts, some of them received in the same second
    boxes = [rows.mailbox(store, rows.active(store, "ann", f"{n}@example.com")) for n in "ab"]
    for box in boxes:
        rows.store_batch(
            store,
            rows.batch(box, *(replace(rows.incoming(n), internaldate=rows.NOON) for n in (1, 2))),
        )
    # When they are read one by one, each after the one before
    seen, before = [], None
    with transaction(store) as connection:
        while page := messages.list_of_user(
            connection, "ann", account_id=None, mailbox=None, before=before, limit=1
        ):
            before = (page[0].internaldate, page[0].id)
            seen.append(page[0].id)
    # Then each came once, in one order
    assert seen == [4, 3, 2, 1]


@pytest.mark.parametrize("few", [0, 500])
def test_a_small_and_a_large_mailbox_are_listed_alike(
    store: Pool, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    # Given a mailbox that counts as small, or as large; one message lies there twice, and its
    # newest one in the other, too, where an answer to the oldest is the newest of all
    monkeypatch.setattr(messages, "_FEW", few)
    account = rows.active(store)
    box, other = rows.mailbox(store, account), rows.mailbox(store, account, "Other")
    letters = [rows.incoming(uid) for uid in (1, 2, 3)]
    rows.store_batch(store, rows.batch(box, *letters, replace(letters[1], uid=9)))
    answer = rows.incoming(4, in_reply_to="<1@example.com>")
    rows.store_batch(store, rows.batch(other, replace(letters[2], uid=5), answer))
    # When it is listed one by one
    listed: list[str] = []
    before = None
    with transaction(store) as connection:
        while page := messages.list_of_user(
            connection, "ann", account_id=None, mailbox="INBOX", before=before, limit=1
        ):
            listed += [one.headers.subject for one in page]
            before = page[-1].internaldate, page[-1].id
    # Then each of its messages is there once, the newest first
    assert listed == ["Message 3", "Message 2", "Message 1"]


def test_no_list_of_a_mailbox_goes_through_all_messages(store: Pool, database_url: str) -> None:
    # Given an account of 20,000 messages, the oldest 2,000 of which lie in a mailbox of their own
    account = rows.active(store)
    many.fill(database_url, account.id, 20_000)
    many.analyze(database_url)
    plans: list[str] = []
    # When the first pages of mailboxes are read
    with transaction(store) as connection:
        many.explain(connection, plans.append)
        for mailbox in ("INBOX", "Old", "Rare"):
            assert messages.list_of_user(
                connection, "ann", account_id=account.id, mailbox=mailbox, before=None, limit=51
            )
    # Then no more is looked at than of a mailbox that counts as small
    read = [int(n) for plan in plans for n in re.findall(r"\(actual rows=(\d+)", plan)]
    assert 51 <= max(read) <= 501


def test_nobody_reads_the_message_of_another(store: Pool) -> None:
    # Given a message of ann
    rows.store_batch(store, rows.batch(rows.mailbox(store, rows.active(store)), rows.incoming(1)))
    # Then bob finds none
    assert subjects(store, "bob") == []
    with transaction(store) as connection, pytest.raises(NotFound):
        messages.get_of_user(connection, "bob", MessageId(1))


def test_each_commit_has_the_next_revision(store: Pool) -> None:
    # Given an account
    account = rows.active(store)
    box = rows.mailbox(store, account)
    # When three batches are stored, one after the other
    revisions, before = [], rows.START
    for n in (1, 2, 3):
        what = rows.batch(box, rows.incoming(n), before=before)
        before = what.after
        revisions.append(rows.store_batch(store, what).revision)
    # Then their revisions follow each other
    assert revisions == [account.revision + n for n in (1, 2, 3)]


def test_a_new_epoch_raises_the_revision_too(store: Pool) -> None:
    # Given an account
    account = rows.active(store)
    # When its history is rebuilt
    with transaction(store) as connection:
        told = messages.begin_again(connection, account.id)
    # Then both say so
    assert (told.epoch, told.revision) == (account.epoch + 1, account.revision + 1)


def test_a_batch_of_an_account_that_was_removed_is_stored_nowhere(store: Pool) -> None:
    # Given a worker that still has a batch, and an account that is gone
    account = rows.active(store)
    what = rows.batch(rows.mailbox(store, account), rows.incoming(1))
    with transaction(store) as connection:
        accounts.remove(connection, "ann", account.id)
        # Then there is nothing to store it in
        with pytest.raises((NotFound, CursorMoved)):
            messages.store(connection, what)


def test_what_was_set_aside_is_kept_once_with_its_last_error(store: Pool) -> None:
    # Given a message that could not be read, twice
    box = rows.mailbox(store, rows.active(store))
    one = replace(rows.batch(box), set_aside=(SetAside(7, "first"),))
    rows.store_batch(store, one)
    two = replace(rows.batch(box, before=one.after), set_aside=(SetAside(7, "second"),))
    rows.store_batch(store, two)
    # Then it is there once, with what was last wrong
    with transaction(store) as connection:
        kept = connection.execute("SELECT uid, error FROM set_aside").fetchall()
    assert kept == [(7, "second")]


def test_a_cursor_moves_over_a_batch_without_messages(store: Pool) -> None:
    # Given a mailbox whose next messages were expunged before anybody saw them
    account = rows.active(store)
    box = rows.mailbox(store, account)
    after = Cursor(uidvalidity=1, uidnext=50, backfill_uid=0)
    # When the empty batch is stored
    rows.store_batch(store, replace(rows.batch(box), after=after))
    # Then the cursor is past them
    with transaction(store) as connection:
        (counted,) = mailboxes.list_of_account(connection, account.id)
    assert counted.mailbox.cursor == after
