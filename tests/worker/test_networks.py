from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire_worker.networks import Networks, is_open

PUBLIC = ["8.8.8.8", "142.250.1.109", "2a00:1450:400c::6d", "2606:4700::1111"]
#: Of each of IANA's special blocks, and of clouds, one; some are global to `ipaddress`.
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - none is bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.255.255",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "64:ff9b:1::808:808",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]
METADATA = [
    "169.254.169.254",
    "fd00:ec2::254",
    "fd00:ec2::254%1",
    "168.63.129.16",
    "fd20:ce::254",
    "100.100.100.200",
    "::ffff:169.254.169.254",
]
EVERYTHING: Networks = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


def forms(address: IPv4Address) -> list[str]:
    """The IPv6 addresses that stand for it: mapped, NAT64, 6to4."""
    number = int(address)
    return [
        f"::ffff:{address}",
        str(ip_address((0x64FF9B << 96) | number)),
        str(ip_address((0x2002 << 112) | (number << 80) | 1)),
    ]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_open(address: str) -> None:
    assert is_open(address, ())


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_the_internet_is_open_only_where_it_was_allowed(address: str) -> None:
    assert not is_open(address, ())
    other = (IPv4Network("10.99.0.0/24"), IPv6Network("fd99::/64"))
    assert not is_open(address, other)


@pytest.mark.parametrize("address", METADATA)
def test_the_secrets_of_a_cloud_are_never_open(address: str) -> None:
    assert not is_open(address, ())
    assert not is_open(address, EVERYTHING)


@given(st.ip_addresses(v=4))
def test_an_address_is_as_open_as_what_it_stands_for(address: IPv4Address) -> None:
    assert {is_open(form, ()) for form in forms(address)} == {is_open(str(address), ())}


@pytest.mark.parametrize("text", [one for one in NOT_PUBLIC if "." in one and ":" not in one])
def test_no_form_of_a_private_address_is_open(text: str) -> None:
    assert not any(is_open(form, ()) for form in forms(IPv4Address(text)))


@given(st.ip_addresses(v=4))
def test_nothing_is_open_that_python_takes_for_special(address: IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved:
        assert not is_open(str(address), ())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.0/8"),
    ],
)
def test_what_the_operator_allows_is_open(address: str, network: str) -> None:
    assert is_open(address, (IPv4Network(network),))


def test_a_network_of_ipv6_is_allowed_by_its_own_addresses() -> None:
    allowed = (IPv6Network("fd12:3456::/32"),)
    assert is_open("fd12:3456::1", allowed)
    assert not is_open("fd12:3457::1", allowed)
    assert not is_open("10.1.2.3", allowed)
