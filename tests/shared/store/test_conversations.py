"""Conversations are what their messages are, at the moment they are read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import psycopg
import pytest

from postwire.errors import NotFound
from postwire.model import (
    Account,
    Address,
    Conversation,
    Incoming,
    Mailbox,
    MessageId,
    ThreadId,
)
from postwire.store import accounts, conversations, mailboxes, placements, threads
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
    assert [one.address for one in found.senders] == ["bob@example.com"]


def test_who_was_written_to_is_among_the_senders_once_the_last_word_is_theirs(store: Pool) -> None:
    # Given a letter of Bob's to Ann
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1))
    assert [one.address for one in read(store, 1).senders] == ["bob@example.com"]
    # When she answers
    answer = letter(2, 1, from_=(Address("Ann", "ann@example.com"),))
    store_in(store, account, "Sent", answer)
    # Then she is among them, after him
    assert [one.address for one in read(store, 1).senders] == ["bob@example.com", "ann@example.com"]


def test_the_newest_messages_of_a_conversation_come_first_where_asked_for(store: Pool) -> None:
    # Given a conversation of three
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(2, 1), letter(3, 1))
    # Then they are read from the newest down, page by page
    with snapshot(store) as connection:
        first = conversations.newest_of(connection, account.id, ThreadId(1), before=None, limit=2)
        at = (first[-1].internaldate, first[-1].id)
        second = conversations.newest_of(connection, account.id, ThreadId(1), before=at, limit=2)
    assert [one.headers.subject for one in first] == ["Message 3", "Message 2"]
    assert [one.headers.subject for one in second] == ["Message 1"]


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


def test_a_mailbox_shows_conversations_of_which_something_lies_there(store: Pool) -> None:
    # Given one conversation in two mailboxes and one in each alone
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


def test_a_mailbox_of_that_name_in_two_accounts_is_listed_in_one_order(store: Pool) -> None:
    # Given two accounts with a mailbox of one name, in one of them under newer mail
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


def test_mail_that_arrives_between_two_pages_neither_hides_nor_repeats_another(store: Pool) -> None:
    # Given five conversations of a mailbox, and the first two of them read
    account = rows.active(store)
    store_in(store, account, "INBOX", *(letter(n) for n in range(1, 6)))
    page = listed(store, mailbox="INBOX", limit=2)
    assert [one.subject for one in page] == ["Message 5", "Message 4"]
    before = (page[-1].last_message_at, page[-1].newest)
    # When something new comes, an answer to one that was read, and one to one that was not
    store_in(store, account, "Sent", letter(7), letter(8, 4), letter(9, 2))
    # Then the next page goes on below what was read; what moved up is on top of the first one
    following = listed(store, mailbox="INBOX", before=before)
    assert [one.subject for one in following] == ["Message 3", "Message 1"]
    again = listed(store, mailbox="INBOX", limit=3)
    assert [one.subject for one in again] == ["Message 2", "Message 4", "Message 5"]


def test_conversations_that_became_one_are_listed_once_in_the_mailboxes_of_both(
    store: Pool,
) -> None:
    # Given a conversation in each of two mailboxes
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(3))
    store_in(store, account, "Lists", letter(2))
    # When an answer in a third one makes them one
    store_in(store, account, "Sent", letter(4, 1, 2))
    # Then each of the three lists it, by its last message
    expected = {"INBOX": ["Message 1", "Message 3"], "Lists": ["Message 1"], "Sent": ["Message 1"]}
    for name, subjects in expected.items():
        assert [one.subject for one in listed(store, mailbox=name)] == subjects


NAMES = ("INBOX", "Sent", "Archive")
#: What is told of a mailbox, worked out from messages and placements alone.
TRUTH = """
    SELECT thread_id, newest.id
      FROM (SELECT DISTINCT mailbox_id, thread_id
              FROM placement JOIN message ON message.id = placement.message_id
             WHERE expunged_at IS NULL) AS lies
      JOIN LATERAL (
            SELECT id, internaldate FROM message
             WHERE message.thread_id = lies.thread_id AND expunged_at IS NULL
             ORDER BY internaldate DESC, id DESC LIMIT 1) AS newest ON true
     WHERE mailbox_id = %s
     ORDER BY newest.internaldate DESC, newest.id DESC
