"""What DNS says of a mail domain: the one place that asks it.

Whoever owns a domain decides what is answered for it, so nothing is believed and all is bounded:
one question is one small datagram each way, at most three servers are asked, and a name that could
not be a host's is passed over. A truncated answer counts for what it holds; TCP, by which an answer
may have 64 KiB, is not used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import dns.message
import dns.name
import dns.rcode
import dns.resolver
from dns.exception import DNSException
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.IN.SRV import SRV
from dns.rrset import RRset

from postwire.errors import SettingsError
from postwire.metrics import DNS_LOOKUPS

#: RFC 1123 §2.1, with the underscore that container networks like to use.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
#: RFC 1035 §2.3.4, as text without the last dot.
_MAX_NAME = 253
_PORT = 53
#: Seconds that one name server has; a total is up to the caller.
_PATIENCE = 1.0
#: What the resolver of libc asks at most (resolv.conf(5)).
_SERVERS = 3
#: Bytes an answer may have without being fragmented on its way (DNS flag day 2020).
_PAYLOAD = 1232
#: Questions under way at once; the others wait.
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is (RFC 2782); an empty host: the domain says that it has none."""

    host: str
    port: int


def is_host(name: str) -> bool:
    """Whether this could be the name of a host."""
    labels = name.removesuffix(".").split(".")
    return len(name) <= _MAX_NAME and all(_LABEL.fullmatch(label) for label in labels)


def ascii_domain(domain: str) -> str | None:
    """A mail domain as DNS has it (RFC 5891), in lower case; None where it can be none."""
    if len(domain) > _MAX_NAME:
        return None
    try:
        name = dns.name.from_text(domain, idna_codec=dns.name.IDNA_2008_Practical)
    except (DNSException, UnicodeError):
        return None
    text = name.to_text(omit_final_dot=True).lower()
    # A name without a dot is of the local network, or an address; neither has mail of its own.
    return text if "." in text and is_host(text) and not _is_address(text) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class Names:
    """Asks the name servers."""

    def __init__(self, servers: Sequence[str]) -> None:
        """Ask `servers`, each an `address` or `address:port`; the system's where there are none.

        Raises:
            SettingsError: one of them is no address.
        """
        self._servers = [_server(one) for one in servers or _of_system()][:_SERVERS]
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def mx(self, domain: str) -> list[str]:
        """The servers that take in the domain's mail, preferred ones first (RFC 5321 §5.1)."""
        records = _of(MX, await self._ask(domain, RdataType.MX))
        records.sort(key=lambda record: record.preference)
        hosts = [_host(record.exchange) for record in records]
        return [host for host in hosts if host]

    async def srv(self, service: str, domain: str) -> list[Service]:
        """Where the domain has the service, preferred ones first (RFC 2782, RFC 6186).

        Of those that are equal the weightier ones come first: it is a person who chooses.
        """
        answer = await self._ask(f"{service}._tcp.{domain}", RdataType.SRV)
        records = _of(SRV, answer)
        records.sort(key=lambda record: (record.priority, -record.weight))
        return [
            Service(host, record.port)
            for record in records
            if (host := _host(record.target)) is not None and (record.port or not host)
        ]

    async def exists(self, host: str) -> bool:
        """Whether the name has an address; which one is nobody's business here."""
        return bool(await self._ask(host, RdataType.A) or await self._ask(host, RdataType.AAAA))

    async def _ask(self, name: str, kind: RdataType) -> RRset | None:
        outcome, answer = "failed", None
        try:
            query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
            async with self._places:
                for address, port in self._servers:
                    if (message := await _reply(query, address, port)) is not None:
                        answer = message.resolve_chaining().answer
                        outcome = "found" if answer else "nothing"
                        break
        except DNSException:  # too long a name, aliases in a circle, an answer to something else
            outcome = "failed"
        DNS_LOOKUPS.labels(outcome).inc()
        return answer


async def _reply(
    query: dns.message.Message, address: str, port: int
) -> dns.message.QueryMessage | None:
    """The server's answer; None where none came in time that makes sense."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reply = await _exchange(query, address, port)
    except (DNSException, OSError):  # TimeoutError is one
        return None
    answered = reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    return reply if answered and isinstance(reply, dns.message.QueryMessage) else None


async def _exchange(query: dns.message.Message, address: str, port: int) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(0)
        # From now on the kernel passes on what comes from this server alone.
        connection.connect((address, port))
        await loop.sock_sendall(connection, query.to_wire())
        while True:
            received = await loop.sock_recv(connection, _PAYLOAD + 1)
            # dnspython takes 11 s to read the worst 64 KiB, and 0.2 s for the worst we asked for.
            if len(received) <= _PAYLOAD and received[:2] == query.id.to_bytes(2):
                with suppress(DNSException):
                    reply = dns.message.from_wire(received)
                    # Who can only guess has a second to guess right, and does not end the waiting.
                    if query.is_response(reply):
                        return reply


R = TypeVar("R", MX, SRV)


def _of(kind: type[R], answer: RRset | None) -> list[R]:
    return [record for record in answer or () if isinstance(record, kind)]


def _server(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    # More than one colon, and no brackets: an address of IPv6 without a port.
    if not separator or (":" in host and not host.startswith("[")):
        host, port = text, str(_PORT)
    try:
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise SettingsError(
            f"POSTWIRE_DNS_SERVERS: write {text} as 192.0.2.1 or 192.0.2.1:53"
        ) from None


def _of_system() -> list[str]:
    try:
        return [str(one) for one in dns.resolver.Resolver().nameservers]
    except dns.resolver.NoResolverConfiguration:
        return []


def _host(name: dns.name.Name) -> str | None:
    """The name as text, empty for the root; None where it is no host's."""
    text = name.to_text(omit_final_dot=True)
    if text == ".":
        return ""
    return text.lower() if is_host(text) else None
