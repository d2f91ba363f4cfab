"""Messages by UID: what is fetched and what is not, and what becomes of the poisonous ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from worker.conftest import unsaved

from postwire.errors import ServerBusy
from postwire_worker import fetch as module
from postwire_worker.fetch import Fetched, fetch
from postwire_worker.imap import Session, connect
from support.dovecot import Dovecot
from support.fake_imap import Answer, FakeImap, Wire, fake_imap
from support.local import local_dialer
from support.mailbox import MailUser, letter
from support.relay import relay

PLAIN = local_dialer()
TEXT = '("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" %d 1)'


def none_known(_: Sequence[bytes]) -> set[bytes]:
    return set()


@contextmanager
def selected(host: str, port: int, user: str, password: str) -> Iterator[Session]:
    with connect(unsaved(host, port, username=user), password, PLAIN, "sync") as session:
        session.select("INBOX")
        yield session


def on_dovecot(
    dovecot: Dovecot,
    user: MailUser,
    *uids: int,
    known: Callable[[Sequence[bytes]], set[bytes]] = none_known,
) -> Fetched:
    with selected(dovecot.host, dovecot.port, user.name, dovecot.password) as session:
        return fetch(session, uids, known)


@dataclass(slots=True)
class Mail:
    """Mail on a fake server: what it says of each UID, and what it does instead."""

    structures: dict[int, str] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)
    #: What is answered when the UID is among those asked for, by whether parts are asked for too.
    refusals: dict[int, bytes] = field(default_factory=dict)
    #: Only where BODYSTRUCTURE is asked for.
    unreadable: set[int] = field(default_factory=set)
    #: Listed, but not served.
    missing: set[int] = field(default_factory=set)
    asked: list[tuple[list[int], str]] = field(default_factory=list)

    def add(self, *uids: int, text: bytes = b"hello") -> None:
        for uid in uids:
            self.structures[uid] = TEXT % len(text)
            self.texts[uid] = text

    def answers(self) -> Mapping[str, Answer]:
        return {"UID FETCH": self._fetch, "UID SEARCH": self._search}

    def _fetch(self, wire: Wire, tag: str) -> None:
        command = wire.server.lines[-1]
        found = re.match(r"\S+ UID FETCH ([\d,]+) \((.*)\)", command)
        assert found
        uids, items = [int(uid) for uid in found[1].split(",")], found[2]
        self.asked.append((uids, items))
        refusal = next((self.refusals[uid] for uid in uids if uid in self.refusals), None)
        if refusal:
            wire.send(tag.encode() + b" " + refusal + b"\r\n")
            return
        # Newest first, as no client would expect, and with news of others in between.
        for uid in reversed([uid for uid in uids if uid in self.texts and uid not in self.missing]):
            wire.send(b"* 4 FETCH (FLAGS (\\Seen))\r\n" + self._answer(uid, items) + b"\r\n")
        wire.send(tag.encode() + b" OK done\r\n")

    def _answer(self, uid: int, items: str) -> bytes:
        said = [b"UID %d" % uid]
        if "RFC822.SIZE" in items:
            header = b"Subject: no. %d\r\n\r\n" % uid
            size = len(header) + len(self.texts[uid])
            said += [b"FLAGS ()", b"RFC822.SIZE %d" % size]
            said += [b'INTERNALDATE "17-Jul-2024 02:44:25 +0000"', _section(b"HEADER", header)]
        if "BODYSTRUCTURE" in items:
            structure = "((((" if uid in self.unreadable else self.structures[uid]
            said += [b"BODYSTRUCTURE " + structure.encode()]
        for section in re.findall(r"BODY\.PEEK\[([\d.]*)\]", items):
            whole = b"Subject: no. %d\r\n\r\n%b" % (uid, self.texts[uid])
            said += [_section(section.encode(), self.texts[uid] if section else whole)]
        return b"* %d FETCH (%b)" % (uid + 100, b" ".join(said))

    def _search(self, wire: Wire, tag: str) -> None:
        found = " ".join(str(uid) for uid in sorted(self.texts))
        wire.send(f"* SEARCH {found}\r\n{tag} OK done\r\n".encode())

    @property
    def sections(self) -> list[tuple[list[int], str]]:
        """What was asked for in the second step."""
        return [(uids, items) for uids, items in self.asked if "RFC822.SIZE" not in items]


def _section(name: bytes, content: bytes) -> bytes:
    return b"BODY[%b]<0> {%d}\r\n%b" % (name, len(content), content)


@contextmanager
def serving(mail: Mail) -> Iterator[tuple[Session, FakeImap]]:
    with fake_imap(mail.answers()) as server:
        with selected(server.host, server.port, "robin", "secret") as session:
            yield session, server


def fetched(mail: Mail, *uids: int) -> Fetched:
    with serving(mail) as (session, _):
        return fetch(session, uids, none_known)


def texts(result: Fetched) -> dict[int, str]:
    return {one.uid: (one.body.text or "") if one.body else "" for one in result.incoming}


def test_attachments_stay_on_the_server(dovecot: Dovecot, user: MailUser) -> None:
    # Given a message of two lines with an attachment of three megabytes
    user.append(letter("large", "the text", html="<p>the html</p>", attachment=b"\0" * 3_000_000))

    # When it is fetched, and what comes over the wire is counted
    with relay(dovecot.port) as wire:
        with selected("127.0.0.1", wire.port, user.name, dovecot.password) as session:
            (message,) = fetch(session, [1], none_known).incoming
        received = wire.received

    # Then text, HTML and what the attachment is are there, and its bytes are not
    assert received < 20_000
    assert message.body is not None
    assert (message.body.text or "").strip() == "the text"
    assert (message.body.html or "").strip() == "<p>the html</p>"
    (attachment,) = message.attachments
    assert (attachment.filename, attachment.section) == ("data.bin", "2")
    assert attachment.size > 3_000_000
    assert message.problem is None


@pytest.mark.parametrize("encoding", ["7bit", "x-uuencode"])
def test_a_uuencoded_file_in_a_text_is_text(
    dovecot: Dovecot, user: MailUser, encoding: str
) -> None:
    # Given a text with a file in it, as was done before there was MIME, whether it says so or not
    text = "See below.\r\n\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n"
    head = f"Subject: old\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    user.append((head + text).encode())

    # When it is fetched
    with selected(dovecot.host, dovecot.port, user.name, dovecot.password) as session:
        fetched = fetch(session, [1], none_known)

    # Then it is text, as it came, and nothing is wrong with it
    (message,) = fetched.incoming
    assert message.body is not None
    assert message.body.text == text
    assert (message.attachments, message.problem, fetched.set_aside) == ((), None, ())


def test_messages_with_their_text_in_the_same_place_are_one_command() -> None:
    # Given ten messages of three shapes
    mail = Mail()
    mail.add(*range(1, 11))
    for uid in (3, 7):
        mail.structures[uid] = f'({TEXT % 5}{TEXT % 5} "MIXED")'
    mail.structures[5] = '("IMAGE" "PNG" NIL NIL NIL "BASE64" 5)'

    # When they are fetched
    result = fetched(mail, *range(1, 11))

    # Then it took one command for all structures, one for each shape, and none for no text
    assert [len(uids) for uids, _ in mail.asked] == [10, 7, 2]
    assert [one.uid for one in result.incoming if not one.body or not one.body.text] == [5]
    assert len(result.incoming) == 10
    assert not result.set_aside


def test_answers_out_of_order_go_to_their_messages() -> None:
    mail = Mail()
    for uid in range(1, 9):
        mail.add(uid, text=b"text of %d" % uid)
    result = fetched(mail, 2, 4, 6)
    assert texts(result) == {uid: f"text of {uid}" for uid in (2, 4, 6)}
    assert {one.headers.subject for one in result.incoming} == {"no. 2", "no. 4", "no. 6"}
    # What the server says of sequence number 4 is nothing about UID 4.
    assert all(one.flags == () for one in result.incoming)


def test_what_is_known_already_is_not_fetched_again(dovecot: Dovecot, user: MailUser) -> None:
    user.append(letter("known"), letter("unknown"))
    result = on_dovecot(dovecot, user, 1, 2, known=lambda digests: {digests[0]})
    assert [(one.headers.subject, one.body is None) for one in result.incoming] == [
        ("known", True),
        ("unknown", False),
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        b"NO [SERVERBUG] Internal error occurred.",
        b"NO [UNAVAILABLE] System Error",
        b"BAD Error in IMAP command",
    ],
)
def test_one_poisonous_message_is_set_aside_and_stops_nothing(refusal: bytes) -> None:
    # Given a message that makes each FETCH fail which asks for it
    mail = Mail()
    mail.add(*range(1, 21))
    mail.refusals[13] = refusal

    # When it is fetched among others
    result = fetched(mail, *range(1, 21))

    # Then it alone is missing, with words, and need not be asked for again
    assert [(aside.uid, aside.error) for aside in result.set_aside] == [
        (13, "The mail server cannot serve this message.")
    ]
    assert {one.uid for one in result.incoming} == set(range(1, 21)) - {13}
    assert result.done == tuple(range(1, 21))
    # And finding it took few commands
    assert len(mail.asked) < 20


def test_a_structure_that_cannot_be_read_is_no_poison() -> None:
    # Given a message whose structure makes the whole answer unreadable
    mail = Mail()
    mail.add(1, 2, 3, text=b"to be read")
    mail.unreadable.add(2)

    # When it is fetched among others
    result = fetched(mail, 1, 2, 3)

    # Then it is fetched whole
    assert texts(result) == dict.fromkeys((1, 2, 3), "to be read")
    assert not result.set_aside
    assert [uids for uids, items in mail.sections if "BODY.PEEK[]" in items] == [[2]]


@pytest.mark.parametrize(
    "structure",
    [
        "NIL",
        "()",
        '("TEXT")',
        '("TEXT" "PLAIN" NIL NIL NIL NIL "x")',
        # Deeper than any parser goes, and more parts than anybody sends.
        "(" * 100_000 + ")" * 100_000,
        "(" * 60 + '"TEXT" "PLAIN" NIL NIL NIL "7BIT" 9 1' + ' "MIXED")' * 60,
        "(" + '("TEXT" "PLAIN" NIL NIL NIL "7BIT" 9 1)' * 5_000 + ' "MIXED")',
    ],
    ids=range(7),
)
def test_a_structure_that_is_none_is_not_trusted(structure: str) -> None:
    mail = Mail()
    mail.add(1, text=b"to be read")
    mail.structures[1] = structure
    assert texts(fetched(mail, 1)) == {1: "to be read"}


def test_a_message_that_is_listed_and_not_served_is_set_aside() -> None:
    mail = Mail()
    mail.add(1, 2, 3)
    mail.missing.add(2)
    result = fetched(mail, 1, 2, 3)
    assert [(aside.uid, aside.error) for aside in result.set_aside] == [
        (2, "The mail server lists this message and does not serve it.")
    ]
    assert set(texts(result)) == {1, 3}


def test_a_message_that_was_expunged_meanwhile_is_done(dovecot: Dovecot, user: MailUser) -> None:
    # Given two messages, of which one is gone since the search
    user.append(letter("gone"), letter("there"))
    with user.session() as mail:
        mail.select_folder("INBOX")
        mail.delete_messages([1])
        mail.expunge()

    # When both are fetched
    result = on_dovecot(dovecot, user, 1, 2)

    # Then the one that is gone is no fault
    assert [one.headers.subject for one in result.incoming] == ["there"]
    assert result.done == (1, 2)
    assert not result.set_aside


@pytest.mark.parametrize("uids", [[1], [1, 2, 3, 4]])
def test_a_server_without_time_sets_nothing_aside(uids: list[int]) -> None:
    # Given a server that serves nothing at the moment
    mail = Mail()
    mail.add(*uids)
    mail.refusals = dict.fromkeys(uids, b"NO Suggested Backoff Time: 7000 milliseconds")

    # When messages are fetched
    # Then they are left for later, and it says when
    with pytest.raises(ServerBusy) as raised:
        fetched(mail, *uids)
    assert raised.value.retry_after == 7
    assert len(mail.asked) < 2 * len(uids)


def test_a_batch_holds_as_many_bytes_as_it_may_and_goes_on_with_the_rest() -> None:
    # Given messages of 400 bytes, and room for a thousand
    mail = Mail()
    mail.add(*range(1, 6), text=b"x" * 400)

    # When they are fetched, and again what is not done
    with serving(mail) as (session, _):
        batches = []
        left: tuple[int, ...] = (1, 2, 3, 4, 5)
        while left:
            batches.append(fetch(session, left, none_known, room=1000).done)
            left = left[len(batches[-1]) :]

    # Then each batch took what fits
    assert batches == [(1, 2), (3, 4), (5,)]


def test_a_message_that_fits_into_no_batch_is_a_batch() -> None:
    mail = Mail()
    mail.add(1, 2, text=b"x" * 400)
    with serving(mail) as (session, _):
        assert fetch(session, [1, 2], none_known, room=100).done == (1,)


def test_a_long_text_is_cut_and_says_so(
    dovecot: Dovecot, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a text of 10 000 characters, and a limit of 1000
    monkeypatch.setattr(module, "TEXT_LIMIT", 1000)
    user.append(letter(text="0123456789\n" * 1000))

    # When it is fetched
    (message,) = on_dovecot(dovecot, user, 1).incoming

    # Then its beginning is there
    assert message.body is not None
    assert message.body.text is not None
    assert message.body.text.startswith("0123456789")
    assert len(message.body.text) <= 1000
    assert message.problem == "The text is longer than is kept; the rest was cut off."


def test_text_in_many_parts_is_kept_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a message of a hundred texts, and room for three of them
    monkeypatch.setattr(module, "MESSAGE_LIMIT", 15)
    mail = Mail()
    mail.add(1)
    mail.structures[1] = f'({TEXT % 5 * 100} "MIXED")'

    # When it is fetched
    (message,) = fetched(mail, 1).incoming

    # Then three are read, the others are to be had as attachments, and it says so
    ((_, items),) = mail.sections
    assert items.count("BODY.PEEK") == 3
    assert message.body is not None
    assert (message.body.text or "").split() == ["hello"] * 3
    assert len(message.attachments) == 97
    assert message.problem is not None


def test_a_whole_message_over_the_limit_is_cut_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WHOLE_LIMIT", 50)
    mail = Mail()
    mail.add(1, text=b"x" * 400)
    mail.structures[1] = "NIL"
    (message,) = fetched(mail, 1).incoming
    assert message.problem == "The text is longer than is kept; the rest was cut off."
    assert "<0.50>" in mail.sections[0][1]


def test_the_digest_is_of_header_and_size(dovecot: Dovecot, user: MailUser) -> None:
    # Given two copies of a message, and another
    one = letter("one", message_id="<a@b.example>")
    user.append(one, one, letter("two", message_id="<a@b.example>"))

    # When they are fetched
    first, copy, other = on_dovecot(dovecot, user, 1, 2, 3).incoming

    # Then the copies are the same, whatever their UIDs, and the other is not
    assert first.digest == copy.digest != other.digest