"""


class Changing:
    """An account to which what servers do happens in any order."""

    def __init__(self, store: Pool, account: Account, chance: random.Random) -> None:
        """Three mailboxes, nothing in them."""
        self.store = store
        self.account = account
        self.chance = chance
        self.boxes = [rows.mailbox(store, account, name) for name in NAMES]
        self.letters: list[Incoming] = []

    def change(self) -> None:
        """One of them happens."""
        self.chance.choice(
            [self.arrive, self.arrive, self.copy, self.expunge, self.expunge, self.begin_anew,
             self.forget]
        )()  # fmt: skip

    def arrive(self) -> None:
        """Up to four messages, which answer some that came, that come later, or none."""
        first = len(self.letters) + 1
        new = [
            letter(
                n, *(self.chance.randint(1, 60) for _ in range(self.chance.choice([0, 0, 1, 2])))
            )
            for n in range(first, first + self.chance.randint(1, 4))
        ]
        self.letters += new
        self._store(new)

    def copy(self) -> None:
        """Messages that are known already, or were, turn up in a mailbox."""
        self._store(self.chance.sample(self.letters, min(len(self.letters), 3)))

    def expunge(self) -> None:
        """Some messages leave a mailbox."""
        box = self.chance.choice(self.boxes)
        with transaction(self.store) as connection:
            uids = placements.uids(connection, box, 0, 99)
            gone = self.chance.sample(uids, self.chance.randint(0, len(uids)))
            placements.expunge(connection, box, gone)

    def begin_anew(self) -> None:
        """A mailbox has a new UIDVALIDITY; what lies nowhere else is expunged."""
        n = self.chance.randrange(len(self.boxes))
        cursor = self.boxes[n].cursor
        assert cursor is not None
        after = replace(rows.START, uidvalidity=cursor.uidvalidity + 1)
        with transaction(self.store) as connection:
            mailboxes.start(connection, self.boxes[n], after)
        self.boxes[n] = replace(self.boxes[n], cursor=after)
        with transaction(self.store) as connection:
            placements.expunge_homeless(connection, self.account.id)

    def forget(self) -> None:
        """As if a release without threads had stored it all; then they are given theirs."""
        with transaction(self.store) as connection:
            connection.execute("UPDATE message SET thread_id = NULL")
            connection.execute("DELETE FROM thread_reference")
            connection.execute("DELETE FROM thread")
        with transaction(self.store) as connection:
            threads.catch_up(connection, self.account.id)

    def _store(self, letters: Sequence[Incoming]) -> None:
        n = self.chance.randrange(len(self.boxes))
        cursor = self.boxes[n].cursor
        assert cursor is not None
        numbered = [replace(one, uid=cursor.uidnext + i) for i, one in enumerate(letters)]
        batch = rows.batch(self.boxes[n], *numbered, before=cursor)
        rows.store_batch(self.store, batch)
        self.boxes[n] = replace(self.boxes[n], cursor=batch.after)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_listed_of_a_mailbox_is_true_whatever_happened(store: Pool, seed: int) -> None:
    # Given messages that come, go, come back, and link what is there
    changing = Changing(store, rows.active(store), random.Random(seed))  # noqa: S311
    for _ in range(30):
        changing.change()
        # Then each mailbox lists, page by page, what its placements say
        for box in changing.boxes:
            assert in_pages(store, box) == truth(store, box)
    # And where nothing lies, nothing is kept
    with transaction(store) as connection:
        empty = "SELECT FROM thread_mailbox WHERE placements < 1 OR newest_id IS NULL"
        assert connection.execute(empty).fetchall() == []


def in_pages(store: Pool, box: Mailbox) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    before: Position | None = None
    while page := listed(store, mailbox=box.name, before=before, limit=3):
        seen += [(one.id, one.newest) for one in page]
        before = (page[-1].last_message_at, page[-1].newest)
    return seen


def truth(store: Pool, box: Mailbox) -> list[tuple[int, int]]:
    with snapshot(store) as connection:
        return connection.execute(TRUTH, [box.id]).fetchall()


def test_what_is_kept_of_mailboxes_goes_with_them_and_with_their_account(store: Pool) -> None:
    # Given a conversation in two mailboxes, of which one is then empty
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1))
    store_in(store, account, "Sent", letter(2, 1))
    with transaction(store) as connection:
        (sent,) = (one for one in mailboxes.list_all(connection, account.id) if one.name == "Sent")
        placements.empty(connection, sent)
    # Then one row is left, until the account goes
    assert kept_rows(store) == 1
    with transaction(store) as connection:
        accounts.remove(connection, "ann", account.id)
    assert kept_rows(store) == 0


def kept_rows(store: Pool) -> int:
    with snapshot(store) as connection:
        (row,) = connection.execute("SELECT count(*) FROM thread_mailbox")
        return int(row[0])


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
