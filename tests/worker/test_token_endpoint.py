"""A provider's token endpoint, and everything that it may do wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from postwire.errors import AuthenticationFailed, PostwireError, ServerBusy, TransientError
from postwire_demo.processes import free_port
from postwire_worker import token_endpoint as module
from postwire_worker.token_endpoint import Misconfigured, refresh
from support.dovecot import Dovecot, write_certificate
from support.fake_imap import fake_imap, presenting, server_context
from support.local import local_dialer
from support.names import stand_in
from support.sso import Sso, saying

PLAIN = local_dialer()


def failure(sso: Sso) -> PostwireError:
    """What asking raises."""
    with pytest.raises(PostwireError) as raised:
        refresh(sso.providers["corp"], "canary-refresh", PLAIN)
    assert "canary" not in str(raised.value)
    return raised.value


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("postwire_oauth_refreshes_total", {"outcome": outcome}) or 0


def test_a_refresh_token_gets_an_access_token(sso: Sso) -> None:
    # Given a grant
    before = counted("refreshed")
    # When it is used
    granted = refresh(sso.providers["corp"], sso.grant("ann"), PLAIN)
    # Then the token is the user's, and the refresh token stays what it is
    assert sso.access[granted.access_token][0] == "ann"
    assert (granted.refresh_token, granted.expires_in) == (None, 3600)
    assert counted("refreshed") == before + 1
    assert "canary" not in repr(granted)


def test_a_refresh_token_that_rotates_is_told(sso: Sso) -> None:
    sso.rotates = True
    granted = refresh(sso.providers["corp"], sso.grant("ann"), PLAIN)
    assert granted.refresh_token in sso.grants


def test_a_public_client_sends_no_secret(sso: Sso) -> None:
    public = replace(sso.providers["corp"], client_secret=None, scope=None)
    with pytest.raises(Misconfigured):
        refresh(public, sso.grant("ann"), PLAIN)
    assert set(sso.asked[0]) == {"grant_type", "refresh_token", "client_id"}


def test_a_grant_that_is_gone_is_for_the_user(sso: Sso) -> None:
    before = counted("refused")
    error = failure(sso)
    assert isinstance(error, AuthenticationFailed)
    assert str(error) == "Access was withdrawn; connect the account again."
    assert counted("refused") == before + 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_grant", AuthenticationFailed),
        (400, "invalid_scope", AuthenticationFailed),
        (400, "interaction_required", AuthenticationFailed),
        (401, "invalid_client", Misconfigured),
        (400, "invalid_client", Misconfigured),
        (400, "unauthorized_client", Misconfigured),
        (400, "invalid_request", Misconfigured),
        (400, "temporarily_unavailable", TransientError),
        (403, "canary-firewall", TransientError),
        (400, "", TransientError),
    ],
)
def test_the_code_says_whose_fault_it_is(
    sso: Sso, status: int, code: str, kind: type[PostwireError]
) -> None:
    sso.misbehaves = saying(status, {"error": code, "error_description": "canary"})
    assert type(failure(sso)) is kind


def test_the_operator_is_told_where_to_look(sso: Sso) -> None:
    sso.misbehaves = saying(401, {"error": "invalid_client"})
    assert "POSTWIRE_OAUTH_PROVIDERS" in str(failure(sso))


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "60", 60.0),
        (503, "5", 5.0),
        (429, "999999999", 3600.0),
        (429, None, 30.0),
        (429, "Fri, 31 Dec 1999 23:59:59 GMT", 30.0),
        (429, "-1", 30.0),
        (503, "9" * 400, 30.0),
        (503, "\u00b2", 30.0),
    ],
)
def test_a_provider_that_asks_to_wait_says_how_long(
    sso: Sso, status: int, value: str | None, seconds: float
) -> None:
    sso.misbehaves = saying(status, b"", {"Retry-After": value} if value else {})
    error = failure(sso)
    assert isinstance(error, ServerBusy)
    assert error.retry_after == seconds


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 404, 408, 500, 502])
def test_what_is_no_answer_of_the_protocol_stops_no_account(sso: Sso, status: int) -> None:
    body = b"" if status == 204 else b"<html>canary</html>"
    sso.misbehaves = saying(status, body, {"Location": f"{sso.url}/elsewhere"})
    assert type(failure(sso)) is TransientError
    # And no redirect was followed
    assert len(sso.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"access_token": 1.5e400}',
        b'{"access_token": ["canary"]}',
        b'{"access_token": ""}',
        b'{"access_token": "canary\\u0001auth=x"}',
        b'{"access_token": "canary\\r\\nA1 LOGOUT"}',
        b'{"access_token": "canary\\u00e9"}',
        b'{"access_token": "canary", "refresh_token": "a\\n"}',
        b'{"access_token": "canary", "token_type": "mac"}',
        b'{"access_token": "canary", "expires_in": "soon"}',
        b'{"access_token": "' + b"x" * 20_000 + b'"}',
        b"[" * 60_000,
        # More than is read, but for that in order.
        b'{"access_token": "canary", "expires_in": 3600}' + b" " * 70_000,
    ],
)
def test_a_success_that_makes_no_sense_is_none(sso: Sso, body: bytes) -> None:
    sso.misbehaves = saying(200, body)
    assert "no usable answer" in str(failure(sso))


@pytest.mark.parametrize(
    ("said", "seconds"), [("nan", 0), ("inf", 86_400), ("-1", 0), ("1e300", 86_400)]
)
def test_no_token_lasts_for_ever(sso: Sso, said: str, seconds: float) -> None:
    sso.misbehaves = saying(200, {"access_token": "t", "expires_in": said})
    assert refresh(sso.providers["corp"], "r", PLAIN).expires_in == seconds


def flood(handler: BaseHTTPRequestHandler) -> None:
    """A body without an end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b" " * 65_536)


