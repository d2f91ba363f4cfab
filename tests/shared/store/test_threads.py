"""Messages that answer each other are one thread, in whatever order they are stored."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postwire.model import Account, Address, Incoming, Mailbox, MessageId
from postwire.store import accounts, mailboxes, messages, threads
from postwire.store.pool import Pool, transaction
from support import many, rows


def letter(
    name: str, *references: str, reply: str | None = None, n: int = 1, **headers: object
) -> Incoming:
    """A message with the Message-ID `name`; its subject is its name."""
    named = {
        "message_id": name and f"<{name}@example.com>",
        "references": tuple(f"<{one}@example.com>" for one in references),
        "in_reply_to": reply and f"<{reply}@example.com>",
        "subject": name,
    }
    return rows.incoming(n, **named | headers)


def store_in_turn(store: Pool, box: Mailbox, batches: Iterable[Sequence[Incoming]]) -> Mailbox:
    """Store the batches, each with the next uids; the mailbox with its cursor then."""
    cursor = box.cursor or rows.START
    for batch in batches:
        numbered = [replace(one, uid=cursor.uidnext + n) for n, one in enumerate(batch)]
        what = rows.batch(box, *numbered, before=cursor)
        rows.store_batch(store, what)
        cursor = what.after
    return replace(box, cursor=cursor)


def told(store: Pool, account: Account) -> set[frozenset[str]]:
    """The subjects of each thread's messages."""
    found = defaultdict(set)
    with transaction(store) as connection:
        for thread, subject in connection.execute(
            "SELECT thread_id, subject FROM message WHERE account_id = %s", [account.id]
        ):
            found[thread].add(subject)
    return {frozenset(one) for one in found.values()}


def sets(*groups: str) -> set[frozenset[str]]:
    """`"ab c"` for two threads, the one of a and b, the other of c."""
    return {frozenset(group) for group in groups}


@pytest.fixture
def account(store: Pool) -> Account:
    return rows.active(store)


@pytest.fixture
def box(store: Pool, account: Account) -> Mailbox:
    return rows.mailbox(store, account)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        pytest.param([[letter("a")], [letter("b", "a")]], sets("ab"), id="an answer"),
        pytest.param([[letter("b", "a")], [letter("a")]], sets("ab"), id="a parent that is late"),
        pytest.param(
            [[letter("b", reply="a")], [letter("a")]], sets("ab"), id="only In-Reply-To, and late"
        ),
        pytest.param(
            [[letter("b", "x")], [letter("c", "x")]], sets("bc"), id="an ancestor that never came"
        ),
        pytest.param(
            [[letter("b", "a")], [letter("d", "c")], [letter("e", "a", "c")]],
            sets("bde"),
            id="a late one that makes two threads one",
        ),
        pytest.param(
            [[letter("a"), letter("c", "b"), letter("d")], [letter("b", "a")]],
            sets("abc", "d"),
            id="a link in the middle that is late",
        ),
        pytest.param(
            [[letter("a", "b")], [letter("b", "a")]], sets("ab"), id="two that name each other"
        ),
        pytest.param([[letter("a", "a")]], sets("a"), id="one that names itself"),
        pytest.param(
            [[letter("a", "c"), letter("b", "a"), letter("c", "b")]], sets("abc"), id="a circle"
        ),
        pytest.param(
            [[letter("a"), letter("b")], [letter("c", "a", reply="b")]],
            sets("ac", "b"),
            id="In-Reply-To beside References does not count",
        ),
        pytest.param(
            [[letter("a")], [letter("b", message_id='<"a"@example.com>')]],
            sets("ab"),
            id="a Message-ID in quotes",
        ),
    ],
)
def test_threads_are_those_of_the_references(
    store: Pool, account: Account, box: Mailbox,
    batches: Sequence[Sequence[Incoming]], expected: set[frozenset[str]],
) -> None:  # fmt: skip
    store_in_turn(store, box, batches)
    assert told(store, account) == expected


def test_the_same_subject_is_no_reason_to_be_one_thread(store: Pool, box: Mailbox) -> None:
    # Given two messages with one subject that do not name each other
    store_in_turn(store, box, [[letter("a", subject="Hi"), letter("b", subject="Hi", n=2)]])
    # Then they have a thread each
    with transaction(store) as connection:
        assert connection.execute("SELECT count(*) FROM thread").fetchone() == (2,)


