"""Which provider a host or an address belongs to."""

from __future__ import annotations

from collections import Counter

import pytest

from postwire.providers import PROVIDERS, by_address, by_host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("imap.gmail.com", "Gmail"),
        ("IMAP.Gmail.com.", "Gmail"),
        ("outlook.office365.com", "Outlook"),
        ("export.imap.mail.yahoo.com", "Yahoo"),
        ("163.com", "163.com"),
    ],
)
def test_a_host_is_known_by_its_end(host: str, name: str) -> None:
    provider = by_host(host)
    assert provider
    assert provider.name == name


@pytest.mark.parametrize("host", ["notgmail.com", "gmail.com.example", "127.0.0.1", ""])
def test_other_hosts_are_nobodys(host: str) -> None:
    assert by_host(host) is None


def test_an_address_leads_to_where_its_user_logs_in() -> None:
    provider = by_address("Robin.Doe@GoogleMail.com")
    assert provider
    assert (provider.imap_host, provider.imap_port) == ("imap.gmail.com", 993)
    assert provider.connections == 15
    for other in ("robin@mail.gmail.com", "robin@gmail.com.example", "gmail", ""):
        assert by_address(other) is None


def test_no_domain_has_two_providers_and_each_server_is_its_own() -> None:
    domains = Counter(domain for provider in PROVIDERS for domain in provider.domains)
    assert set(domains.values()) == {1}
    assert [by_host(provider.imap_host) for provider in PROVIDERS] == list(PROVIDERS)
