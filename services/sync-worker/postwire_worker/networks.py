"""Which addresses a user may make Postwire connect to: those of the public internet.

The tables are our own (IANA's special-purpose registries, RFC 6890): what `ipaddress` takes for
global differs from one Python to the next, and has multicast, 6to4, NAT64 and site-local in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
#: All that was ever given out lies in here, and of it is not public what follows.
_GIVEN_OUT_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
#: RFC 6052 §2.1: the last 32 bits are an IPv4 address, to which a NAT64 leads.
_NAT64 = IPv6Network("64:ff9b::/96")
#: Where clouds tell a machine its secrets (AWS, Azure, Google, Alibaba); Azure's is a public one.
_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "fd00:ec2::254",
            "168.63.129.16",
            "fd20:ce::254",
            "100.100.100.200",
        ),
    )
)


def is_open(text: str, allowed: Networks) -> bool:
    """Whether the address is public, or in one of the networks that the operator allows.

    An IPv6 address that stands for an IPv4 address is that one. A cloud's metadata is never open,
    in however large a network it was allowed.
    """
    # A zone (RFC 4007) says by which link, not to whom.
    given = ip_address(text.partition("%")[0])
    address = _embedded(given) if isinstance(given, IPv6Address) else given
    if address in _METADATA:
        return False
    return _is_public(address) or any(
        one in network for network in allowed for one in (given, address)
    )


def _embedded(address: IPv6Address) -> Address:
    """The IPv4 address that is meant: IPv4-mapped, 6to4 (RFC 3056), NAT64."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GIVEN_OUT_6 and not any(address in network for network in _NOT_PUBLIC_6)