def zipped(handler: BaseHTTPRequestHandler) -> None:
    """A body that says it is compressed."""
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(b"\x1f\x8b canary")


def half(handler: BaseHTTPRequestHandler) -> None:
    """Less than was promised."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"access_token": "canary')


def other_protocol(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"* OK IMAP4rev1 canary\r\n")


def nothing(handler: BaseHTTPRequestHandler) -> None:
    """The end of the connection."""


@pytest.mark.parametrize("misbehaves", [flood, zipped, half, other_protocol, nothing])
def test_an_answer_that_goes_wrong_on_its_way_is_a_passing_trouble(
    sso: Sso, misbehaves: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    before = counted("transient")
    sso.misbehaves = misbehaves
    assert type(failure(sso)) is TransientError
    assert counted("transient") == before + 1


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(1000):
        handler.wfile.write(b"x")
        time.sleep(0.02)


def silence(_: BaseHTTPRequestHandler) -> None:
    time.sleep(2)


@pytest.mark.parametrize("misbehaves", [drip, silence])
def test_a_slow_answer_is_given_up(
    sso: Sso,
    monkeypatch: pytest.MonkeyPatch,
    misbehaves: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    # Given a provider that takes for ever, with bytes in between or without
    monkeypatch.setattr(module, "LIMIT", 0.4)
    sso.misbehaves = misbehaves
    # When it is asked
    # Then that ends when the time is over, whatever came
    assert "does not answer in time" in str(failure(sso))


@pytest.mark.parametrize("host", ["127.0.0.1", "sso.nowhere.invalid", "a..b"])
def test_a_provider_that_is_not_there_is_a_passing_trouble(sso: Sso, host: str) -> None:
    away = replace(sso.providers["corp"], token_url=f"https://{host}:{free_port()}/token")
    with pytest.raises(TransientError, match="corp cannot be reached"):
        refresh(away, "canary", PLAIN)


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(sso: Sso, dovecot: Dovecot) -> None:
    # Given somebody in between, with a certificate of their own
    with fake_imap(tls=server_context(dovecot)) as server:
        somebody = replace(
            sso.providers["corp"], token_url=f"https://{server.host}:{server.port}/token"
        )
        # When the provider is asked
        # Then nothing was said there
        with pytest.raises(TransientError, match="cannot be reached"):
            refresh(somebody, "canary", PLAIN)
    assert server.lines == []


def test_a_proxy_of_the_environment_sees_nothing(sso: Sso, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    assert refresh(sso.providers["corp"], sso.grant("ann"), PLAIN)


def test_an_endpoint_that_leads_where_it_must_not_is_not_asked(
    sso: Sso, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a provider whose name leads to the machine itself, which nobody has allowed
    names, before = stand_in(monkeypatch), counted("misconfigured")
    names.lead("sso.example", ("127.0.0.1",))
    inside = replace(sso.providers["corp"], token_url=f"http://sso.example:{sso.port}/token")

    # When it is asked
    # Then nothing was sent, and it is the operator who is told
    with pytest.raises(Misconfigured, match="POSTWIRE_ALLOWED_NETWORKS"):
        refresh(inside, sso.grant("ann"), replace(PLAIN, allowed=()))
    assert sso.asked == []
    assert counted("misconfigured") == before + 1


def test_the_address_of_an_endpoint_is_the_one_that_was_checked(
    sso: Sso, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a name that leads elsewhere when it is asked for the second time; first, nobody listens
    names = stand_in(monkeypatch)
    names.lead("sso.example", ("127.0.0.3", "127.0.0.1"), ("127.0.0.2",))
    provider = replace(sso.providers["corp"], token_url=f"http://sso.example:{sso.port}/token")

    # When it is asked
    assert refresh(provider, sso.grant("ann"), PLAIN)

    # Then there was one question
    assert names.asked == ["sso.example"]


@pytest.mark.parametrize("name", ["sso.example", "other.example"])
def test_an_endpoint_has_to_be_who_was_named(
    sso: Sso, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an endpoint that shows the certificate of a name, and of its address
    write_certificate(tmp_path, "sso.example")
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"access_token": "new"}'
    stand_in(monkeypatch).lead(name, ("127.0.0.1",))
    with fake_imap(tls=presenting(tmp_path / "server.pem"), greeting=answer) as server:
        provider = replace(sso.providers["corp"], token_url=f"https://{name}:{server.port}/token")
        trusted = local_dialer(tmp_path / "server.pem")

        # When it is asked by that name, it is believed, and hears the name; else it hears nothing
        if name == "sso.example":
            assert refresh(provider, "canary", trusted).access_token == "new"
            assert f"Host: {name}:{server.port}" in server.lines
        else:
            with pytest.raises(TransientError, match="cannot be reached"):
                refresh(provider, "canary", trusted)
            assert server.lines == []


def test_mail_servers_are_offered_no_http_for_it(sso: Sso, tmp_path: Path) -> None:
    # Given a server that would agree to speak HTTP (ALPN, RFC 7301)
    write_certificate(tmp_path, "localhost")
    presented = presenting(tmp_path / "server.pem")
    presented.set_alpn_protocols(["http/1.1"])
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"access_token": "new"}'
    dialer = local_dialer(tmp_path / "server.pem")
    with fake_imap(tls=presented, greeting=answer) as server:
        # When it was asked for a token
        url = f"https://localhost:{server.port}/token"
        assert refresh(replace(sso.providers["corp"], token_url=url), "canary", dialer)
        # Then who connects to mail servers in this process offers it to nobody
        plain = dialer.connect("localhost", server.port, 5)
        with dialer.ssl_context.wrap_socket(plain, server_hostname="localhost") as mail:
            assert mail.selected_alpn_protocol() is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(sso: Sso, status: int) -> None:
    # Given an endpoint that sends on to somebody else
    with fake_imap() as other:
        location = {"Location": f"http://{other.host}:{other.port}/token"}
        sso.misbehaves = saying(status, b"", location)
        # When it is asked, then nobody else hears of it
        assert "no usable answer" in str(failure(sso))
    assert other.connected == []
