"""Where an address logs in, by the real application and a real name server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.settings import ApiSettings
from postwire_api.app import create_app
from support.jwt import bearer
from support.nameserver import NameServer, nameserver

Client = TestClient[Litestar]


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A name server that knows nothing."""
    with nameserver() as server:
        yield server


@pytest.fixture
def client(settings: ApiSettings, server: NameServer) -> Iterator[Client]:
    """A client of an API that asks that server alone."""
    asking = settings.model_copy(update={"dns_servers": [server.address]})
    with TestClient(create_app(asking), raise_server_exceptions=False) as client:
        yield client


def discover(client: Client, address: str) -> list[dict[str, Any]]:
    """The suggestions for the address."""
    answer = client.get("/api/accounts/discover", params={"address": address})
    assert answer.status_code == 200, answer.text
    suggestions: list[dict[str, Any]] = answer.json()["suggestions"]
    return suggestions


def test_a_known_provider_is_known_without_asking(ann: Client, server: NameServer) -> None:
    # When a large provider's address is asked for
    (gmail,) = discover(ann, "Robin@gmail.com")
    # Then it is answered whole, and nobody was asked
    assert gmail == {
        "host": "imap.gmail.com",
        "port": 993,
        "security": "tls",
        "username": "Robin@gmail.com",
        "source": "provider",
        "provider": "Gmail",
        "oauth": "google",
        "note": gmail["note"],
        "help": "https://myaccount.google.com/apppasswords",
    }
    assert "app password" in gmail["note"]
    assert server.asked == []


def test_some_providers_want_the_name_before_the_at(ann: Client) -> None:
    (icloud,) = discover(ann, "robin@icloud.com")
    assert icloud["username"] == "robin"
    assert icloud["oauth"] is None


def test_a_domain_whose_mail_a_provider_takes_in_is_the_providers(
    ann: Client, server: NameServer
) -> None:
    server.zone["company.example MX"] = [
        "1 ASPMX.L.GOOGLE.COM.",
        "5 alt1.aspmx.l.google.com.",
    ]
    (found,) = discover(ann, "ann@company.example")
    assert (found["host"], found["source"], found["provider"]) == ("imap.gmail.com", "mx", "Gmail")
    assert found["username"] == "ann@company.example"


def test_srv_records_are_suggested_and_tls_first(ann: Client, server: NameServer) -> None:
    # Given a domain that prefers STARTTLS, and has TLS too (RFC 8314 §5.1)
    server.zone["_imap._tcp.example.com SRV"] = ["0 1 143 imap.example.com."]
    server.zone["_imaps._tcp.example.com SRV"] = ["10 1 993 imap.example.com."]
    # When it is asked for
    found = discover(ann, "ann@example.com")
    # Then TLS comes first, and there is nothing to warn of
    assert [(one["host"], one["port"], one["security"], one["source"]) for one in found] == [
        ("imap.example.com", 993, "tls", "srv"),
        ("imap.example.com", 143, "starttls", "srv"),
    ]
    assert [one["note"] for one in found] == [None, None]


def test_a_server_of_another_domain_comes_with_a_warning(ann: Client, server: NameServer) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = ["0 1 993 mail.notexample.com."]
    (found,) = discover(ann, "ann@example.com")
    assert "Go on only if you know that server" in found["note"]


def test_a_known_host_named_by_srv_has_its_note(ann: Client, server: NameServer) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = ["0 1 993 imap.fastmail.com."]
    (found,) = discover(ann, "ann@example.com")
    assert (found["provider"], found["source"]) == ("Fastmail", "srv")
    assert "app password" in found["note"]


def test_where_nothing_is_said_names_that_exist_are_guessed(
    ann: Client, server: NameServer
) -> None:
    server.zone["mail.example.com A"] = ["10.0.0.7"]
    (found,) = discover(ann, "ann@example.com")
    # Then the name is suggested, and the address behind it is not told
    assert (found["host"], found["port"], found["source"]) == ("mail.example.com", 993, "guess")
    assert "10.0.0.7" not in str(found)
    assert len(server.asked) == 6


def test_a_domain_that_says_it_has_no_imap_is_not_guessed_at(
    ann: Client, server: NameServer
) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = ["0 0 0 ."]
    server.zone["imap.example.com A"] = ["192.0.2.1"]
    assert discover(ann, "ann@example.com") == []


def test_a_domain_beyond_ascii_is_asked_for_as_dns_has_it(ann: Client, server: NameServer) -> None:
    server.zone["_imaps._tcp.xn--bcher-kva.example SRV"] = ["0 1 993 imap.xn--bcher-kva.example."]
    (found,) = discover(ann, "ann@bücher.example")
    assert found["host"] == "imap.xn--bcher-kva.example"
    assert found["username"] == "ann@bücher.example"


def test_no_more_than_six_are_suggested_and_each_once(ann: Client, server: NameServer) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = [
        f"{n} 0 993 imap{n % 10}.example.com." for n in range(15)
    ]
    found = discover(ann, "ann@example.com")
    assert [one["host"] for one in found] == [f"imap{n}.example.com" for n in range(6)]


def test_silence_is_answered_in_time_with_nothing(ann: Client, server: NameServer) -> None:
    server.misbehaves = lambda _: []
    began = time.monotonic()
    assert discover(ann, "ann@example.com") == []
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("address", ["ann", "ann@", "@example.com", "a b@example.com", "a@b@c"])
def test_what_is_no_address_is_refused_in_words(ann: Client, address: str) -> None:
    answer = ann.get("/api/accounts/discover", params={"address": address})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "address: write it as name@example.com"


@pytest.mark.parametrize("address", ["ann@localhost", "ann@127.0.0.1", "ann@[::1]", "ann@a..b"])
def test_a_domain_that_has_no_mail_of_its_own_is_not_asked_for(
    ann: Client, server: NameServer, address: str
) -> None:
    assert discover(ann, address) == []
    assert server.asked == []


def test_only_who_has_a_token_may_ask(client: Client, server: NameServer) -> None:
    answer = client.get("/api/accounts/discover", params={"address": "ann@example.com"})
    assert answer.status_code == 401
    assert server.asked == []
    assert client.get("/api/accounts/discover", headers=bearer("ann")).status_code == 400