def test_messages_without_a_message_id_have_a_thread_each_unless_they_name_one(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given two messages without Message-ID, and one that answers something
    bare = [letter(name, message_id=None) for name in "ab"]
    store_in_turn(store, box, [[*bare, letter("c", "d", message_id=None), letter("d")]])
    # Then only the one that names another is with it
    assert told(store, account) == sets("a", "b", "cd")


def test_two_messages_with_one_message_id_are_one_thread_and_stay_two(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given one mail that came directly and by a list, which put something into its header
    copy = letter("b", message_id="<a@example.com>")
    # When both are stored, in one batch and in two
    store_in_turn(store, box, [[letter("a"), copy], [letter("c", message_id="<a@example.com>")]])
    # Then they are in one thread
    assert told(store, account) == sets("abc")


def test_a_copy_and_a_message_that_comes_back_keep_their_thread(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given a thread, one of whose messages was expunged
    box = store_in_turn(store, box, [[letter("a"), letter("b", "a")]])
    with transaction(store) as connection:
        connection.execute("UPDATE message SET expunged_at = now() WHERE subject = 'b'")
    # When it is found again, and a copy of the other one in another mailbox
    store_in_turn(store, box, [[letter("b", "a")]])
    store_in_turn(store, rows.mailbox(store, account, "Archive"), [[letter("a")]])
    # Then there is still this one thread
    assert told(store, account) == sets("ab")
    with transaction(store) as connection:
        assert connection.execute("SELECT count(*) FROM thread").fetchone() == (1,)


def test_threads_of_two_accounts_never_meet(store: Pool) -> None:
    # Given a mail and its answer, in two accounts
    first, second = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    store_in_turn(store, rows.mailbox(store, first), [[letter("a")]])
    store_in_turn(store, rows.mailbox(store, second), [[letter("b", "a")]])
    # Then each account has its own thread
    assert (told(store, first), told(store, second)) == (sets("a"), sets("b"))


def test_a_thread_of_a_thousand_messages_is_one(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given a discussion whose messages name the last ten before them, found newest first
    names = [f"m{n}" for n in range(1000)]
    all_of_it = [letter(name, *names[max(0, n - 10) : n], n=n) for n, name in enumerate(names)]
    batches = [all_of_it[start : start + 100] for start in range(0, 1000, 100)]
    store_in_turn(store, box, reversed(batches))
    # Then it is one
    assert told(store, account) == {frozenset(names)}


def test_a_new_database_does_not_go_through_all_messages_for_each_that_comes(
    store: Pool, box: Mailbox
) -> None:
    # Given a database that PostgreSQL knows nothing of yet, as in the first minutes of each
    batches = [
        [letter(f"{batch}-{n}", n=batch * 100 + n) for n in range(100)] for batch in range(3)
    ]
    box = store_in_turn(store, box, batches[:2])
    # When a further batch is stored
    plans: list[str] = []
    what = rows.batch(
        box,
        *(
            replace(one, uid=(box.cursor or rows.START).uidnext + n)
            for n, one in enumerate(batches[2])
        ),
        before=box.cursor or rows.START,
    )
    with transaction(store) as connection:
        many.explain(connection, plans.append)
        connection.execute("SET LOCAL auto_explain.log_nested_statements = on")
        messages.store(connection, what)
    # Then what is looked up for each message is found by the index that has it
    ours = [plan for plan in plans if re.search("wanted|FROM moved|LEFT JOIN LATERAL", plan)]
    assert len(ours) == 3
    used = {name for plan in ours for name in re.findall(r"using (message_\w+)", plan)}
    kinds = {re.sub(r"message_\d+_", "", name) for name in used}
    assert kinds == {"account_id_digest_key", "account_id_thread_id_internaldate_id_idx", "pkey"}


def test_messages_of_a_thread_that_became_part_of_another_are_told_of_as_changed(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given two threads
    box = store_in_turn(store, box, [[letter("a"), letter("b")]])
    # When a message makes them one
    store_in_turn(store, box, [[letter("c", "a", "b")]])
    # Then the oldest thread stays, and what came to it has the new revision
    with transaction(store) as connection:
        revision = accounts.get(connection, account.id).revision
        found = connection.execute(
            "SELECT subject, thread_id, revision FROM message ORDER BY subject"
        ).fetchall()
        merged = connection.execute("SELECT id, merged_into FROM thread ORDER BY id").fetchall()
    assert found == [("a", 1, revision - 1), ("b", 1, revision), ("c", 1, revision)]
    assert merged == [(1, None), (2, 1)]


def test_ids_of_threads_that_merged_twice_lead_to_the_last_one(store: Pool, box: Mailbox) -> None:
    # Given three threads, of which the second takes the third and then is taken by the first
    box = store_in_turn(store, box, [[letter("a"), letter("b"), letter("c")]])
    store_in_turn(store, box, [[letter("d", "b", "c")], [letter("e", "a", "b")]])
    # Then all lead to the first
    with transaction(store) as connection:
        merged = connection.execute("SELECT id, merged_into FROM thread ORDER BY id").fetchall()
    assert merged == [(1, None), (2, 1), (3, 1)]


def kept(store: Pool) -> tuple[str, list[str]]:
    """Subject and addresses of the participants of the one thread there is."""
    with transaction(store) as connection:
        row = connection.execute(
            "SELECT subject, participants FROM thread WHERE merged_into IS NULL"
        ).fetchone()
    assert row is not None
    return row[0], [person.address for person in threads.participants(row[1])]


def person(name: str) -> Address:
    return Address(name.title(), f"{name}@example.com")


def test_people_are_kept_once_in_the_order_in_which_they_appeared_and_not_without_end(
    store: Pool, box: Mailbox
) -> None:
    # Given an answer to many, found before what it answers
    crowd = tuple(person(f"p{n:02}") for n in range(50))
    answer = letter("b", "a", n=2, from_=(person("ANN"),), to=crowd)
    first = letter("a", n=1, from_=(person("bob"),), to=(person("ann"),))
    store_in_turn(store, box, [[answer], [first]])
    # Then those of the first one come first, whatever their letters, and there are twenty
    subject, people = kept(store)
    assert subject == "a"
    assert people == [
        "bob@example.com",
        "ann@example.com",
        *(one.address for one in crowd[: threads.PARTICIPANTS - 2]),
    ]


#: Messages that name each other at random, fewer names than messages.
LETTERS = st.lists(
    st.tuples(
        st.sampled_from(["", *"abcdefgh"]),
        st.lists(st.sampled_from("abcdefghxyz"), max_size=3),
        st.sampled_from([None, *"abcdefghxyz"]),
    ),
    min_size=2,
    max_size=8,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=LETTERS, data=st.data())
def test_the_order_of_storing_changes_nothing(
    store: Pool, drawn: list[tuple[str, list[str], str | None]], data: st.DataObject
) -> None:
    # Given messages, stored in one batch, and in any order in batches of any size
    letters = [
        letter(name, *references, reply=reply, n=n, subject=f"{n}", from_=(person(f"p{n}"),))
        for n, (name, references, reply) in enumerate(drawn)
    ]
    shuffled = data.draw(st.permutations(letters))
    cut = data.draw(st.integers(1, len(letters)))
    ends = []
    for batches in ([letters], [shuffled[:cut], *([one] for one in shuffled[cut:])]):
        account = rows.active(store, address=f"{len(ends)}@example.com")
        store_in_turn(store, rows.mailbox(store, account), batches)
        with transaction(store) as connection:
            summaries = connection.execute(
                """
                SELECT subject, started_at, participants FROM thread
                 WHERE account_id = %s AND merged_into IS NULL ORDER BY started_at
                """,
                [account.id],
            ).fetchall()
        ends.append((told(store, account), summaries))
    with transaction(store) as connection:
        connection.execute("DELETE FROM account")
    # Then the threads are the same, and those of a plain search through all that is linked
    assert ends[0] == ends[1]
    assert ends[0][0] == connected(drawn)


def connected(drawn: list[tuple[str, list[str], str | None]]) -> set[frozenset[str]]:
    """The threads, found by comparing each with each until nothing changes."""
    groups: list[tuple[set[str], set[str]]] = []
    for n, (name, references, reply) in enumerate(drawn):
        ids = {*(references or [reply or ""]), name} - {""}
        members = {f"{n}"}
        for group in [one for one in groups if one[0] & ids]:
            groups.remove(group)
            ids |= group[0]
            members |= group[1]
        groups.append((ids, members))
    return {frozenset(members) for _, members in groups}


def test_batches_of_one_account_at_the_same_time_make_one_thread(
    store: Pool, account: Account
) -> None:
    # Given eight mailboxes of an account, whose messages all name an ancestor that is not there
    boxes = [rows.mailbox(store, account, f"M{n}") for n in range(8)]
    names = "abcdefgh"

    def store_one(n: int) -> None:
        rows.store_batch(store, rows.batch(boxes[n], letter(names[n], "x", n=n + 1)))

    # When all are stored at once
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(store_one, range(8)))
    # Then they are one thread
    assert told(store, account) == sets(names)


def stored_before(store: Pool) -> None:
    """As if the release before had stored everything."""
    with transaction(store) as connection:
        connection.execute("UPDATE message SET thread_id = NULL, direction = 'inbound'")
        connection.execute("DELETE FROM thread_reference")
        connection.execute("DELETE FROM thread")


def test_what_was_stored_before_there_were_threads_is_given_them_bit_by_bit(
    store: Pool, account: Account, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given messages of before, more than one step takes, the answer before what it answers
    monkeypatch.setattr(threads, "CATCH_UP", 2)
    own = letter("d", n=4, from_=(Address("", "ANN@example.com"),))
    store_in_turn(store, box, [[letter("b", "a"), letter("c"), letter("a"), own]])
    stored_before(store)
    with transaction(store) as connection:
        assert threads.behind(connection) == threads.behind(connection, "ann") == [account.id]
        assert threads.behind(connection, "bob") == []
    # When one step after the other is made
    more = []
    for _ in range(3):
        with transaction(store) as connection:
            more.append(threads.catch_up(connection, account.id))
    # Then all have their threads and directions, and nobody is behind
    assert more == [True, True, False]
    assert told(store, account) == sets("ab", "c", "d")
    with transaction(store) as connection:
        assert threads.behind(connection) == []
        outbound = connection.execute("SELECT subject FROM message WHERE direction = 'outbound'")
        assert outbound.fetchall() == [("d",)]


def test_what_lies_in_drafts_was_written_by_the_owner_whichever_release_stored_it(
    store: Pool, account: Account
) -> None:
    # Given a draft of before, without a sender yet
    drafts = rows.mailbox(store, account, "Entwürfe", "\\Drafts")
    store_in_turn(store, drafts, [[letter("a", from_=())]])
    stored_before(store)
    # When it is given its thread
    with transaction(store) as connection:
        threads.catch_up(connection, account.id)
        message = messages.get_of_user(connection, "ann", MessageId(1))
    # Then it counts as the owner's
    assert message.direction == "outbound"


def test_a_new_message_joins_the_thread_of_one_that_is_given_its_own_later(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given a message of before, and its answer that is stored now
    box = store_in_turn(store, box, [[letter("a")]])
    stored_before(store)
    store_in_turn(store, box, [[letter("b", "a")]])
    # When the first one is given its thread
    with transaction(store) as connection:
        threads.catch_up(connection, account.id)
    # Then it is that of the answer
    assert told(store, account) == sets("ab")


def test_threads_go_with_their_account(store: Pool, account: Account, box: Mailbox) -> None:
    # Given an account with a thread
    store_in_turn(store, box, [[letter("b", "a")]])
    # When the account is removed
    with transaction(store) as connection:
        accounts.remove(connection, "ann", account.id)
        left = connection.execute(
            "SELECT (SELECT count(*) FROM thread), (SELECT count(*) FROM thread_reference)"
        ).fetchone()
    # Then nothing of it is left
    assert left == (0, 0)


def test_a_mailbox_that_begins_anew_leaves_the_threads_as_they_are(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given a thread in a mailbox whose UIDs mean nothing any more
    letters = [letter("a", n=1), letter("b", "a", n=2)]
    box = store_in_turn(store, box, [letters])
    with transaction(store) as connection:
        mailboxes.start(connection, box, replace(rows.START, uidvalidity=2))
    # When the same messages are found again
    store_in_turn(store, replace(box, cursor=replace(rows.START, uidvalidity=2)), [letters])
    # Then there is the same one thread, begun at the same time
    assert told(store, account) == sets("ab")
    with transaction(store) as connection:
        found = connection.execute("SELECT id, started_at FROM thread").fetchall()
    assert found == [(1, rows.NOON + timedelta(minutes=1))]


def test_a_thread_of_the_server_joins_what_names_nothing(store: Pool) -> None:
    # Given messages of one thread by the server's word, one by References, and one by neither
    account = rows.active(store)
    first = replace(letter("first"), server_thread="threadid:T1")
    second = replace(letter("second"), server_thread="threadid:T1")
    answer = letter("answer", "second")
    # When they are stored, and a sender claims to be of that thread
    store_in_turn(
        store,
        rows.mailbox(store, account),
        [[first, letter("other")], [second, answer], [letter("claim", message_id="<threadid:T1>")]],
    )
    # Then the first three are one thread, and the others are their own
    with transaction(store) as connection:
        found = connection.execute("SELECT subject, thread_id FROM message").fetchall()
    thread = dict(found)
    assert thread["first"] == thread["second"] == thread["answer"]
    assert len(set(thread.values())) == 3
