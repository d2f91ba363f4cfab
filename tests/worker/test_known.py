"""What the server itself knows of messages: its ids, its threads, and Gmail's labels."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from worker.conftest import Accounts
from worker.test_aside import retry_now
from worker.test_attachments import fetched
from worker.test_changes import kinds, run, set_scope, stored, tombstones

from postwire.model import Account
from postwire.store import accounts, mailboxes
from postwire.store.pool import transaction
from postwire_worker import fetch as reading
from postwire_worker import scope
from postwire_worker import sync as policy
from postwire_worker.imap import Session, connect
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.fake_gmail import ALL, SENT, SPAM, STARRED, TRASH, FakeGmail, fake_gmail
from support.mailbox import MailUser, letter

OPENED = {ALL, SPAM, TRASH}
#: What is asked for of messages that are not known.
READ = r"UID FETCH [\d:,]+ \(.*BODY"


@pytest.fixture
def gmail() -> Iterator[FakeGmail]:
    """A server like Gmail, with a label "Work" and no mail."""
    with fake_gmail() as server:
        server.add_label("Work")
        yield server


@pytest.fixture
def account(runtime: Runtime, add_account: Accounts, user: MailUser, gmail: FakeGmail) -> Account:
    """An account there, with all its mailboxes."""
    account = add_account.add(user, host=gmail.imap.host, port=gmail.imap.port)
    set_scope(runtime, account, "*")
    return account


def lies(runtime: Runtime, account: Account) -> dict[str, set[str]]:
    """In which mailboxes each message lies, by subject."""
    return {name: set(one.mailboxes) for name, one in stored(runtime, account).items()}


def counts(runtime: Runtime, account: Account) -> dict[str, tuple[int, int]]:
    """Messages and unread ones of the mailboxes that have any."""
    with transaction(runtime.pool) as connection:
        listed = mailboxes.list_of_account(connection, account.id)
    return {one.mailbox.name: (one.messages, one.unread) for one in listed if one.messages}


def read(gmail: FakeGmail) -> list[str]:
    """The commands since the last time by which something of messages was read."""
    asked = gmail.imap.heard(READ)
    gmail.imap.lines.clear()
    return asked


def test_labels_are_mailboxes_that_are_never_opened(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given mail in INBOX, under a label, sent, starred, archived, in Spam and in Trash
    gmail.add(letter("in"), "INBOX", "Work")
    gmail.add(letter("sent"), SENT, flags=("\\Seen",))
    gmail.archive(gmail.add(letter("archived")))
    gmail.star(gmail.add(letter("starred")))
    gmail.move(gmail.add(letter("spam")), ALL, SPAM)
    gmail.move(gmail.add(letter("trash")), ALL, TRASH)
    # When the account is synced for the first time
    committed = run(runtime, account)
    # Then each lies where Gmail shows it
    assert lies(runtime, account) == {
        "in": {ALL, "INBOX", "Work"},
        "sent": {ALL, SENT},
        "archived": {ALL},
        "starred": {ALL, "INBOX", STARRED},
        "spam": {SPAM},
        "trash": {TRASH},
    }
    assert counts(runtime, account)["INBOX"] == (2, 2)
    assert counts(runtime, account)[SENT] == (1, 0)
    assert stored(runtime, account)["sent"].direction == "outbound"
    # And nothing was told as new, and no label was opened
    assert set(kinds(committed)) == {"backfill"}
    assert gmail.opened() == OPENED
    # And there is nothing left to do
    gmail.imap.lines.clear()
    assert run(runtime, account) == []
    assert [line.split()[1] for line in gmail.imap.lines if "CAPABILITY" not in line] == [
        *("LOGIN", "LIST", "LOGOUT")
    ]


def test_new_mail_is_announced_once_and_costs_no_round_trip_more(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given an account that is up to date
    gmail.add(letter("old"))
    run(runtime, account)
    gmail.imap.lines.clear()
    # When mail arrives in INBOX and under a label
    gmail.add(letter("new"), "INBOX", "Work")
    committed = run(runtime, account)
    # Then it is told of once
    assert [(one.kind, one.stored.inbound) for one in committed] == [("new", 1)]
    assert lies(runtime, account)["new"] == {ALL, "INBOX", "Work"}
    assert counts(runtime, account)["INBOX"] == (2, 2)
    # And one command read its structure, another its text
    assert len(gmail.imap.heard("UID FETCH .*BODY")) == 2
    assert len(gmail.fetched("RFC822.SIZE")) == 1
    assert gmail.opened() == {ALL}


def test_what_is_relabelled_archived_starred_and_read_is_moved_without_being_read_again(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given four messages in INBOX
    mail = {name: gmail.add(letter(name)) for name in ("one", "two", "three", "four")}
    run(runtime, account)
    before = stored(runtime, account)
    read(gmail)
    # When something is done to each
    gmail.relabel(mail["one"], "INBOX", "Work")
    gmail.archive(mail["two"])
    gmail.star(mail["three"])
    gmail.flag(mail["four"], "\\Seen")
    committed = run(runtime, account)
    # Then all of it is taken over, with a revision for whoever asks for changes
    assert kinds(committed) == ["flags"]
    assert lies(runtime, account) == {
        "one": {ALL, "INBOX", "Work"},
        "two": {ALL},
        "three": {ALL, "INBOX", STARRED},
        "four": {ALL, "INBOX"},
    }
    after = stored(runtime, account)
    assert all(after[name].revision > before[name].revision for name in mail)
    assert counts(runtime, account) == {
        ALL: (4, 3),
        "INBOX": (3, 2),
        "Work": (1, 1),
        STARRED: (1, 1),
    }
    assert read(gmail) == []
    assert gmail.opened() == set()


def test_what_goes_to_trash_loses_its_labels_and_stays_the_same_message(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given a message in INBOX and under a label
    mail = gmail.add(letter("one"), "INBOX", "Work")
    gmail.add(letter("two"))
    run(runtime, account)
    before = stored(runtime, account)["one"]
    read(gmail)
    # When it is thrown away
    gmail.move(mail, ALL, TRASH)
    committed = run(runtime, account)
    # Then it lies in Trash alone, and was not read again
    assert stored(runtime, account)["one"].id == before.id
    assert lies(runtime, account)["one"] == {TRASH}
    assert tombstones(runtime, account) == set()
    assert sum(one.stored.new for one in committed) == 0
    assert read(gmail) == []
    # And when it is taken back, no more is
    gmail.move(mail, TRASH, ALL)
    gmail.relabel(mail, "INBOX")
    run(runtime, account)
    assert stored(runtime, account)["one"].id == before.id
    assert lies(runtime, account)["one"] == {ALL, "INBOX"}
    assert read(gmail) == []


def test_what_is_deleted_for_good_is_a_tombstone(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given a message under a label
    mail = gmail.add(letter("one"), "INBOX", "Work")
    run(runtime, account)
    # When it is gone from everywhere
    gmail.move(mail, ALL, TRASH)
    gmail.boxes[TRASH].take(mail)
    run(runtime, account)
    # Then it lies nowhere
    assert tombstones(runtime, account) == {"one"}
    assert counts(runtime, account) == {}


def test_the_servers_threads_are_conversations(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given two messages of one thread that name no other, one elsewhere, and a sender who claims it
    first = gmail.add(letter("first"), thread=77)
    gmail.move(gmail.add(letter("second"), thread=77), ALL, TRASH)
    gmail.add(letter("other"))
    gmail.add(letter("claim", message_id=f"<x-gm-thrid:{first.thread}>"))
    # When they are synced
    run(runtime, account)
    # Then the server's word counts, and the sender's does not
    thread = {name: one.thread_id for name, one in stored(runtime, account).items()}
    assert thread["first"] == thread["second"]
    assert len(set(thread.values())) == 3


HOSTILE = {
    "NIL": b"NIL",
    "a number": b"(42 0 -1)",
    "an atom": b"Work",
    "nested": b'((Work) ("INBOX") NIL)',
    "too long": b'("' + b"x" * 100_000 + b'")',
    "modified UTF-7 of nothing": b'("&" "&!!!-" "&AAA-" "&2AA-")',
    "of another's name": b'("[Gmail]/All Mail" "[Gmail]/Trash" "\\\\Trash" "\\\\All")',
    "a literal": b"({6}\r\nwhat ( )",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
def test_labels_that_make_no_sense_label_nothing(
    runtime: Runtime, account: Account, gmail: FakeGmail, said: bytes
) -> None:
    # Given labels of nonsense when a message is first read
    gmail.add(letter("odd")).said["X-GM-LABELS"] = said
    good = gmail.add(letter("good"))
    run(runtime, account)
    assert lies(runtime, account) == {"odd": {ALL}, "good": {ALL, "INBOX"}}
    # And when labels are compared
    good.said["X-GM-LABELS"] = said
    gmail.flag(good, "\\Seen")
    run(runtime, account)
    # Then the flags are taken over all the same
    assert not stored(runtime, account)["good"].unread
    assert lies(runtime, account)["good"] - {"INBOX"} == {ALL}


def test_a_label_is_found_by_the_name_that_list_has(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given labels of names that are no atoms
    for name in ("Entw&APw-rfe & mehr".replace(" & ", " &- "), "2026", "a/b {c}"):
        gmail.add_label(name)
        gmail.add(letter(name), name)
    gmail.boxes["2026"].label = b"2026"
    gmail.boxes["a/b {c}"].label = b"{7}\r\na/b {c}"
    # When they are synced
    run(runtime, account)
    # Then each message lies under its own
    assert [lies(runtime, account)[subject] - {ALL} for subject in lies(runtime, account)] == [
        {"Entwürfe & mehr"},
        {"2026"},
        {"a/b {c}"},
    ]


def test_a_label_that_comes_later_or_is_renamed_holds_what_it_held(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given a label that the setting does not name
    set_scope(runtime, account, "\\All", "INBOX")
    mail = gmail.add(letter("one"), "INBOX", "Work")
    gmail.add(letter("two"))
    run(runtime, account)
    assert lies(runtime, account)["one"] == {ALL, "INBOX"}
    read(gmail)
    # When the setting names it
    set_scope(runtime, account, "\\All", "INBOX", "Work")
    run(runtime, account)
    # Then the message lies there, and was not read again
    assert lies(runtime, account) == {"one": {ALL, "INBOX", "Work"}, "two": {ALL, "INBOX"}}
    # And when it is called otherwise, though the message did not change by that
    gmail.boxes["Play"] = gmail.boxes.pop("Work")
    gmail.boxes["Play"].label = b"Play"
    mail.labels = {"INBOX", "Play"}
    set_scope(runtime, account, "*")
    run(runtime, account)
    assert lies(runtime, account)["one"] == {ALL, "INBOX", "Play"}
    assert read(gmail) == []
    assert gmail.opened() <= OPENED


def test_between_labels_and_mailboxes_of_their_own_the_state_is_right_both_ways(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given mailboxes that are opened, for All Mail is not in the setting
    set_scope(runtime, account, "INBOX", "\\Sent", "Work")
    both = gmail.add(letter("both"), "INBOX", "Work")
    gmail.add(letter("sent"), SENT)
    gmail.archive(gmail.add(letter("archived")))
    run(runtime, account)
    assert gmail.opened() == {"INBOX", SENT, "Work"}
    assert lies(runtime, account) == {"both": {"INBOX", "Work"}, "sent": {SENT}}
    ids = {name: one.id for name, one in stored(runtime, account).items()}
    gmail.imap.lines.clear()
    # When it is
    set_scope(runtime, account, "*")
    committed = run(runtime, account)
    # Then they are labels, and everybody is told to load again
    labelled = {"both": {ALL, "INBOX", "Work"}, "sent": {ALL, SENT}, "archived": {ALL}}
    assert lies(runtime, account) == labelled
    assert "reset" in kinds(committed)
    assert gmail.opened() == OPENED
    assert run(runtime, account) == []
    # And when it is not any more, they are opened again
    set_scope(runtime, account, "INBOX", "\\Sent", "Work")
    gmail.flag(both, "\\Seen")
    gmail.imap.lines.clear()
    run(runtime, account)
    assert lies(runtime, account) == {"both": {"INBOX", "Work"}, "sent": {SENT}}
    assert tombstones(runtime, account) == {"archived"}
    assert {name: one.id for name, one in stored(runtime, account).items()} == ids
    assert read(gmail) == []
    assert counts(runtime, account) == {"INBOX": (1, 0), "Work": (1, 0), SENT: (1, 1)}
    assert run(runtime, account) == []


def test_all_mail_that_is_numbered_anew_keeps_ids_and_labels(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given messages with labels
    gmail.add(letter("one"), "INBOX", "Work")
    gmail.add(letter("two"))
    run(runtime, account)
    before = lies(runtime, account)
    read(gmail)
    # When All Mail has other UIDs, and one message is gone meanwhile
    gmail.boxes[ALL].mail.popitem()
    gmail.renumber(ALL)
    run(runtime, account)
    # Then the other is what it was
    assert lies(runtime, account) == {"one": before["one"]}
    assert tombstones(runtime, account) == {"two"}
    assert read(gmail) == []


@pytest.fixture(params=["gmail", "objectid"])
def plain(request: pytest.FixtureRequest) -> Iterator[FakeGmail]:
    """A server of either kind of ids, whose mailboxes are opened one by one."""
    with fake_gmail(request.param) as server:
        server.add_label("Work")
        yield server


@pytest.fixture
def two(runtime: Runtime, add_account: Accounts, user: MailUser, plain: FakeGmail) -> Account:
    """An account there with INBOX and Work."""
    account = add_account.add(user, host=plain.imap.host, port=plain.imap.port)
    set_scope(runtime, account, "INBOX", "Work")
    return account


def test_a_message_of_two_mailboxes_is_read_once(
    runtime: Runtime, two: Account, plain: FakeGmail
) -> None:
    # Given messages that lie in two mailboxes, or in one
    plain.add(letter("both"), "INBOX", "Work")
    plain.add(letter("work"), "Work")
    # When they are synced
    run(runtime, two)
    # Then the one they share was asked for once
    assert lies(runtime, two) == {"both": {"INBOX", "Work"}, "work": {"Work"}}
    asked = [line.split()[2] for line in plain.fetched("HEADER")]
    assert asked == ["1", "2"]


def test_a_message_that_moved_or_was_numbered_anew_is_not_read_again(
    runtime: Runtime, two: Account, plain: FakeGmail
) -> None:
    # Given a message
    mail = plain.add(letter("one"))
    run(runtime, two)
    id_ = stored(runtime, two)["one"].id
    read(plain)
    # When it is moved, then moved back, then given another UID
    plain.relabel(mail, "Work")
    run(runtime, two)
    assert lies(runtime, two) == {"one": {"Work"}}
    plain.relabel(mail, "INBOX")
    run(runtime, two)
    plain.renumber("INBOX")
    run(runtime, two)
    # Then it is the same one, and nothing of it was read
    assert stored(runtime, two)["one"].id == id_
    assert lies(runtime, two) == {"one": {"INBOX"}}
    assert read(plain) == []


def test_new_mail_in_inbox_is_not_looked_at_first(
    runtime: Runtime, two: Account, plain: FakeGmail
) -> None:
    # Given an account that is up to date
    plain.add(letter("old"), "INBOX", "Work")
    run(runtime, two)
    plain.imap.lines.clear()
    # When one message arrives
    plain.add(letter("new"))
    run(runtime, two)
    # Then its structure and its text are all that is asked for
    assert len(plain.imap.heard("UID FETCH .*(RFC822.SIZE|BODY)")) == 2


ITEMS = {"gmail": ("X-GM-MSGID", "X-GM-THRID"), "objectid": ("EMAILID", "THREADID")}
NONSENSE = [b"NIL", b"0", b"(NIL)", b'"x y"', b"((a))", b"(" + b"A" * 256 + b")", b"({1}\r\n\xff)"]


@pytest.mark.parametrize("said", NONSENSE)
def test_ids_of_nonsense_are_none(
    runtime: Runtime, two: Account, plain: FakeGmail, said: bytes
) -> None:
    # Given messages with ids that are none
    for name in ("one", "two"):
        mail = plain.add(letter(name), "INBOX", "Work")
        mail.said = dict.fromkeys(ITEMS[plain.dialect], said)
    # When they are synced
    run(runtime, two)
    # Then they are two messages of two conversations, by their digests
    found = stored(runtime, two)
    assert lies(runtime, two) == {"one": {"INBOX", "Work"}, "two": {"INBOX", "Work"}}
    assert found["one"].thread_id != found["two"].thread_id


def test_an_id_that_was_given_twice_is_not_believed(
    runtime: Runtime, two: Account, plain: FakeGmail
) -> None:
    # Given a server that gives one id to messages of other sizes, and to several
    item = ITEMS[plain.dialect][0]
    for n in range(3):
        plain.add(letter(f"in {n}"), "INBOX").said[item] = b"(7)"
    plain.add(letter("short"), "INBOX").said[item] = b"(8)"
    plain.add(letter("a long one", "x" * 99), "Work").said[item] = b"(8)"
    plain.add(letter("in 3"), "Work").said[item] = b"(7)"
    # When they are synced
    run(runtime, two)
    # Then no two of them are one
    assert len(stored(runtime, two)) == 6
    assert lies(runtime, two)["a long one"] == {"Work"}
    assert lies(runtime, two)["in 3"] == {"Work"}


@pytest.mark.parametrize("plain", ["objectid"], indirect=True)
def test_ids_that_are_announced_and_refused_are_done_without(
    runtime: Runtime, two: Account, plain: FakeGmail
) -> None:
    # Given a server that announces ids, and understands no command that asks for them
    plain.refuses_ids = True
    plain.add(letter("one"), "INBOX", "Work")
    # When it is synced
    run(runtime, two)
    # Then its mail is there, and one command was in vain
    assert lies(runtime, two) == {"one": {"INBOX", "Work"}}
    assert len(plain.fetched(ITEMS[plain.dialect][0])) == 1


def test_an_attachment_is_fetched_where_the_message_can_be_opened(
    runtime: Runtime, account: Account, gmail: FakeGmail
) -> None:
    # Given a message with an attachment, in INBOX and under a label
    gmail.add(letter("report", attachment=b"bytes" * 99), "INBOX", "Work")
    run(runtime, account)
    gmail.imap.lines.clear()
    # When the attachment is asked for
    content = fetched(runtime, stored(runtime, account)["report"])
    # Then it came by way of All Mail
    assert content == b"bytes" * 99
    assert gmail.opened() == {ALL}


def test_what_was_set_aside_is_tried_again_in_all_mail_and_gets_its_labels(
    runtime: Runtime, account: Account, gmail: FakeGmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a message under a label that could not be read
    gmail.add(letter("one"), "INBOX", "Work")
    with monkeypatch.context() as broken:
        broken.setattr(reading.mime, "headers", lambda _: 1 // 0)
        run(runtime, account)
    assert stored(runtime, account) == {}
    # When it is tried again
    retry_now(runtime, account)
    run(runtime, account)
    # Then it lies where it should, and no label was opened
    assert lies(runtime, account) == {"one": {ALL, "INBOX", "Work"}}
    assert gmail.opened() == OPENED


def test_a_run_that_is_broken_off_while_mailboxes_become_labels_is_carried_on(
    runtime: Runtime, account: Account, gmail: FakeGmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given mailboxes that are opened, and batches of one
    monkeypatch.setattr(policy, "BATCH", 1)
    set_scope(runtime, account, "INBOX", "Work")
    for n in range(3):
        gmail.add(letter(f"no. {n}"), "INBOX", "Work")
    run(runtime, account)
    before = {name: one.id for name, one in stored(runtime, account).items()}
    read(gmail)
    # When they become labels, and each run ends after its first commit
    set_scope(runtime, account, "*")
    steps = 0
    while one_step(runtime, account):
        steps += 1
        # Then no message is ever told to be gone
        assert tombstones(runtime, account) == set()
    # And in the end all is there, and nothing was read again
    assert steps == 4
    assert {name: one.id for name, one in stored(runtime, account).items()} == before
    assert set(map(frozenset, lies(runtime, account).values())) == {
        frozenset({ALL, "INBOX", "Work"})
    }
    assert read(gmail) == []


def one_step(runtime: Runtime, account: Account) -> bool:
    """Sync until the first commit; whether there was any."""
    with transaction(runtime.pool) as connection:
        account = accounts.get(connection, account.id)
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        return any(True for _ in sync(session, runtime.pool, account))


def test_what_an_older_release_had_opened_becomes_labels(
    runtime: Runtime, account: Account, gmail: FakeGmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given all mailboxes, each opened by a release that knew neither labels nor ids
    gmail.add(letter("one"), "INBOX", "Work")
    gmail.move(gmail.add(letter("trash")), ALL, TRASH)
    with monkeypatch.context() as older:
        older.setattr(scope, "as_labels", list)
        older.setattr(Session, "ids", [])
        run(runtime, account)
    before = stored(runtime, account)
    read(gmail)
    # When this release syncs them
    run(runtime, account)
    # Then nothing but their state has changed
    assert lies(runtime, account) == {"one": {ALL, "INBOX", "Work"}, "trash": {TRASH}}
    assert {name: one.id for name, one in stored(runtime, account).items()} == {
        name: one.id for name, one in before.items()
    }
    assert read(gmail) == []
    assert run(runtime, account) == []
    assert gmail.opened() == set()


SHOWN = ["INBOX", "Work", SENT, STARRED]


def do_something(gmail: FakeGmail, chance: random.Random, name: str) -> None:
    """Something that a user of Gmail might do, or that happens to one."""
    mail = chance.choice(list(gmail.boxes[ALL].mail.values()))
    trash = list(gmail.boxes[TRASH].mail.values())
    some = chance.sample(SHOWN, chance.randrange(4))
    match chance.randrange(6):
        case 0:
            gmail.add(letter(name), *some)
        case 1:
            gmail.relabel(mail, *some)
        case 2:
            gmail.flag(mail, *chance.sample(["\\Seen", "\\Answered"], chance.randrange(3)))
        case 3 if len(gmail.boxes[ALL].mail) > 1:
            gmail.move(mail, ALL, chance.choice([TRASH, SPAM]))
        case 4 if trash:
            gmail.move(chance.choice(trash), TRASH, ALL)
        case 5 if trash:
            gmail.boxes[TRASH].take(chance.choice(trash))
        case _:
            gmail.archive(mail)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_the_database_says_what_gmail_shows(
    runtime: Runtime, account: Account, gmail: FakeGmail, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same each time
    # Given some mail
    for n in range(5):
        gmail.add(letter(f"first {n}"), *chance.sample(SHOWN, 2))
    for round_ in range(8):
        # When all kinds of things happen, and the account is synced
        for n in range(chance.randrange(5)):
            do_something(gmail, chance, f"round {round_}, {n}")
        run(runtime, account)
        # Then the counts of each mailbox are Gmail's
        assert counts(runtime, account) == {
            name: (len(box.mail), sum("\\Seen" not in one.flags for one in box.mail.values()))
            for name, box in gmail.boxes.items()
            if box.mail
        }
    assert gmail.opened() <= OPENED
