"""Whom we connect to: a name server that changes its mind, and servers on two addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import structlog
from worker.conftest import unsaved

from postwire.errors import AddressForbidden, CertificateRejected
from postwire_worker import dialer as module
from postwire_worker.client import log_in
from postwire_worker.dialer import Dialer
from postwire_worker.imap import make_ssl_context
from support.dovecot import write_certificate
from support.fake_imap import fake_imap, presenting
from support.names import Names, stand_in

#: The one stands for the internet, the other for what is none of a user's business.
OPEN, CLOSED = "127.0.0.1", "127.0.0.2"
NAME = "imap.example"


@dataclass(frozen=True, slots=True)
class Both:
    """A server on each address, on the same port."""

    port: int
    closed: socket.socket

    def nobody_came(self) -> bool:
        """Whether there was no connection to the one that is closed to us."""
        try:
            self.closed.accept()
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def both() -> Iterator[Both]:
    with ExitStack() as stack:
        open_ = stack.enter_context(socket.create_server((OPEN, 0)))
        port = open_.getsockname()[1]
        closed = stack.enter_context(socket.create_server((CLOSED, port)))
        closed.settimeout(0)
        yield Both(port, closed)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return stand_in(monkeypatch)


@pytest.fixture
def dialer() -> Dialer:
    return Dialer(make_ssl_context(None), (IPv4Network(f"{OPEN}/32"),))


def test_what_was_checked_is_what_is_connected_to(names: Names, both: Both, dialer: Dialer) -> None:
    # Given a name that leads elsewhere when it is asked for the second time
    names.lead(NAME, (OPEN,), (CLOSED,))

    # When it is connected to
    with dialer.connect(NAME, both.port, 5) as connection:
        # Then that is the address of the one answer there was
        assert connection.getpeername() == (OPEN, both.port)
    assert names.asked == [NAME]
    assert both.nobody_came()


def test_a_name_that_leads_where_it_must_not_is_refused_in_words(
    names: Names, both: Both, dialer: Dialer
) -> None:
    # Given a name that leads to an address which is closed to us
    names.lead(NAME, (CLOSED,))

    # When it is to be connected to
    with structlog.testing.capture_logs() as logs, pytest.raises(AddressForbidden) as raised:
        dialer.connect(NAME, both.port, 5)

    # Then nobody was, the user is not told where it leads, and the operator is
    assert both.nobody_came()
    assert str(raised.value) == (
        f"{NAME} leads to a private or reserved address; whoever runs Postwire can allow its "
        "network with POSTWIRE_ALLOWED_NETWORKS."
    )
    assert [(one["host"], one["addresses"]) for one in logs] == [(NAME, [CLOSED])]


def test_of_a_name_that_leads_to_both_only_what_is_open_is_used(
    names: Names, both: Both, dialer: Dialer
) -> None:
    names.lead(NAME, (CLOSED, "10.0.0.1", OPEN, "::1"))
    with dialer.connect(NAME, both.port, 5) as connection:
        assert connection.getpeername()[0] == OPEN
    assert both.nobody_came()


def test_where_what_is_open_does_not_answer_nothing_else_is_tried(names: Names, both: Both) -> None:
    # Given a name with an open address where nobody listens, and one that is closed to us
    dialer = Dialer(make_ssl_context(None), (IPv4Network("127.0.0.3/32"),))
    names.lead(NAME, (CLOSED, "127.0.0.3"))
    # When it is connected to, then it cannot be reached
    with pytest.raises(ConnectionRefusedError):
        dialer.connect(NAME, both.port, 5)
    assert both.nobody_came()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "localhost",
        "0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
        "169.254.169.254",
        "fd00:ec2::254",
    ],
)
def test_however_it_is_written_the_machine_itself_is_no_mail_server(host: str) -> None:
    with pytest.raises(AddressForbidden):
        Dialer(make_ssl_context(None)).resolve(host, 993)


def test_another_address_is_tried_where_one_does_not_answer(names: Names, both: Both) -> None:
    dialer = Dialer(make_ssl_context(None), (IPv4Network("127.0.0.0/8"),))
    names.lead(NAME, ("127.0.0.3", OPEN))
    with dialer.connect(NAME, both.port, 5) as connection:
        assert connection.getpeername()[0] == OPEN


def test_a_name_with_many_addresses_costs_no_more_than_a_few(names: Names) -> None:
    dialer = Dialer(make_ssl_context(None), (IPv4Network("127.0.0.0/8"),))
    names.lead(NAME, tuple(f"127.0.0.{n}" for n in range(1, 100)))
    assert len(dialer.resolve(NAME, 993)) == module.TRIES


def test_the_server_has_to_be_who_was_named(names: Names, tmp_path: Path) -> None:
    # Given a server that shows the certificate of a name, and of its address
    write_certificate(tmp_path, NAME)
    presented = presenting(tmp_path / "server.pem")
    asked: list[str | None] = []
    presented.sni_callback = lambda _, name, __: asked.append(name)
    dialer = Dialer(make_ssl_context(tmp_path / "server.pem"), (IPv4Network(f"{OPEN}/32"),))
    for name in (NAME, "other.example"):
        names.lead(name, (OPEN,))

    with fake_imap(tls=presented) as server:
        # When a login is tried by that name, then it succeeds, and the server was told the name
        account = unsaved(NAME, server.port, security="tls")
        log_in(account, "secret", dialer).hang_up()
        assert asked == [NAME]

        # And when by another name that leads there, the address alone is not enough
        with pytest.raises(CertificateRejected, match="Hostname mismatch"):
            log_in(unsaved("other.example", server.port, security="tls"), "secret", dialer)
    assert len(server.heard("LOGIN")) == 1
