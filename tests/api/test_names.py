"""What DNS says, from a server of the tests' own, honest and otherwise."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postwire.errors import SettingsError
from postwire_api.names import Names, Service, ascii_domain, is_host
from support.nameserver import NameServer, nameserver


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A name server that knows nothing."""
    with nameserver() as server:
        yield server


@pytest.fixture
def names(server: NameServer) -> Names:
    """Asks that server alone."""
    return Names([server.address])


async def test_mail_servers_come_in_the_order_of_their_preference(
    server: NameServer, names: Names
) -> None:
    server.zone["example.com MX"] = ["20 b.example.com.", "10 A.example.com."]
    assert await names.mx("example.com") == ["a.example.com", "b.example.com"]


async def test_services_come_by_priority_and_then_by_weight(
    server: NameServer, names: Names
) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = [
        "10 5 993 light.example.com.",
        "10 9 993 heavy.example.com.",
        "0 0 1993 first.example.net.",
    ]
    assert await names.srv("_imaps", "example.com") == [
        Service("first.example.net", 1993),
        Service("heavy.example.com", 993),
        Service("light.example.com", 993),
    ]


async def test_a_domain_may_say_that_it_has_no_service(server: NameServer, names: Names) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = ["0 0 0 ."]
    assert await names.srv("_imaps", "example.com") == [Service("", 0)]


async def test_an_alias_is_followed(server: NameServer, names: Names) -> None:
    server.zone["imap.example.com CNAME"] = ["host.example.net."]
    server.zone["host.example.net A"] = ["192.0.2.1"]
    assert await names.exists("imap.example.com")
    assert not await names.exists("mail.example.com")


async def test_a_name_with_an_address_of_version_6_alone_exists(
    server: NameServer, names: Names
) -> None:
    server.zone["imap.example.com AAAA"] = ["2001:db8::1"]
    assert await names.exists("imap.example.com")


async def test_aliases_in_a_circle_and_without_end_lead_nowhere(
    server: NameServer, names: Names
) -> None:
    server.zone["imap.example.com CNAME"] = ["mail.example.com."]
    server.zone["mail.example.com CNAME"] = ["imap.example.com."]
    server.zone |= {f"a{n}.example.com CNAME": [f"a{n + 1}.example.com."] for n in range(40)}
    assert not await names.exists("imap.example.com")
    assert not await names.exists("a0.example.com")


async def test_an_answer_larger_than_asked_for_is_not_read(
    server: NameServer, names: Names
) -> None:
    # Given an answer of 10,000 records' size, made so that to read it takes 11 s
    server.misbehaves = lambda question: [_costly(question, 65_507)]
    # When it is asked for
    began = time.monotonic()
    found = await names.mx("example.com")
    # Then it was not read
    assert found == []
    assert time.monotonic() - began < 3


async def test_the_costliest_answer_that_is_read_costs_little(
    server: NameServer, names: Names
) -> None:
    server.misbehaves = lambda question: [_costly(question, 1232)]
    assert len(await names.mx("example.com")) == 1


def _costly(question: dns.message.QueryMessage, size: int) -> bytes:
    """Records whose names are all one pointer to the longest name that there can be."""
    asked = b"\x07example\x03com\0" + struct.pack("!HH", 15, 1)
    start = 12 + len(asked)
    record = struct.pack("!HHIH", 15, 1, 1, 4) + b"\0\0"
    # One record that belongs to the question, and whose target is the long name.
    target = b"\x01a" * 120 + b"\xc0\x0c"
    head = b"\xc0\x0c" + struct.pack("!HHIH", 15, 1, 1, 2 + len(target)) + b"\0\0" + target
    pointer = struct.pack("!H", 0xC000 | (start + 14))
    each = pointer + record + pointer
    many = (size - start - len(head)) // len(each)
    header = struct.pack("!HHHHHH", question.id, 0x8180, 1, many + 1, 0, 0)
    return header + asked + head + each * many


async def test_names_that_are_no_hosts_are_passed_over(server: NameServer, names: Names) -> None:
    server.zone["_imaps._tcp.example.com SRV"] = [
        r"0 0 993 \000\010evil.example.com.",
        r"0 0 993 a\.b\@c.example.com.",
        "0 0 993 -dash.example.com.",
        "0 0 993 " + "x" * 63 + "." + "y" * 63 + "." + "z" * 63 + ".example.com.",
        "0 0 0 zero.example.com.",
    ]
    found = await names.srv("_imaps", "example.com")
    assert [service.host for service in found] == [
        "x" * 63 + "." + "y" * 63 + "." + "z" * 63 + ".example.com"
    ]


