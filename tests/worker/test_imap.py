"""What is said on a session: against Dovecot, and against servers that misbehave."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from worker.conftest import unsaved

from postwire.errors import (
    AuthenticationFailed,
    CapabilityMissing,
    ConnectionLost,
    MailboxNotFound,
    PostwireError,
    ServerBusy,
    TransientError,
)
from postwire_worker import client, imap
from postwire_worker.answers import LAST_UID, State
from postwire_worker.fetch import fetch
from postwire_worker.imap import Session, Unservable, connect, today
from support.dovecot import Dovecot
from support.fake_imap import Answer, FakeImap, Wire, fake_imap, mailbox
from support.local import local_dialer
from support.mailbox import MailUser, letter

PLAIN = local_dialer()


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 10)
    monkeypatch.setattr(client, "LOGOUT_TIMEOUT", 0.2)


@pytest.fixture
def session(dovecot: Dovecot, user: MailUser) -> Iterator[Session]:
    """A session of the user on Dovecot."""
    account = unsaved(dovecot.host, dovecot.port, username=user.name)
    with connect(account, dovecot.password, PLAIN, "sync") as session:
        yield session


@contextmanager
def scripted(answers: Mapping[str, Answer]) -> Iterator[tuple[Session, FakeImap]]:
    """A session on a server that answers as told; INBOX is selected if nothing is told of that."""
    with fake_imap(answers) as server:
        with connect(unsaved(server.host, server.port), "secret", PLAIN, "sync") as session:
            if "EXAMINE" not in answers:
                session.select("INBOX")
            yield session, server


def described(uid: int, *, seq: int = 1, extra: str = "") -> bytes:
    """A FETCH answer as a good server gives it."""
    return (
        f"* {seq} FETCH (UID {uid} FLAGS () RFC822.SIZE 9 "
        f'INTERNALDATE "17-Jul-2024 02:44:25 -0700" {extra}BODY[HEADER]<0> '
        "{12}\r\nSubject: a\r\n)\r\n"
    ).encode()


def test_logins_count_as_their_providers_whether_they_succeed_or_not(
    dovecot: Dovecot, user: MailUser
) -> None:
    def counted(name: str, **labels: str) -> float:
        found = REGISTRY.get_sample_value(f"postwire_imap_{name}_total", labels)
        return found or 0

    account = unsaved(dovecot.host, dovecot.port, username=user.name)
    refusal = {"provider": "other", "kind": "AuthenticationFailed"}
    before = counted("logins", provider="other"), counted("errors", **refusal)
    with connect(account, dovecot.password, PLAIN, "sync"):
        pass
    with pytest.raises(AuthenticationFailed), connect(account, "wrong", PLAIN, "sync"):
        pass
    after = counted("logins", provider="other"), counted("errors", **refusal)
    assert after == (before[0] + 1, before[1] + 1)


def test_mailboxes_come_with_their_use_and_delimiter(session: Session) -> None:
    listed = {one.name: one for one in session.list_mailboxes()}
    assert listed["INBOX"].delimiter == "/"
    assert "\\sent" in listed["Sent"].attributes


def test_mailboxes_that_cannot_be_selected_are_left_out(session: Session, user: MailUser) -> None:
    # Given a mailbox that is only there for what lies below it
    with user.session() as mail:
        mail.create_folder("Kunden/Österreich")

    # When the mailboxes are listed
    names = {one.name for one in session.list_mailboxes()}

    # Then it is not among them, and names are decoded (RFC 3501 §5.1.3)
    assert "Kunden/Österreich" in names
    assert "Kunden" not in names


def test_names_that_cannot_be_kept_are_left_out() -> None:
    # Given mailboxes whose names decode to NUL and to half of a surrogate pair
    answer = (
        b'* LIST (\\Sent) "/" "S&AAA-ent"\r\n* LIST () "/" "&2AA-"\r\n'
        b'* LIST () NIL 2024\r\n* LIST () "/" INBOX\r\nTAG OK done\r\n'
    )
    with scripted({"LIST": answer}) as (session, _):
        # When the mailboxes are listed
        # Then the others are there
        assert [(one.name, one.delimiter) for one in session.list_mailboxes()] == [
            ("2024", None),
            ("INBOX", "/"),
        ]


@pytest.mark.parametrize(
    "answer",
    [
        b'* LIST "/" INBOX\r\nTAG OK done\r\n',
        b'* LIST (\\Sent "/" INBOX\r\nTAG OK done\r\n',
        b"* LIST 5 5 5\r\nTAG OK done\r\n",
        b"* LIST " + b"(" * 5000 + b"\r\nTAG OK done\r\n",
        b"\0\xff\xfe\r\nTAG OK done\r\n",
        b"TAG NO go away\r\n",
    ],
)
def test_a_listing_that_makes_no_sense_is_an_error_of_ours(answer: bytes) -> None:
    with scripted({"LIST": answer}) as (session, _):
        with pytest.raises(TransientError):
            session.list_mailboxes()


def test_looking_changes_nothing(session: Session, user: MailUser) -> None:
    # Given mail that nobody has seen
    user.append(letter("unseen"))

    # When it is read by us
    session.select("INBOX")
    (structure,) = session.uid_fetch_structures([1])
    assert session.uid_fetch_sections([1], ["1"], 100)[1]["1"].startswith(b"How are you?")

    # Then it still is unseen, and recent for the one it is for (RFC 3501 §2.3.2)
    assert b"Subject: unseen" in structure.header
    with user.session() as mail:
        mail.select_folder("INBOX")
        assert set(mail.get_flags([1])[1]) == {b"\\Recent"}


def test_select_says_where_the_mailbox_stands(session: Session, user: MailUser) -> None:
    user.append(letter(), letter())
    # STATUS with HIGHESTMODSEQ makes the server tell it from then on (RFC 7162 §3.1).
    told = session.status("INBOX")
    state = session.select("INBOX")
    assert state.uidnext == 3
    assert state.uidvalidity > 0
    assert state.messages == 2
    assert state.highestmodseq
    assert told == state


def test_a_mailbox_that_is_not_there_is_not_found(session: Session) -> None:
    with pytest.raises(MailboxNotFound):
        session.select("Nowhere")


def test_a_uidnext_that_select_keeps_back_is_asked_for() -> None:
    # Given a server of before RFC 3501
    with scripted(
        {
            **mailbox(uidvalidity=7, uidnext=5),
            "EXAMINE": b"* 4 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nTAG OK done\r\n",
        }
    ) as (session, _):
        # When a mailbox is selected
        # Then UIDNEXT is known all the same
        assert session.select("INBOX") == State(7, 5)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "* OK [UIDVALIDITY 0] x\r\n* OK [UIDNEXT 5] x\r\n",
        "* OK [UIDVALIDITY 99999999999] x\r\n* OK [UIDNEXT 5] x\r\n",
    ],
)
def test_a_mailbox_without_lasting_numbers_is_not_for_us(said: str) -> None:
    answers = {
        "EXAMINE": f"* 4 EXISTS\r\n{said}TAG OK done\r\n".encode(),
        "STATUS": b"* STATUS INBOX (MESSAGES 4)\r\nTAG OK done\r\n",
    }
    with scripted(answers) as (session, _):
        with pytest.raises(CapabilityMissing):
            session.select("INBOX")


def test_leaving_a_mailbox_expunges_nothing(session: Session, user: MailUser) -> None:
    # Given a message that is marked as deleted
    user.append(letter(), flags=(r"\Deleted",))
    session.select("INBOX")
    # When the mailbox is left
    session.close_mailbox()
    # Then the message is there when it is opened the next time
    assert session.select("INBOX").messages == 1
    assert session.uid_search(1, LAST_UID) == [1]


def test_flags_come_with_the_modseqs_where_these_are_asked_for(
    session: Session, user: MailUser
) -> None:
    user.append(letter(), flags=(r"\Seen",))
    session.select("INBOX")
    ((plain,), (asked,)) = (
        [one for some in session.uid_fetch_flags(1, 1, modseq=modseq) for one in some]
        for modseq in (False, True)
    )
    assert (plain.flags, plain.modseq) == ((r"\Seen",), None)
    assert asked.flags == (r"\Seen",)
    assert asked.modseq


def test_a_search_finds_what_lies_in_the_range_and_nothing_else(
    session: Session, user: MailUser
) -> None:
    # Given five messages, of which one was expunged
    user.append(*[letter() for _ in range(5)])
    with user.session() as mail:
        mail.select_folder("INBOX")
        mail.delete_messages([3])
        mail.expunge()
    session.select("INBOX")

    # When ranges are searched
    # Then a range beyond the newest UID does not give the newest (RFC 3501 §6.4.8)
    assert session.uid_search(1, LAST_UID) == [1, 2, 4, 5]
    assert session.uid_search(2, 4) == [2, 4]
    assert session.uid_search(6, LAST_UID) == []
    assert session.uid_search(5, 4) == []


def test_a_search_leaves_older_mail_out(session: Session, user: MailUser) -> None:
    user.append(letter(), received=datetime.now(UTC) - timedelta(days=9))
    user.append(letter(), received=datetime.now(UTC) - timedelta(days=2))
    session.select("INBOX")
    assert session.uid_search(1, LAST_UID, today() - timedelta(days=5)) == [2]


@pytest.mark.parametrize("found", [b"* SEARCH (\r\n", b"* SEARCH \xff\r\n", b"* SEARCH -1\r\n"])
def test_a_search_that_makes_no_sense_is_an_error_of_ours(found: bytes) -> None:
    with scripted({"UID SEARCH": found + b"TAG OK done\r\n"}) as (session, _):
        with pytest.raises(TransientError):
            session.uid_search(1, 10)


def test_what_one_search_may_find_fits_into_a_line() -> None:
    # Given a mailbox of which each UID of the largest range is taken, with long UIDs
    first = LAST_UID - imap.SEARCH_LIMIT + 1
    uids = " ".join(map(str, range(first, LAST_UID + 1)))
    with scripted({"UID SEARCH": f"* SEARCH {uids}\r\nTAG OK done\r\n".encode()}) as (session, _):
        # When it is searched
        # Then all are found
        assert len(session.uid_search(first, LAST_UID)) == imap.SEARCH_LIMIT


def test_a_part_is_fetched_up_to_the_limit(session: Session, user: MailUser) -> None:
    # Given a message with a text of 40 bytes
    user.append(letter(text="0123456789" * 4))
    session.select("INBOX")

    # When its first 15 bytes, its header and the whole are asked for
    # Then the keys are those of the question, whatever the server adds to them
    assert session.uid_fetch_sections([1], ["1"], 15) == {1: {"1": b"012345678901234"}}
    assert session.uid_fetch_sections([1], [""], 6) == {1: {"": b"From: "}}


def test_a_message_that_is_gone_is_not_in_the_answer(session: Session, user: MailUser) -> None:
    user.append(letter())
    session.select("INBOX")
    assert [one.uid for one in session.uid_fetch_structures([1, 2, 3])] == [1]
    assert set(session.uid_fetch_sections([1, 2], ["1"], 9)) == {1}


def test_answers_out_of_order_and_for_others_are_told_apart() -> None:
    # Given a server that tells of other messages meanwhile, with and without their UIDs
    answer = (
        b"* 2 FETCH (FLAGS (\\Seen \\Deleted))\r\n"
        + described(7, seq=9)
        + b"* 7 FETCH (FLAGS (\\Flagged))\r\n* 9 EXISTS\r\n* 30 FETCH (UID 99 FLAGS ())\r\n"
        + described(2, seq=4)
        + b"* 9 FETCH (UID 7 FLAGS (\\Answered))\r\nTAG OK done\r\n"
    )
    with scripted({"UID FETCH": answer}) as (session, _):
        # When UIDs 2 and 7 are asked for
        fetched = {one.uid: one for one in session.uid_fetch_structures([2, 7])}

    # Then a sequence number is not taken for a UID, and the newest flags count
    assert set(fetched) == {2, 7}
    assert fetched[2].flags == ()
    assert fetched[7].flags == ("\\Answered",)


def test_what_a_failed_command_left_over_belongs_to_nobody() -> None:
    # Given a FETCH that fails after half an answer
    answers = iter(
        [
            b"* 1 FETCH (UID 1 BODY[1]<0> {3}\r\nold)\r\nTAG NO sorry\r\n",
            b"TAG OK done\r\n",
        ]
    )

    def fetch(wire: Wire, tag: str) -> None:
        wire.send(next(answers).replace(b"TAG", tag.encode()))

    with scripted({"UID FETCH": fetch}) as (session, _):
        # When it is asked again
        with pytest.raises(Unservable):
            session.uid_fetch_sections([1], ["1"], 9)

        # Then the half answer is not taken for the new one
        assert session.uid_fetch_sections([1], ["1"], 9) == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 FETCH (UID 1 FLAGS\r\n",
        b"* 1 FETCH (UID 1 RFC822.SIZE)\r\n",
        b"* 1 FETCH (UID 1 BODY[HEADER\r\n",
        b"* 1 FETCH NIL\r\n",
        b'* 1 FETCH (UID 1 "unclosed)\r\n',
        b"* 1 FETCH " + b"(" * 3000 + b")" * 3000 + b"\r\n",
        b"* 1 FETCH (UID 1 BODY[HEADER] {5}\r\nabc\0\xff X {2}\r\nabX {99)\r\n",
        b"* 1 FETCH (UID 1 BODYSTRUCTURE (" + b'"x" ' * 400_000 + b"))\r\n",
    ],
    ids=range(8),
)
def test_an_answer_that_makes_no_sense_is_unservable_and_the_session_goes_on(
    answer: bytes,
) -> None:
    # Given a server that answers FETCH with nonsense
    with scripted({"UID FETCH": answer + b"TAG OK done\r\n"}) as (session, _):
        # When a message is asked for
        with pytest.raises(Unservable) as raised:
            session.uid_fetch_structures([1])

        # Then it is the message's fault, and the next command is understood
        assert raised.value.busy is None
        assert session.select("INBOX") == State(1, 1, messages=0)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n",
        b"\0\0\0\0\r\n",
        b"* 1 FETCH (UID 1 BODY[HEADER] {999999999999}\r\n",
        b"* 1 FETCH (UID 1 BODY[HEADER] {" + b"9" * 5000 + b"}\r\n",
        b"* 1 FETCH (UID 1 BODY[HEADER] {50}\r\ntoo short",
        b"* BYE enough\r\n",
        b"",
    ],
    ids=range(7),
)
def test_an_answer_that_cannot_be_read_to_its_end_loses_the_connection(answer: bytes) -> None:
    def fetch(wire: Wire, _tag: str) -> None:
        wire.send(answer)
        wire.cut()

    with scripted({"UID FETCH": fetch}) as (session, _):
        with pytest.raises(ConnectionLost):
            session.uid_fetch_structures([1])


def test_a_server_that_falls_silent_in_the_middle_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a server that stops in the middle of a literal, and does not close
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.3)

    def fetch(wire: Wire, _tag: str) -> None:
        wire.send(b"* 1 FETCH (UID 1 BODY[HEADER] {50}\r\nSubj")
        wire.hang()

    with pytest.raises(ConnectionLost, match="does not answer in time"):
        with scripted({"UID FETCH": fetch}) as (session, _):
            # When a message is asked for
            # Then that ends, and leaving does not wait for the server either
            session.uid_fetch_structures([1])


@pytest.mark.parametrize(
    ("refusal", "busy"),
    [
        (b"TAG NO [SERVERBUG] Internal error occurred.\r\n", False),
        (b"TAG NO [X]\r\n", False),
        (b"TAG BAD Could not parse command\r\n", False),
        (b"TAG NO [UNAVAILABLE] Not now\r\n", True),
    ],
)
def test_a_refusal_tells_the_message_from_the_server(refusal: bytes, busy: bool) -> None:  # noqa: FBT001
    with scripted({"UID FETCH": refusal}) as (session, _):
        with pytest.raises(Unservable) as raised:
            session.uid_fetch_structures([1])
        assert isinstance(raised.value.busy, ServerBusy) == busy


def test_a_throttled_account_is_not_asked_message_by_message() -> None:
    # Given a server that slows us down, and says so of whatever it is asked for
    refusal = b"TAG NO Suggested Backoff Time: 1000 milliseconds\r\n"
    with scripted({"UID FETCH": refusal}) as (session, server):
        # When a batch is fetched
        with pytest.raises(ServerBusy):
            fetch(session, range(1, 50), lambda _: set())
        # Then it was asked once
        assert len(server.heard("UID FETCH")) == 1


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        ("LIST", Session.list_mailboxes),
        ("UID FETCH", lambda session: list(session.uid_fetch_flags(1, 9))),
        ("UID SEARCH", lambda session: session.uid_search(1, 9)),
    ],
)
def test_an_answer_that_succeeded_may_say_that_we_are_slowed_down(
    command: str, ask: Callable[[Session], object]
) -> None:
    # Given Gmail's quiet form, which is the end of an answer like any other
    with scripted({command: b"TAG OK Success [THROTTLED]\r\n"}) as (session, _):
        assert session.throttled is None
        # When it is got
        ask(session)
        # Then it is known how long to leave the account alone
        assert session.throttled
        assert session.throttled.retry_after == 300


@pytest.mark.parametrize(
    ("said", "kind"),
    [(b"* BYE Too many connections\r\n", ServerBusy), (b"* BYE good night\r\n", ConnectionLost)],
)
@pytest.mark.parametrize("cut", [True, False])
def test_a_good_bye_in_the_middle_of_an_answer_says_why(
    said: bytes, kind: type[Exception], *, cut: bool
) -> None:
    # Given a server that says good-bye between two flags, and hangs up or forgets to
    def fetch_flags(wire: Wire, _: str) -> None:
        wire.send(b"* 1 FETCH (UID 1 FLAGS ())\r\n" + said)
        (wire.cut if cut else wire.hang)()

    with pytest.raises(kind):
        with scripted({"UID FETCH": fetch_flags}) as (session, _):
            list(session.uid_fetch_flags(1, 9))


def test_a_good_bye_between_two_commands_says_why() -> None:
    def search(wire: Wire, tag: str) -> None:
        wire.send(f"{tag} OK done\r\n* BYE [UNAVAILABLE] maintenance\r\n".encode())
        wire.cut()

    # Given a session that was ended after its last command
    with scripted({"UID SEARCH": search}) as (session, _):
        session.uid_search(1, 9)
        # When the next one is given
        with pytest.raises(ServerBusy):
            session.list_mailboxes()


def test_a_literal_that_is_too_long_is_read_past_and_not_kept() -> None:
    # Given a server that sends 200 MB where 256 KB were asked for
    size = 200 * 1024 * 1024

    def fetch(wire: Wire, tag: str) -> None:
        wire.send(b"* 1 FETCH (UID 1 BODY[HEADER]<0> {%d}\r\n" % size)
        piece = b"x" * 1024 * 1024
        for _ in range(200):
            wire.send(piece)
        wire.send(f")\r\n{tag} OK done\r\n".encode())

    with scripted({"UID FETCH": fetch}) as (session, _):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        # When the message is asked for
        with pytest.raises(Unservable):
            session.uid_fetch_structures([1])

        # Then memory has not grown by as much, and the session goes on
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
        assert session.select("INBOX") == State(1, 1, messages=0)


def test_an_answer_without_an_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server that tells of flags for ever, and one whose literals never end
    monkeypatch.setattr(client, "ANSWER_LIMIT", 1_000_000)

    def lines(wire: Wire, _tag: str) -> None:
        while True:
            wire.send(b"* 1 FETCH (FLAGS ())\r\n" * 1000)

    def literals(wire: Wire, tag: str) -> None:
        for _ in range(30):
            wire.send(b"* 1 FETCH (UID 1 BODY[1] {100000}\r\n" + b"x" * 100_000 + b")\r\n")
        wire.send(f"{tag} OK done\r\n".encode())

    # When messages are asked for
    # Then the first connection is lost, and the second one goes on
    with scripted({"UID FETCH": lines}) as (session, _):
        with pytest.raises(ConnectionLost):
            session.uid_fetch_structures([1])
    with scripted({"UID FETCH": literals}) as (session, _):
        with pytest.raises(Unservable):
            session.uid_fetch_sections([1], ["1"], 9)
        assert session.select("INBOX") == State(1, 1, messages=0)


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        ("LIST", Session.list_mailboxes),
        ("STATUS", lambda session: session.status("INBOX")),
        ("EXAMINE", lambda session: session.select("INBOX")),
        ("UID SEARCH", lambda session: session.uid_search(1, 9)),
        ("UID FETCH", lambda session: session.uid_fetch_structures([1])),
    ],
)
def test_whatever_is_asked_a_cut_connection_is_lost(
    command: str, ask: Callable[[Session], object]
) -> None:
    with scripted({command: Wire.cut}) as (session, _):
        with pytest.raises(ConnectionLost):
            ask(session)


def test_being_thrown_out_with_a_time_is_busy() -> None:
    bye = b"* BYE Session throttled. Suggested Backoff Time: 60000 milliseconds\r\n"
    with scripted({"UID SEARCH": bye}) as (session, _):
        with pytest.raises(ServerBusy) as raised:
            session.uid_search(1, 9)
        assert raised.value.retry_after == 60


def test_an_error_in_the_block_closes_without_another_word() -> None:
    # Given a session in which something goes wrong
    with fake_imap() as server:
        with pytest.raises(PostwireError):
            with connect(unsaved(server.host, server.port), "x", PLAIN, "sync"):
                raise ConnectionLost

        # Then nothing more was asked of the server
        assert not server.heard("LOGOUT")


def test_a_session_ends_with_a_logout() -> None:
    with scripted({}) as (_, server):
        pass
    assert server.heard("LOGOUT")


def test_idle_gets_the_socket_and_what_was_read_ahead() -> None:
    # Given a server that tells of new mail right behind the answer to EXAMINE
    both = mailbox()["EXAMINE"]
    assert isinstance(both, bytes)
    with scripted({"EXAMINE": both + b"* 5 EXISTS\r\n"}) as (session, _):
        session.select("INBOX")

        # When the socket is taken over
        connection, ahead = session.idle_socket()

        # Then what came too early is not lost, and the socket does not block
        assert ahead == b"* 5 EXISTS\r\n"
        assert connection.gettimeout() == 0


def test_sessions_of_many_threads_do_not_touch(dovecot: Dovecot) -> None:
    # Given ten users with a letter each
    users = [MailUser(dovecot, dovecot.new_user()) for _ in range(10)]
    seen: dict[str, bytes] = {}

    def look(user: MailUser) -> None:
        user.append(letter(f"for {user.name}"))
        account = unsaved(dovecot.host, dovecot.port, username=user.name)
        with connect(account, dovecot.password, PLAIN, "sync") as session:
            session.select("INBOX")
            (structure,) = session.uid_fetch_structures([1])
            seen[user.name] = structure.header

    # When all look at the same time
    threads = [threading.Thread(target=look, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Then each has seen its own
    assert all(f"Subject: for {user.name}".encode() in seen[user.name] for user in users)
