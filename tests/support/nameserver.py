"""A name server of the tests' own, on a UDP port of the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

HOST = "127.0.0.1"

#: The datagrams that answer a question, in its own way.
Misbehaviour: TypeAlias = Callable[[dns.message.QueryMessage], list[bytes]]


@dataclass(slots=True)
class NameServer:
    """What it knows, and what it was asked."""

    port: int
    #: Records by name and type, as a zone file has them: {"example.com A": ["192.0.2.1"]}.
    zone: dict[str, list[str]] = field(default_factory=dict)
    misbehaves: Misbehaviour | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """As POSTWIRE_DNS_SERVERS has it."""
        return f"{HOST}:{self.port}"

    def answer(self, question: dns.message.QueryMessage) -> dns.message.Message:
        """What an honest server answers."""
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        (asked,) = question.question
        name, kind = asked.name.to_text(omit_final_dot=True), asked.rdtype.name
        self.asked.append(f"{name} {kind}")
        for _ in range(20):
            if records := self.zone.get(f"{name} {kind}"):
                answer.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, records))
                return answer
            if not (alias := self.zone.get(f"{name} CNAME")):
                break
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", alias[0]))
            name = alias[0].removesuffix(".")
        if not answer.answer:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@contextmanager
def nameserver() -> Iterator[NameServer]:
    """Run one that knows nothing yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((HOST, 0))
        server = NameServer(listening.getsockname()[1])
        over = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, listening, over))
        thread.start()
        try:
            yield server
        finally:
            over.set()
            listening.sendto(b"", (HOST, server.port))
            thread.join()


def _serve(server: NameServer, listening: socket.socket, over: threading.Event) -> None:
    while True:
        data, client = listening.recvfrom(65535)
        if over.is_set():
            return
        question = dns.message.from_wire(data)
        assert isinstance(question, dns.message.QueryMessage)
        if server.misbehaves:
            answers = server.misbehaves(question)
        else:
            answers = [server.answer(question).to_wire(max_size=65535)]
        for answer in answers:
            listening.sendto(answer, client)
