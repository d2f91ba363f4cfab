"""Which provider a host or an address belongs to."""

from __future__ import annotations

from collections import Counter

import pytest

from postwire.providers import PROVIDERS, by_address, by_host, by_mx, name_of


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


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("ASPMX.L.GOOGLE.COM.", "Gmail"),
        ("example-com.mail.protection.outlook.com", "Outlook"),
        ("in1-smtp.messagingengine.com", "Fastmail"),
        ("mta5.am0.yahoodns.net", "Yahoo"),
        ("mx-aol.mail.gm0.yahoodns.net", "AOL"),
        ("mx2.zoho.com", "Zoho"),
        ("mx.example.com", None),
        ("evilgoogle.com", None),
    ],
)
def test_a_server_that_takes_in_mail_is_known_by_its_end(host: str, name: str | None) -> None:
    provider = by_mx(host)
    assert (provider.name if provider else None) == name


def test_metrics_name_the_providers_that_are_known_and_no_other() -> None:
    assert name_of("imap.gmail.com") == "Gmail"
    assert name_of("imap.gmail.com.example") == name_of("mail.example.org") == "other"


def test_help_is_a_page_on_the_web() -> None:
    assert all(provider.help is None or provider.note for provider in PROVIDERS)
    assert all((provider.help or "https://").startswith("https://") for provider in PROVIDERS)


def test_no_domain_has_two_providers_and_each_server_is_its_own() -> None:
    domains = Counter(domain for provider in PROVIDERS for domain in provider.domains)
    assert set(domains.values()) == {1}
    assert [by_host(provider.imap_host) for provider in PROVIDERS] == list(PROVIDERS)