async def test_a_forged_answer_is_not_taken_and_the_true_one_still_is(
    server: NameServer, names: Names
) -> None:
    # Given somebody who answers faster, and can only guess what was asked
    def forge(question: dns.message.QueryMessage) -> list[bytes]:
        forged = dns.message.make_response(question)
        forged.id = (question.id + 1) % 65536
        lies = ["0 mx.evil.example."]
        forged.answer = [dns.rrset.from_text_list("example.com.", 1, "IN", "MX", lies)]
        other = dns.message.make_response(dns.message.make_query("example.net", "MX"))
        other.id = question.id
        return [b"\0", forged.to_wire(), other.to_wire(), server.answer(question).to_wire()]

    server.zone["example.com MX"] = ["10 mx.example.com."]
    server.misbehaves = forge
    # Then the true answer counts
    assert await names.mx("example.com") == ["mx.example.com"]


async def test_rubbish_and_silence_end_in_time(server: NameServer, names: Names) -> None:
    for answers in ([], [b""], [secrets.token_bytes(500)], [b"\xc0\x0c" * 3000]):
        server.misbehaves = lambda _, answers=answers: answers  # type: ignore[misc]
        began = time.monotonic()
        assert await names.mx("example.com") == []
        assert time.monotonic() - began < 2


async def test_a_server_that_fails_is_followed_by_the_next(server: NameServer) -> None:
    # Given a server that refuses, and nobody at the port after it
    with nameserver() as refusing:
        refusing.misbehaves = lambda question: [_refusal(question)]
        server.zone["example.com MX"] = ["10 mx.example.com."]
        # When all three are asked
        names = Names([refusing.address, "127.0.0.1:9", server.address])
        # Then the last one's answer counts
        assert await names.mx("example.com") == ["mx.example.com"]


def _refusal(question: dns.message.QueryMessage) -> bytes:
    answer = dns.message.make_response(question)
    answer.set_rcode(dns.rcode.REFUSED)
    return answer.to_wire()


async def test_a_truncated_answer_counts_for_what_it_holds(
    server: NameServer, names: Names
) -> None:
    def cut(question: dns.message.QueryMessage) -> list[bytes]:
        answer = server.answer(question)
        answer.flags |= dns.flags.TC
        return [answer.to_wire()]

    server.zone["example.com MX"] = ["10 mx.example.com."]
    server.misbehaves = cut
    assert await names.mx("example.com") == ["mx.example.com"]


async def test_many_questions_at_once_are_all_answered(server: NameServer, names: Names) -> None:
    server.zone["example.com MX"] = ["10 mx.example.com."]
    answers = await asyncio.gather(*(names.mx("example.com") for _ in range(200)))
    assert answers == [["mx.example.com"]] * 200


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("日本語。example", "xn--wgv71a119e.example"),
        ("localhost", None),
        ("127.0.0.1", None),
        ("[127.0.0.1]", None),
        ("", None),
        (".", None),
        ("a..b", None),
        ("a b.example", None),
        ("a\\046b.example", None),
        ("x" * 64 + ".example", None),
        ("x." * 127 + "example", None),
        ("\ud800.example", None),
    ],
)
def test_a_domain_is_asked_for_as_dns_has_it(domain: str, wanted: str | None) -> None:
    assert ascii_domain(domain) == wanted


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_domain_that_could_not_be_one(text: str) -> None:
    domain = ascii_domain(text)
    assert domain is None or is_host(domain)


@pytest.mark.parametrize("text", ["example.com", "192.0.2.1:", "192.0.2.1:port", "[::1", "1:2"])
def test_a_setting_that_is_no_address_is_refused_in_words(text: str) -> None:
    with pytest.raises(SettingsError, match="POSTWIRE_DNS_SERVERS"):
        Names([text])


def test_servers_may_have_a_port_or_be_of_version_6() -> None:
    names = Names(["192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53", "2001:db8::2"])
    assert names._servers == [("192.0.2.1", 53), ("192.0.2.1", 5353), ("2001:db8::1", 53)]


def test_without_a_setting_the_system_is_asked() -> None:
    with suppress(FileNotFoundError):
        assert len(Names([])._servers) <= 3
