"""What `postwire doctor` finds at a mail server, by the very way that syncs go.

`shared` registers no IMAP code; it finds this module by its entry point.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from postwire.command.console import plain
from postwire.command.database import opened
from postwire.command.doctor import Ask
from postwire.command.findings import Finding, fail, ok, warn
from postwire.command.times import span
from postwire.errors import AuthenticationFailed, PostwireError, SettingsError
from postwire.login import check_host
from postwire.model import Account, Security
from postwire.settings import DialerSettings, WorkerSettings, load
from postwire.store import inspection
from postwire.store.pool import snapshot
from postwire_worker.access import open_session
from postwire_worker.client import Client, Server, border
from postwire_worker.dialer import Dialer
from postwire_worker.networks import is_open
from postwire_worker.runtime import Runtime, make_dialer, make_runtime

#: What a sync makes use of, and what is done without it.
_USEFUL = {
    "IDLE": "new mail is looked for every POSTWIRE_POLL_SECONDS",
    "CONDSTORE": "all flags are compared every five minutes",
    "LIST-STATUS": "each mailbox is asked for by itself",
}
#: Seconds before its end that somebody should know of a certificate.
_SOON = 14 * 86_400.0
_GREETING = 60
#: What stands before the words of a greeting (RFC 3501 §7.1).
_CODE = re.compile(r"^\* \w+ (\[[^\]]*\] ?)?")
_IMAPS = 993


@dataclass(frozen=True, slots=True)
class _Named:
    """A server that somebody named."""

    host: str
    port: int
    security: Security


def look(ask: Ask) -> Iterator[Finding]:
    """Where the name leads, whether it can be connected to, what it says, whether it lets us in."""
    try:
        if ask.account is None:
            yield from _look(_named(ask))
            return
        with opened() as pool, snapshot(pool) as connection:
            account = inspection.find_account(connection, ask.account)
        yield from _look(account)
        if ask.log_in:
            yield from _login(account)
    except (SettingsError, PostwireError) as error:
        yield fail("imap: not looked at", str(error))


def _named(ask: Ask) -> _Named:
    host, _, port = (ask.address or "").rpartition(":")
    try:
        check_host(host.strip("[]"))
    except ValueError:
        host = ""
    if not host or not port.isdigit() or not 0 < int(port) <= 65_535:  # noqa: PLR2004 - a port
        raise SettingsError("--imap: write HOST:PORT, as imap.example.com:993")
    usual: Security = "tls" if int(port) == _IMAPS else "starttls"
    asked: dict[str | None, Security] = {"tls": "tls", "starttls": "starttls", "none": "none"}
    return _Named(host.strip("[]"), int(port), asked.get(ask.security, usual))


def _look(server: Server) -> Iterator[Finding]:
    dialer = make_dialer(load(DialerSettings))
    led = _leads_to(server, dialer)
    yield led
    if led.level == "fail":
        return
    if dialer.proxy:
        yield ok(f"imap: the way there leads through the proxy {dialer.proxy}")
    try:
        with border("connect", server.host, server):
            client = Client(server, dialer)
        try:
            if server.security == "starttls":
                with border("starttls", server.host, server):
                    client.secure()
            yield from _connected(server, client, dialer)
        finally:
            client.hang_up()
    except PostwireError as error:
        yield fail("imap: no connection", str(error))


def _leads_to(server: Server, dialer: Dialer) -> Finding:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return fail(
            f"imap: there is no address of {server.host}", "check the name and the DNS here"
        )
    addresses = sorted({str(one[4][0]) for one in found})
    closed = [one for one in addresses if not is_open(one, dialer.allowed)]
    leads = f"imap: {server.host} leads to {', '.join(addresses)}"
    if not closed:
        return ok(leads)
    said = "which is" if closed == addresses else f"of which {', '.join(closed)} is"
    level = fail if closed == addresses else warn
    return level(
        f"{leads}, {said} private or reserved",
        "allow its network with POSTWIRE_ALLOWED_NETWORKS if it is to be reached",
    )


def _connected(server: Server, client: Client, dialer: Dialer) -> Iterator[Finding]:
    connection = client.socket()
    # Through a proxy, it is the proxy that is at the other end.
    peer = server.host if dialer.proxy else connection.getpeername()[0]
    to = f"imap: connected to {peer}, port {server.port}"
    if isinstance(connection, ssl.SSLSocket):
        yield ok(f"{to}, {connection.version()}")
        yield _certificate(connection)
    else:
        yield warn(f"{to}, without TLS", "passwords go there in the clear; use tls or starttls")
    yield ok(f"imap: it greets with: {_greeting(client)}")
    with border("capability", server.host):
        announced = {plain(one.decode("ascii", "replace")) for one in client.capabilities()}
    yield ok(f"imap: before the login it announces {' '.join(sorted(announced))}"[:500])


def _certificate(connection: ssl.SSLSocket) -> Finding:
    certificate = connection.getpeercert() or {}
    left = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    until = f"imap: its certificate is trusted, and good for another {span(left)}"
    return (
        ok(until)
        if left > _SOON
        else warn(until, "have it renewed: once it has ended, no login is tried")
    )


def _greeting(client: Client) -> str:
    return _CODE.sub("", plain(client.welcome.decode("utf-8", "replace")))[:_GREETING]


def _login(account: Account) -> Iterator[Finding]:
    """Whether the account gets in; where no sync would try, nor does this."""
    if account.state == "auth_failed":
        yield warn(
            "imap: not logged in, the server has refused this credential",
            "have the user enter it again; another attempt could lock the account",
        )
        return
    if account.busy_seconds:
        yield warn(
            "imap: not logged in, the server wants to be left alone",
            f"try again in {span(account.busy_seconds)}",
        )
        return
    runtime = make_runtime(load(WorkerSettings), 1)
    try:
        yield from _logged_in(runtime, account)
    finally:
        runtime.close()


def _logged_in(runtime: Runtime, account: Account) -> Iterator[Finding]:
    try:
        with runtime.budget.slot(account, "manual"):
            session = open_session(runtime, account)
            mailboxes = len(session.list_mailboxes())
            lacking = [one for one in _USEFUL if not session.capable(one)]
            session.log_out()
    except AuthenticationFailed as error:
        yield fail("imap: the login was refused", str(error))
    except PostwireError as error:
        yield fail("imap: no login", str(error))
    else:
        yield ok(f"imap: logged in; there are {mailboxes} mailboxes")
        for one in lacking:
            yield warn(f"imap: the server has no {one}", f"nothing to do; but {_USEFUL[one]}")
