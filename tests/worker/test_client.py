"""Connecting, securing and logging in: against Dovecot, and against servers that misbehave."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from worker.conftest import unsaved

from postwire.errors import (
    AuthenticationFailed,
    CapabilityMissing,
    CertificateRejected,
    ConnectionLost,
    PostwireError,
    ServerBusy,
    TransientError,
)
from postwire.model import Account, Security
from postwire.providers import by_host
from postwire_worker import client as module
from postwire_worker.client import Client, cut_overdue, log_in
from postwire_worker.dialer import Dialer
from support.dovecot import Dovecot, write_certificate
from support.fake_imap import (
    Answer,
    FakeImap,
    Wire,
    capabilities,
    fake_imap,
    mailbox,
    presenting,
    server_context,
)
from support.local import local_dialer
from support.mailbox import MailUser, trusting


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "LOGOUT_TIMEOUT", 0.5)


@pytest.fixture
def context(dovecot: Dovecot) -> Dialer:
    return trusting(dovecot)


@contextmanager
def logged_in(account: Account, password: str, context: Dialer) -> Iterator[Client]:
    client = log_in(account, password, context)
    try:
        yield client
    finally:
        client.leave()


def refused(
    server: FakeImap,
    *,
    security: Security = "none",
    password: str = "secret",  # noqa: S107
    username: str = "robin",
    context: Dialer | None = None,
) -> PostwireError:
    """What a login at `server` raises."""
    account = unsaved(server.host, server.port, security=security, username=username)
    with pytest.raises(PostwireError) as raised:
        log_in(account, password, context or local_dialer())
    return raised.value


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_dovecot_lets_us_in(
    dovecot: Dovecot, user: MailUser, context: Dialer, security: Security
) -> None:
    # Given an account with one of the three kinds of security
    port = dovecot.tls_port if security == "tls" else dovecot.port
    account = unsaved(dovecot.host, port, security=security, username=user.name)

    # When it is logged in
    with logged_in(account, dovecot.password, context) as client:
        # Then the server answers, in TLS where that was asked for
        assert b"NOOP completed" in client.noop()[0]
        assert isinstance(client.socket(), ssl.SSLSocket) == (security != "none")


def test_a_wrong_password_is_said_in_words(dovecot: Dovecot, user: MailUser) -> None:
    # Given a password that is not the user's
    account = unsaved(dovecot.host, dovecot.port, username=user.name)

    # When it is tried
    # Then the error is for the user, and does not repeat the password
    with pytest.raises(AuthenticationFailed) as raised:
        log_in(account, "hunter2-wrong", local_dialer())
    assert str(raised.value) == "The mail server refused the user name or password."


def test_a_host_that_does_not_exist_is_named() -> None:
    account = unsaved("imap.nowhere.invalid", 993)
    with pytest.raises(ConnectionLost, match="no server of that name: imap"):
        log_in(account, "secret", local_dialer())


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", "bad host", ""])
def test_a_host_that_cannot_exist_is_an_error_of_ours(host: str) -> None:
    account = unsaved(host, 1)
    with pytest.raises(ConnectionLost):
        log_in(account, "secret", local_dialer())


def test_a_port_that_refuses_is_named() -> None:
    # Given a port that somebody had a moment ago
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    # When a login is tried there
    # Then the error says to check it
    with pytest.raises(ConnectionLost, match=f"{port} refuses connections"):
        log_in(unsaved("127.0.0.1", port), "secret", local_dialer())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("security", ["tls", "none"])
def test_a_black_hole_is_given_up_in_time(security: Security) -> None:
    # Given a server whose queue of connections is full, so that the kernel answers no more
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(("127.0.0.1", port))

        # When a login is tried
        started = time.monotonic()
        with pytest.raises(ConnectionLost, match="does not answer in time"):
            log_in(unsaved("127.0.0.1", port, security=security), "x", local_dialer())

        # Then it took no longer than it may
        assert time.monotonic() - started < 3
        for one in waiting:
            one.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_a_server_that_accepts_and_is_silent_is_given_up_in_time(security: Security) -> None:
    # Given a server that says nothing at all
    with fake_imap(greeting=None) as server:
        # When a login is tried
        started = time.monotonic()
        error = refused(server, security=security)

        # Then it took no longer than it may
        assert isinstance(error, ConnectionLost)
        assert "does not answer in time" in str(error)
        assert time.monotonic() - started < 3


def test_tls_on_a_plain_port_says_what_to_check(dovecot: Dovecot, context: Dialer) -> None:
    account = unsaved(dovecot.host, dovecot.port, security="tls")
    with pytest.raises(ConnectionLost, match="does not speak TLS here; check port and security"):
        log_in(account, "secret", context)


def test_a_certificate_of_an_unknown_authority_is_rejected(dovecot: Dovecot) -> None:
    account = unsaved(dovecot.host, dovecot.tls_port, security="tls")
    with pytest.raises(CertificateRejected, match=r"self-signed certificate\.$"):
        log_in(account, "secret", local_dialer())


def test_a_certificate_of_an_own_authority_is_trusted(dovecot: Dovecot, user: MailUser) -> None:
    # Given the tests' authority in a bundle of its own
    own = local_dialer(dovecot.ca_file)
    account = unsaved(dovecot.host, dovecot.tls_port, security="tls", username=user.name)

    # When a login is tried
    # Then it succeeds
    with logged_in(account, dovecot.password, own) as client:
        assert client.noop()


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_for_another_name_is_rejected(
    dovecot: Dovecot, context: Dialer, security: Security
) -> None:
    # Given a server at an address that its certificate does not name
    presented = server_context(dovecot)
    tls = presented if security == "tls" else None
    with fake_imap(starting(presented), tls=tls, host="127.0.0.2") as server:
        # When a login is tried
        error = refused(server, security=security, context=context)

    # Then it is rejected with the reason, and nothing secret was sent
    assert isinstance(error, CertificateRejected)
    assert "IP address mismatch" in str(error)
    assert not server.heard("LOGIN")


def starting(presented: ssl.SSLContext) -> dict[str, Answer]:
    """A server with STARTTLS."""

    def start(wire: Wire, tag: str) -> None:
        wire.send(f"{tag} OK done\r\n".encode())
        wire.secure(presented)

    return {**capabilities("IMAP4rev1", "STARTTLS"), "STARTTLS": start}


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_whose_time_is_over_is_rejected(tmp_path: Path, security: Security) -> None:
    # Given a server whose certificate was good until yesterday, of an authority that is trusted
    write_certificate(tmp_path, lasts=timedelta(days=-1))
    presented = presenting(tmp_path / "server.pem")
    tls = presented if security == "tls" else None
    with fake_imap(starting(presented), tls=tls) as server:
        # When a login is tried
        error = refused(server, security=security, context=local_dialer(tmp_path / "server.pem"))

    # Then it is rejected with the reason, and nothing secret was sent
    assert isinstance(error, CertificateRejected)
    assert "certificate has expired" in str(error)
    assert not server.heard("LOGIN")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_that_has_only_tls_that_is_broken_is_refused(
    dovecot: Dovecot, security: Security
) -> None:
    # Given a server that has stopped at TLS 1.1
    presented = server_context(dovecot)
    presented.set_ciphers("ALL:@SECLEVEL=0")
    presented.minimum_version = ssl.TLSVersion.TLSv1
    presented.maximum_version = ssl.TLSVersion.TLSv1_1
    tls = presented if security == "tls" else None
    with fake_imap(starting(presented), tls=tls) as server:
        # When a login is tried
        error = refused(server, security=security, context=local_dialer(dovecot.ca_file))

    # Then the words say what is missing
    assert isinstance(error, CapabilityMissing)
    assert "TLS 1.2 or newer is needed" in str(error)
    assert not server.heard("LOGIN")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", AuthenticationFailed),
        ("NO [AUTHENTICATIONFAILED] Wrong password, please try again", AuthenticationFailed),
        ("NO LOGIN failed.", AuthenticationFailed),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", ServerBusy),
        ("NO [UNAVAILABLE] Temporary authentication failure.", ServerBusy),
        ("NO [SERVERBUG] Internal error occurred.", TransientError),
        ("BAD internal error", TransientError),
    ],
)
def test_a_refused_login_is_the_password_only_where_it_says_nothing_else(
    answer: str, kind: type[PostwireError]
) -> None:
    with fake_imap({"LOGIN": f"TAG {answer}\r\n".encode()}) as server:
        assert type(refused(server)) is kind


def test_the_time_that_microsoft_asks_for_is_read() -> None:
    said = b"TAG NO Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n"
    with fake_imap({"LOGIN": said}) as server:
        error = refused(server)
    assert isinstance(error, ServerBusy)
    assert error.retry_after == pytest.approx(299.961)


@pytest.mark.parametrize(
    "thrown_out",
    [b"* BYE Suggested Backoff Time: 5000 milliseconds\r\n", b"* BYE [UNAVAILABLE] later\r\n"],
)
def test_a_good_bye_with_a_reason_is_obeyed(thrown_out: bytes) -> None:
    with fake_imap({"LOGIN": thrown_out}) as server:
        assert isinstance(refused(server), ServerBusy)
    with fake_imap(greeting=thrown_out) as server:
        assert isinstance(refused(server), ServerBusy)


@pytest.mark.parametrize("said", [b"TAG OK done\r\n", b"* ID NIL\r\nTAG OK x\r\n", b"TAG NO x\r\n"])
def test_a_server_that_wants_to_know_who_we_are_is_told_a_name_and_no_more(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a provider's server that wants an ID, and everybody else's
    answers = {**capabilities("IMAP4rev1", "ID"), "ID": said}
    for host, heard in (("imap.163.com", ['ID ("name" "Postwire")']), ("imap.example.com", [])):
        monkeypatch.setattr(module, "by_host", lambda _, name=host: by_host(name))
        with fake_imap(answers) as server:
            # When an account is logged in
            with logged_in(unsaved(server.host, server.port), "x", local_dialer()):
                pass

            # Then the one is told, after the login, and its answer does not matter
            assert server.heard("ID") == heard


def test_a_connection_that_breaks_in_the_login_is_no_wrong_password() -> None:
    # Given a server that ends the connection when it has heard the password
    with fake_imap({"LOGIN": Wire.cut}) as server:
        # When a login is tried
        # Then the account need not be refused for ever
        assert type(refused(server)) is ConnectionLost
    with fake_imap({"LOGIN": b"* BYE shutting down\r\n"}) as server:
        assert type(refused(server)) is ConnectionLost


def test_a_server_that_takes_no_password_is_given_none() -> None:
    with fake_imap(capabilities("IMAP4rev1", "LOGINDISABLED")) as server:
        error = refused(server)
    assert isinstance(error, CapabilityMissing)
    assert "set the security to tls or starttls" in str(error)
    assert not server.heard("LOGIN|AUTHENTICATE")


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("robin", "pässwörd €"),
        ("rübin@postwire.example", "secret"),
        ("CORP\\robin hood", "secret"),
        ('ro"bin', "secret"),
        ("robin{3}", "secret"),
    ],
)
def test_what_login_has_no_words_for_goes_by_plain(username: str, password: str) -> None:
    # Given a server that takes PLAIN
    heard: list[bytes] = []

    def authenticate(wire: Wire, tag: str) -> None:
        wire.send(b"+ \r\n")
        heard.append(base64.b64decode(wire.line()))
        wire.send(f"{tag} OK done\r\n".encode())

    with fake_imap({"AUTHENTICATE PLAIN": authenticate}) as server:
        # When somebody logs in with more than ASCII or a plain word
        account = unsaved(server.host, server.port, username=username)
        with logged_in(account, password, local_dialer()):
            pass

    # Then it arrives as it is (RFC 4616)
    assert heard == [f"\0{username}\0{password}".encode()]
    assert not server.heard("LOGIN")


def test_quotes_in_a_password_arrive_as_they_are() -> None:
    with fake_imap() as server:
        account = unsaved(server.host, server.port)
        with logged_in(account, 'a"b\\c d{5}', local_dialer()):
            pass
    assert server.heard("LOGIN") == ['LOGIN robin "a\\"b\\\\c d{5}"']


@pytest.mark.parametrize(
    ("username", "password"),
    [("robin\r\nA1 DELETE INBOX", "x"), ("robin", "x\r\nA1 DELETE INBOX"), ("robin", "x\0")],
)
def test_control_characters_in_credentials_are_never_sent(username: str, password: str) -> None:
    with fake_imap() as server:
        error = refused(server, username=username, password=password)
    assert isinstance(error, AuthenticationFailed)
    assert server.connected == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "answers",
    [
        capabilities("IMAP4rev1"),
        {**capabilities("IMAP4rev1", "STARTTLS"), "STARTTLS": b"TAG NO not now\r\n"},
        {**capabilities("IMAP4rev1", "STARTTLS"), "STARTTLS": b"TAG BAD what?\r\n"},
        {**capabilities("IMAP4rev1", "STARTTLS"), "STARTTLS": b"TAG OK done\r\nno TLS here\r\n"},
    ],
)
def test_without_starttls_nothing_goes_on_in_clear_text(answers: dict[str, bytes]) -> None:
    with fake_imap(answers) as server:
        error = refused(server, security="starttls")
    assert isinstance(error, CapabilityMissing | TransientError)
    assert not server.heard("LOGIN|AUTHENTICATE")


def test_a_greeting_that_is_logged_in_already_does_not_get_round_starttls() -> None:
    # Given somebody in between who says that we are logged in, so that STARTTLS is not allowed
    answers = capabilities("IMAP4rev1", "STARTTLS")
    with fake_imap(answers, greeting=b"* PREAUTH welcome\r\n") as server:
        # When a login is tried
        error = refused(server, security="starttls")

    # Then it ends there
    assert isinstance(error, TransientError)
    assert not server.heard("LOGIN|AUTHENTICATE|LIST")


def test_what_was_put_in_before_tls_is_not_taken_for_the_servers_answer(
    dovecot: Dovecot, context: Dialer
) -> None:
    # Given somebody in between who adds answers to the last lines of clear text
    presented = server_context(dovecot)

    def start(wire: Wire, tag: str) -> None:
        wire.send(
            b'* LIST (\\Sent) "/" Stolen\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n'
            + f"{tag} OK begin\r\n".encode()
        )
        wire.secure(presented)

    answers = {**capabilities("IMAP4rev1", "STARTTLS"), "STARTTLS": start, **mailbox()}
    with fake_imap(answers) as server:
        account = unsaved(server.host, server.port, security="starttls")

        # When the user logs in and lists the mailboxes
        with logged_in(account, "secret", context) as client:
            names = [name for _, _, name in client.list_folders()]

    # Then the mailboxes are those of the server
    assert names == ["INBOX"]


@pytest.mark.usefixtures("impatient")
def test_what_came_after_the_ok_to_starttls_is_not_read(dovecot: Dovecot, context: Dialer) -> None:
    # Given somebody in between who adds a line behind the OK, in the same segment
    presented = server_context(dovecot)

    def start(wire: Wire, tag: str) -> None:
        wire.send(f"{tag} OK begin\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n".encode())
        wire.secure(presented)

    with fake_imap({**capabilities("IMAP4rev1", "STARTTLS"), "STARTTLS": start}) as server:
        account = unsaved(server.host, server.port, security="starttls")

        # When the user logs in
        # Then either it was no part of the conversation, or TLS did not come about
        try:
            with logged_in(account, "secret", context) as client:
                assert not client.has_capability("LOGINDISABLED")
        except ConnectionLost:
            assert not server.heard("LOGIN")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "greeting",
    [b"", b"220 smtp.example ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"\0\xff\r\n", b"* \r\n"],
)
def test_another_protocol_is_an_error_of_ours(greeting: bytes) -> None:
    with fake_imap(greeting=greeting) as server:
        assert isinstance(refused(server), TransientError)


def test_an_endless_greeting_is_given_up() -> None:
    # Given a server that sends one line for ever
    def flood(wire: Wire, _tag: str) -> None:
        while True:
            wire.send(b"x" * 65536)

    with fake_imap({"CAPABILITY": flood}) as server:
        # When a login is tried
        # Then it ends, and no memory holds the line
        assert isinstance(refused(server), ConnectionLost)


@pytest.mark.usefixtures("impatient")
def test_a_logout_that_is_not_answered_holds_nobody_up() -> None:
    # Given a server that does not answer LOGOUT
    with fake_imap({"LOGOUT": Wire.hang}) as server:
        client = log_in(unsaved(server.host, server.port), "secret", local_dialer())

        # When we leave
        started = time.monotonic()
        client.leave()

        # Then that took a moment
        assert time.monotonic() - started < 2
        assert server.heard("LOGOUT")


@pytest.mark.parametrize("where", ["CAPABILITY", "LOGIN", "STARTTLS"])
def test_a_server_that_drips_is_cut_when_its_time_is_over(
    dovecot: Dovecot,
    context: Dialer,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    # Given a server that sends a byte now and then for ever, and little patience
    monkeypatch.setattr(module, "LOGIN_LIMIT", 0.2)
    presented = server_context(dovecot)

    def drip(wire: Wire, tag: str) -> None:
        if where == "STARTTLS":
            wire.send(f"{tag} OK begin\r\n".encode())
            wire.secure(presented)
        while True:
            wire.send(b"*")
            time.sleep(0.01)

    over = threading.Event()

    def keep_the_time() -> None:
        while not over.wait(0.05):
            cut_overdue()

    keeper = threading.Thread(target=keep_the_time)
    keeper.start()

    # When a login is tried
    with fake_imap({**capabilities("IMAP4rev1", "STARTTLS"), where: drip}) as server:
        error = refused(
            server, security="starttls" if where == "STARTTLS" else "none", context=context
        )
    over.set()
    keeper.join()

    # Then it ends, and nothing is kept of it
    assert isinstance(error, ConnectionLost)
    assert not module._deadlines


def test_a_connection_in_time_is_left_alone(dovecot: Dovecot, user: MailUser) -> None:
    account = unsaved(dovecot.host, dovecot.port, username=user.name)
    with logged_in(account, dovecot.password, local_dialer()) as client:
        cut_overdue()
        client.allow(None)
        cut_overdue()
        assert client.noop()
    assert not module._deadlines


def test_nothing_of_the_conversation_is_formatted_for_a_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Given a log that would take everything
    caplog.set_level(logging.DEBUG)
    with fake_imap() as server:
        # When somebody logs in
        with logged_in(unsaved(server.host, server.port), "canary-x", local_dialer()) as c:
            # Then imaplib is told to be quiet, and the password is nowhere
            assert c._imap.debug == 0
    assert "canary-x" not in caplog.text
    assert "LOGIN" not in caplog.text


def showing(challenge: bytes, answer: bytes) -> Callable[[Wire, str], None]:
    """A server that refuses a token: with a challenge, and the last answer after it."""

    def refuse(wire: Wire, tag: str) -> None:
        wire.send(b"+ \r\n")
        wire.line()
        wire.send(b"+ " + base64.b64encode(challenge) + b"\r\n")
        wire.line()
        wire.send(answer.replace(b"TAG", tag.encode()))

    return refuse


def token_refused(server: FakeImap) -> PostwireError:
    account = replace(unsaved(server.host, server.port), oauth_provider="corp")
    with pytest.raises(PostwireError) as raised:
        log_in(account, "canary-token", local_dialer())
    assert "canary" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("mechanisms", "chosen", "acknowledged"),
    [
        (("AUTH=XOAUTH2", "AUTH=OAUTHBEARER", "AUTH=PLAIN"), "OAUTHBEARER", b"\x01"),
        (("AUTH=XOAUTH2", "AUTH=PLAIN"), "XOAUTH2", b""),
    ],
)
def test_a_refused_token_is_acknowledged_as_its_mechanism_demands(
    mechanisms: tuple[str, ...], chosen: str, acknowledged: bytes
) -> None:
    # Given a server that refuses a token with a reason
    refuse = showing(b'{"status":"insufficient_scope"}', b"TAG NO [AUTHENTICATIONFAILED] no\r\n")
    answers = {**capabilities("IMAP4rev1", *mechanisms), "AUTHENTICATE": refuse}
    with fake_imap(answers) as server:
        # When it is shown one
        error = token_refused(server)

    # Then the reason is told, and the server got what it waits for
    assert isinstance(error, AuthenticationFailed)
    assert "(insufficient_scope); connect" in str(error)
    assert server.heard("AUTHENTICATE") == [f"AUTHENTICATE {chosen}"]
    assert base64.b64decode(server.lines[-1]) == acknowledged
    assert not server.heard("LOGIN")


@pytest.mark.parametrize(
    ("challenge", "answer", "kind"),
    [
        (b'{"status":"400"}', b"TAG NO no\r\n", AuthenticationFailed),
        (b'{"status":"<b>canary</b>"}', b"TAG NO no\r\n", AuthenticationFailed),
        (b"canary", b"TAG NO no\r\n", AuthenticationFailed),
        (b'{"status":"500"}', b"TAG NO no\r\n", TransientError),
        (b'{"status":"401"}', b"TAG NO [UNAVAILABLE] later\r\n", ServerBusy),
        (b'{"status":"401"}', b"TAG NO [SERVERBUG] sorry\r\n", TransientError),
        (b'{"status":"401"}', b"* BYE gone\r\n", ConnectionLost),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_what_is_no_fault_of_the_token_does_not_count_against_it(
    challenge: bytes, answer: bytes, kind: type[PostwireError]
) -> None:
    answers = {
        **capabilities("IMAP4rev1", "AUTH=OAUTHBEARER"),
        "AUTHENTICATE": showing(challenge, answer),
    }
    with fake_imap(answers) as server:
        assert type(token_refused(server)) is kind


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [b"+ !canary\r\n", b"", b"+ \r\n" * 3 + b"TAG OK done\r\n"])
def test_an_exchange_that_makes_no_sense_is_an_error_of_ours_or_none(answer: bytes) -> None:
    def respond(wire: Wire, tag: str) -> None:
        wire.send(answer.replace(b"TAG", tag.encode()))
        wire.cut() if answer.startswith(b"+ !") else wire.line()

    answers = {**capabilities("IMAP4rev1", "AUTH=XOAUTH2"), "AUTHENTICATE": respond}
    with fake_imap(answers) as server:
        account = replace(unsaved(server.host, server.port), oauth_provider="corp")
        # When a login is tried
        with suppress(TransientError):
            log_in(account, "canary-token", local_dialer()).hang_up()

    # Then the token was shown once at most
    shown = base64.b64encode(b"user=robin\x01auth=Bearer canary-token\x01\x01").decode()
    assert server.lines.count(shown) <= 1
