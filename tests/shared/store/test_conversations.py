"""Conversations are what their messages are, at the moment they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg
import pytest

from postwire.errors import NotFound
from postwire.model import Account, Conversation, Incoming, MessageId, ThreadId
from postwire.store import conversations
from postwire.store.conversations import Position
from postwire.store.pool import Pool, make_pool, snapshot, transaction
from support import many, rows

#: Beyond the last conversation.
ALL = 99


def letter(n: int, *references: int, flags: Sequence[str] = (), **headers: object) -> Incoming:
    """The message of minute `n`, in answer to those of other minutes."""
    named = {"references": tuple(f"<{one}@example.com>" for one in references)}
    return rows.incoming(n, flags=flags, **named | headers)


def store_in(store: Pool, account: Account, name: str, *letters: Incoming) -> None:
    rows.store_batch(store, rows.batch(rows.mailbox(store, account, name), *letters))


def listed(
    store: Pool,
    *,
    user: str = "ann",
    account: Account | None = None,
    mailbox: str | None = None,
    before: Position | None = None,
    limit: int = ALL,
) -> list[Conversation]:
    with snapshot(store) as connection:
        return conversations.list_of_user(
            connection,
            user,
            account_id=account and account.id,
            mailbox=mailbox,
            before=before,
            limit=limit,
        )


def read(store: Pool, thread: int, user: str = "ann") -> Conversation:
    with snapshot(store) as connection:
        return conversations.get_of_user(connection, user, ThreadId(thread))


def change(store: Pool, statement: str, *values: object) -> None:
    """What another part of the store does to placements and messages."""
    with transaction(store) as connection:
        connection.execute(statement, values)  # type: ignore[arg-type]


EXPUNGE = "UPDATE message SET expunged_at = now(), revision = 50 WHERE id = %s"


def test_a_conversation_has_the_subject_of_its_first_and_the_snippet_of_its_last(
    store: Pool,
) -> None:
    # Given a question and its answer, which has an attachment that nobody has looked at
    account = rows.active(store)
    answer = letter(2, 1, subject="Re: Question")
    store_in(store, account, "INBOX", letter(1, subject="Question", flags=["\\Seen"]), answer)
    # Then the conversation says it all
    (found,) = listed(store)
    assert found == read(store, 1)
    assert (found.subject, found.snippet) == ("Question", "Text 2")
    assert found.last_message_at == answer.internaldate
    assert (found.messages, found.unread, found.has_attachments) == (2, 1, False)
    assert [one.address for one in found.participants] == ["bob@example.com", "ann@example.com"]


def test_counts_are_true_whatever_another_changes(store: Pool) -> None:
    # Given a conversation of three unread messages, one of them in two mailboxes
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(2, 1), letter(3, 1))
    store_in(store, account, "Archive", letter(1))
    assert (read(store, 1).messages, read(store, 1).unread) == (3, 3)
    # When one is read, and one copy of another
    change(store, "UPDATE placement SET flags = %s WHERE message_id = 2", ["\\Seen"])
    assert read(store, 1).unread == 2
    change(store, "UPDATE placement SET flags = %s WHERE mailbox_id = 2", ["\\Seen"])
    assert read(store, 1).unread == 1
    # When the newest is expunged
    change(store, EXPUNGE, 3)
    found = read(store, 1)
    assert (found.messages, found.unread, found.snippet) == (2, 0, "Text 2")
    assert (found.last_message_at, found.revision) == (letter(2).internaldate, 50)
    # When it comes back
    change(store, "UPDATE message SET expunged_at = NULL WHERE id = 3")
    assert (read(store, 1).messages, listed(store)[0].snippet) == (3, "Text 3")


def test_a_conversation_whose_messages_are_all_gone_is_not_there(store: Pool) -> None:
    # Given a conversation of one message
    store_in(store, rows.active(store), "INBOX", letter(1))
    # When it is expunged
    change(store, EXPUNGE, 1)
    # Then there is no conversation
    assert listed(store) == []
    with pytest.raises(NotFound):
        read(store, 1)


def test_the_last_message_decides_about_the_order_and_pages_meet(store: Pool) -> None:
    # Given four conversations in two accounts; the oldest has the newest message
    first, second = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    store_in(store, first, "INBOX", letter(1), letter(2), letter(9, 1))
    store_in(store, second, "INBOX", letter(3), letter(4), letter(5, 4))
    # When they are read in pages of any size
    for limit in (1, 2, 3, ALL):
        seen: list[str] = []
        before: Position | None = None
        while page := listed(store, before=before, limit=limit):
            seen += [one.subject for one in page]
            before = (page[-1].last_message_at, page[-1].newest)
        # Then each comes once, the one with the newest message first
        assert seen == ["Message 1", "Message 4", "Message 3", "Message 2"]
    assert [one.subject for one in listed(store, account=second)] == ["Message 4", "Message 3"]


@pytest.mark.parametrize("near", [1, conversations.NEAR])
def test_a_mailbox_shows_conversations_of_which_something_lies_there(
    store: Pool, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one conversation in two mailboxes and one in each alone; found near or far
    monkeypatch.setattr(conversations, "NEAR", near)
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(3, 1), letter(6))
    store_in(store, account, "Sent", letter(2, 1), letter(4), letter(5, 4))
    # Then it is listed by its last message, wherever that lies
    sent = listed(store, mailbox="Sent")
    assert [one.subject for one in sent] == ["Message 4", "Message 1"]
    assert [one.messages for one in sent] == [2, 3]
    assert [one.subject for one in listed(store, mailbox="INBOX")] == ["Message 6", "Message 1"]
    after = (sent[0].last_message_at, sent[0].newest)
    assert listed(store, mailbox="Sent", before=after) == sent[1:]
    assert listed(store, mailbox="Sent", limit=1) == sent[:1]
    assert listed(store, mailbox="None") == []
    # And what is expunged lies nowhere
    change(store, "UPDATE message SET expunged_at = now() WHERE subject IN ('Message 4')")
    change(store, "UPDATE message SET expunged_at = now() WHERE subject IN ('Message 5')")
    assert [one.subject for one in listed(store, mailbox="Sent")] == ["Message 1"]


def test_a_mailbox_of_that_name_in_two_accounts_is_listed_in_one_order(
    store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two accounts with a mailbox of one name, in one of them under newer mail
    monkeypatch.setattr(conversations, "NEAR", 2)
    first, second = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    store_in(store, first, "Sent", letter(3), letter(5))
    store_in(store, first, "INBOX", letter(7), letter(8), letter(9))
    store_in(store, second, "Sent", letter(2), letter(4))
    # When it is read in pages of any size
    for limit in (1, 2, ALL):
        seen: list[str] = []
        before: Position | None = None
        while page := listed(store, mailbox="Sent", before=before, limit=limit):
            seen += [one.subject for one in page]
            before = (page[-1].last_message_at, page[-1].newest)
        # Then nothing is passed over
        assert seen == ["Message 5", "Message 4", "Message 3", "Message 2"]


def test_messages_of_a_conversation_come_oldest_first_in_pages(store: Pool) -> None:
    # Given a conversation whose messages came in no order, two in the same second
    account = rows.active(store)
    same = replace(letter(7, 1), internaldate=letter(3).internaldate)
    store_in(store, account, "INBOX", letter(3, 1), letter(1), same, letter(2, 1), letter(4))
    # When they are read one by one
    seen: list[str] = []
    after: Position | None = None
    with snapshot(store) as connection:
        while page := conversations.messages_of(
            connection, account.id, ThreadId(1), after=after, limit=1
        ):
            seen += [one.headers.subject for one in page]
            after = (page[-1].internaldate, page[-1].id)
    # Then each comes once
    assert seen == ["Message 1", "Message 2", "Message 3", "Message 7"]
    assert page == []


def test_the_id_of_a_merged_conversation_leads_to_the_one_it_became_part_of(store: Pool) -> None:
    # Given three conversations, two of which an answer made one
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(2), letter(3))
    store_in(store, account, "Later", letter(4, 1, 2))
    # Then the old id answers with the one
    assert read(store, 2) == read(store, 1)
    assert read(store, 1).messages == 3
    assert [one.id for one in listed(store)] == [1, 3]


def test_nobody_reads_the_conversation_of_another(store: Pool) -> None:
    # Given a conversation of ann
    store_in(store, rows.active(store), "INBOX", letter(1))
    # Then bob finds none
    assert listed(store, user="bob") == []
    assert listed(store, user="bob", mailbox="INBOX") == []
    with pytest.raises(NotFound):
        read(store, 1, "bob")
    with pytest.raises(NotFound):
        read(store, 2)


def test_no_list_goes_through_all_messages(store: Pool, database_url: str) -> None:
    # Given an account of 20,000 messages beside another one
    account = rows.active(store)
    many.fill(database_url, account.id, 20_000)
    many.fill(database_url, rows.active(store, "bob").id, 5_000)
    many.analyze(database_url)
    plans: list[str] = []
    with snapshot(store) as connection:
        many.explain(connection, plans.append)
        # When pages are read, of everything, and of a large and a small mailbox
        for mailbox in (None, "INBOX", "Rare"):
            for before in (None, (rows.NOON.replace(year=2024, month=1, day=5), MessageId(1))):
                page = conversations.list_of_user(
                    connection,
                    "ann",
                    account_id=account.id,
                    mailbox=mailbox,
                    before=before,
                    limit=51,
                )
                assert page, (mailbox, before)
    # Then messages are found by indexes, and nothing goes through all of them
    assert any("Index Scan using message_" in plan for plan in plans)
    assert [scan for plan in plans for scan in scans(plan)] == []


def scans(plan: str) -> list[str]:
    """The lines of the plan that went through all messages of a partition."""
    # What was planned and never executed are the partitions of other accounts.
    return [
        line
        for line in plan.splitlines()
        if "Seq Scan on message" in line and "never executed" not in line
    ]


def test_a_plan_that_goes_through_all_messages_would_be_seen(database_url: str) -> None:
    # Given messages
    pool = make_pool(database_url, 1)
    many.fill(database_url, rows.active(pool).id, 100)
    pool.close()
    plans: list[str] = []
    with psycopg.connect(database_url) as connection:
        many.explain(connection, plans.append)
        # When a statement is run that no index helps
        connection.execute("SELECT count(*) FROM message WHERE snippet LIKE '%x%'")
    # Then its plan says so
    assert any(scans(plan) for plan in plans)
