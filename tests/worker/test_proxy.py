"""The way through a proxy: a real one, and all that a proxy may answer."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worker.conftest import Accounts, unsaved

from postwire.errors import AddressForbidden, CertificateRejected, ConnectionLost, ProxyFailed
from postwire.model import Security
from postwire_demo.processes import free_port
from postwire_worker.access import open_session
from postwire_worker.client import log_in
from postwire_worker.dialer import Dialer
from postwire_worker.proxy import Proxy, make_proxy
from postwire_worker.runtime import Runtime
from postwire_worker.token_endpoint import refresh
from support.dovecot import Dovecot, write_certificate
from support.fake_imap import HOST, Answer, Wire, fake_imap, presenting
from support.local import local_dialer
from support.mailbox import MailUser, trusting
from support.names import stand_in
from support.sso import Sso
from support.tinyproxy import PASSWORD, Tinyproxy

NAME = "imap.example"
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"
#: Whom all connections of this process are made to, while a test listens; hooks cannot be removed.
_listening: list[list[tuple[Any, ...]]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        for heard in _listening:
            heard.append(arguments[1])


sys.addaudithook(_hear)


@pytest.fixture
def connected() -> Iterator[list[tuple[Any, ...]]]:
    """The addresses that this process connects to."""
    _listening.append([])
    yield _listening[-1]
    _listening.clear()


def through(proxy: Tinyproxy, dialer: Dialer) -> Dialer:
    return replace(dialer, proxy=make_proxy(proxy.url))


def replying(answer: Answer) -> Mapping[str, Answer]:
    """What makes a mail server its own proxy: the lines of a request, and the empty one."""
    return {r"\S+ HTTP/1\.1$": b"", r"\S+:\d+$": b"", "Basic ": b"", "$": answer}


def failure(answer: Answer, seconds: float = 5) -> ProxyFailed:
    """What a proxy that answers so makes of an attempt to connect."""
    with fake_imap(replying(answer), greeting=b"") as server:
        proxy = Proxy(HOST, server.port, "canary")
        with pytest.raises(ProxyFailed) as raised:
            proxy.connect("192.0.2.1", 993, seconds)
    assert f"The proxy {HOST}:{server.port} " in str(raised.value)
    assert isinstance(raised.value, ConnectionLost)
    return raised.value


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_mail_server_is_reached_through_a_real_proxy_and_in_no_other_way(
    tinyproxy: Tinyproxy,
    dovecot: Dovecot,
    user: MailUser,
    security: Security,
    connected: list[tuple[Any, ...]],
) -> None:
    # Given an account, and a proxy
    port = dovecot.tls_port if security == "tls" else dovecot.port
    account = unsaved("localhost", port, security=security, username=user.name)
    # When it logs in
    client = log_in(account, dovecot.password, through(tinyproxy, trusting(dovecot)))
    # Then TLS goes to the server itself, whose certificate was verified by its name
    assert client.socket().version() == "TLSv1.3"
    client.leave()
    # And the proxy was asked for the address, and nobody else was connected to
    assert tinyproxy.asked == [f"{HOST}:{port}"]
    assert connected == [(HOST, tinyproxy.port)]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_token_endpoint_is_reached_through_it_likewise(
    tinyproxy: Tinyproxy, sso: Sso, tmp_path: Path, scheme: str, connected: list[tuple[Any, ...]]
) -> None:
    write_certificate(tmp_path, "localhost")
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"access_token": "new"}'
    dialer = through(tinyproxy, local_dialer(tmp_path / "server.pem"))
    with fake_imap(tls=presenting(tmp_path / "server.pem"), greeting=answer) as server:
        port = server.port if scheme == "https" else sso.port
        url = f"{scheme}://localhost:{port}/token"
        assert refresh(replace(sso.providers["corp"], token_url=url), sso.grant("ann"), dialer)
    assert tinyproxy.asked == [f"{HOST}:{port}"]
    assert [one for one in connected if one[1] != tinyproxy.port] == []


def test_a_session_by_oauth_needs_no_other_way(
    tinyproxy: Tinyproxy,
    oauth_runtime: Runtime,
    oauth_accounts: Accounts,
    granter: MailUser,
    sso: Sso,
    connected: list[tuple[Any, ...]],
) -> None:
    # Given an account whose access token has to be asked for
    runtime = replace(oauth_runtime, dialer=through(tinyproxy, oauth_runtime.dialer))
    account = oauth_accounts.add(granter, security="tls", grant=sso.grant(granter.name))
    # When a session is opened, then both went through the proxy, and nothing past it
    open_session(runtime, account).log_out()
    assert tinyproxy.asked == [f"{HOST}:{sso.port}", f"{HOST}:{account.port}"]
    assert not {one[1] for one in connected if len(one) > 1} & {sso.port, account.port}


def test_a_server_behind_a_proxy_has_to_be_who_was_named(
    tinyproxy: Tinyproxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = stand_in(monkeypatch)
    write_certificate(tmp_path, NAME)
    dialer = through(tinyproxy, local_dialer(tmp_path / "server.pem"))
    with fake_imap(tls=presenting(tmp_path / "server.pem")) as server:
        for name in (NAME, "other.example"):
            names.lead(name, (HOST,))
        log_in(unsaved(NAME, server.port, security="tls"), "secret", dialer).hang_up()
        with pytest.raises(CertificateRejected, match="Hostname mismatch"):
            log_in(unsaved("other.example", server.port, security="tls"), "secret", dialer)
    assert len(server.heard("LOGIN")) == 1


def test_another_address_is_tried_where_the_proxy_does_not_get_to_the_first(
    tinyproxy: Tinyproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a name with two addresses, at the first of which nobody listens
    stand_in(monkeypatch).lead(NAME, ("127.0.0.3", HOST))
    with fake_imap() as server:
        dialer = through(tinyproxy, local_dialer())
        log_in(unsaved(NAME, server.port), "secret", dialer).hang_up()
    assert tinyproxy.asked == [f"127.0.0.3:{server.port}", f"{HOST}:{server.port}"]


def test_where_nobody_listens_it_is_said_that_the_proxy_does_not_get_there(
    tinyproxy: Tinyproxy,
) -> None:
    with pytest.raises(ProxyFailed, match=rf"{HOST}:{tinyproxy.port} does not get there \(5\d\d"):
        log_in(unsaved(HOST, free_port()), "secret", through(tinyproxy, local_dialer()))


@pytest.mark.parametrize("credential", ["", "postwire:wrong@"])
def test_a_credential_that_a_real_proxy_refuses_is_for_the_operator(
    tinyproxy: Tinyproxy, dovecot: Dovecot, credential: str
) -> None:
    proxy = make_proxy(f"http://{credential}{HOST}:{tinyproxy.port}")
    with pytest.raises(ProxyFailed, match=r"another user name .* POSTWIRE_MAIL_PROXY") as raised:
        log_in(unsaved(HOST, dovecot.port), "secret", replace(local_dialer(), proxy=proxy))
    assert "wrong" not in str(raised.value)


def test_an_address_that_is_closed_to_us_is_not_asked_of_the_proxy_either(
    tinyproxy: Tinyproxy, dovecot: Dovecot
) -> None:
    # Given a proxy on the very network that is closed to us: it is the operator's, and no user's
    dialer = replace(through(tinyproxy, local_dialer()), allowed=())
    with pytest.raises(AddressForbidden):
        log_in(unsaved(HOST, dovecot.port), "secret", dialer)
    assert tinyproxy.asked == []


@pytest.mark.parametrize("reply", [OK, b"HTTP/1.0 204 so be it\nX: y\n\n"])
def test_a_greeting_that_comes_along_with_the_reply_is_not_lost(reply: bytes) -> None:
    # Given a proxy whose reply arrives in one piece with the greeting of the server
    with fake_imap(replying(reply + b"* OK I am here\r\n"), greeting=b"") as server:
        # When a login is tried through it
        dialer = replace(local_dialer(), proxy=Proxy(HOST, server.port))
        client = log_in(unsaved(HOST, 993), "secret", dialer)
        # Then the greeting is heard, and what follows, too
        assert client.welcome == b"* OK I am here"
        client.leave()
    assert len(server.heard("LOGIN")) == 1


def test_the_request_names_the_address_and_the_credential() -> None:
    with fake_imap(replying(OK), greeting=b"") as server:
        proxy = make_proxy(f"http://ro%3Abin:c%40nary%2F@{HOST}:{server.port}")
        assert "nary" not in repr(proxy)
        proxy.connect("2001:db8::1", 993, 5).close()
    credential = b64encode(b"ro:bin:c@nary/").decode()
    assert server.lines == [
        "CONNECT [2001:db8::1]:993 HTTP/1.1",
        "Host: [2001:db8::1]:993",
        f"Proxy-Authorization: Basic {credential}",
        "",
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (407, "wants another user name or password (407)"),
        (403, "does not let us through (403)"),
        (302, "does not let us through (302)"),
        (101, "does not let us through (101)"),
        (500, "does not get there (500)"),
        (503, "does not get there (503)"),
    ],
)
def test_a_refusal_names_the_proxy_and_its_status(status: int, words: str) -> None:
    error = failure(f"HTTP/1.1 {status} canary\r\nX: canary\r\n\r\n".encode())
    assert words in str(error)
    assert "canary" not in str(error)
    # Another address of the server helps only where it is the way that failed
    assert error.of_address is (status >= 500)


def drip(wire: Wire, _: str) -> None:
    """A good reply, a byte now and then."""
    wire.send(*(bytes([one]) for one in OK))


def flood(wire: Wire, _: str) -> None:
    """A header without an end."""
    with suppress(OSError):
        wire.send(OK[:-2])
        while True:
            wire.send(b"X: " + b"x" * 1000 + b"\r\n")


@pytest.mark.parametrize("answer", [drip, Wire.hang])
def test_a_reply_that_takes_too_long_is_waited_for_until_the_time_is_over(answer: Answer) -> None:
    error = failure(answer, 0.3)
    assert "has not reached the server in time" in str(error)
    assert error.of_address


@pytest.mark.parametrize(
    "answer", [flood, Wire.cut, b"* OK IMAP4rev1\r\n\r\n", b"HTTP/1.1 20\r\n\r\n"]
)
def test_what_is_no_reply_is_said_to_be_none(answer: Answer) -> None:
    assert str(failure(answer)).endswith(" gave no usable answer.")


@pytest.mark.parametrize("host", [HOST, "proxy.nowhere.invalid", "a..b"])
def test_a_proxy_that_is_not_there_is_told_from_a_server_that_is_not(host: str) -> None:
    dialer = replace(local_dialer(), proxy=Proxy(host, free_port(), "canary"))
    with pytest.raises(ProxyFailed, match=f"The proxy {host}:.* cannot be reached") as raised:
        log_in(unsaved(HOST, 993), "secret", dialer)
    assert not raised.value.of_address
    assert PASSWORD not in str(raised.value)
