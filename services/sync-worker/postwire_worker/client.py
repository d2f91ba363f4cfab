"""imapclient as we use it: quiet, bounded, and with all its errors turned into ours.

Here a connection is made, secured and logged in; `imap` has what is said on it afterwards.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any, Protocol

from imapclient import IMAPClient, SocketTimeout
from imapclient.datetime_util import format_criteria_date
from imapclient.exceptions import CapabilityError, LoginError
from imapclient.imap_utf7 import decode as decode_utf7
from imapclient.response_parser import parse_response

from postwire.errors import (
    AuthenticationFailed,
    CapabilityMissing,
    CertificateRejected,
    ConnectionLost,
    PostwireError,
    ServerBusy,
)
from postwire.metrics import IMAP_ERRORS, IMAP_LOGINS, IMAP_TURNED_AWAY
from postwire.model import Account, Security
from postwire.providers import by_host, name_of
from postwire_worker import refusals, sasl
from postwire_worker.dialer import Dialer

#: Seconds to connect, TLS and greeting included, as the predecessor had it.
CONNECT_TIMEOUT = 10.0
#: Seconds between two bytes of an answer.
READ_TIMEOUT = 30.0
#: Seconds until we must be logged in, and until a sync must have ended: a server that sends a byte
#: now and then keeps within all timeouts.
LOGIN_LIMIT = 60.0
SYNC_LIMIT = 10 * 60.0
#: Seconds a server may take to say good-bye; nobody needs to hear it.
LOGOUT_TIMEOUT = 2.0
#: Bytes of a literal that are kept; more than is ever asked for at once.
LITERAL_LIMIT = 32 * 1024 * 1024
#: Bytes of all literals, and of all lines, that one command is answered with and that are kept.
ANSWER_LIMIT = 64 * 1024 * 1024
#: Bytes of a literal, and lines' worth of a line, that are waited for without keeping them.
_SKIPPED = 1024 * 1024 * 1024
_PIECE = 64 * 1024
_PIECES = 256
#: The end of a line that tells whether a literal follows.
_TAIL = 64
#: Stands for a FETCH answer that was too long, and which no parser takes for one.
_UNREADABLE = b"* 0 FETCH NIL "

#: RFC 4731 §3.1, of an answer to SEARCH RETURN (ALL).
_ALL = re.compile(rb"\bALL ([\d:,]+)", re.IGNORECASE)
#: Gmail's, see mscdex/node-imap#593.
_SLOWED = re.compile(rb"\[THROTTLED\]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: RFC 3501 §9: what an astring may hold without quotes.
_ASTRING = re.compile(r"[^\x00-\x20\x7f(){%*\"\\\u0080-\U0010ffff]+")

#: What imaplib, imapclient and sockets raise, most of it when an answer makes no sense.
_THEIRS = (
    OSError,
    imaplib.IMAP4.error,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)


class Server(Protocol):
    """Where a mail server is, as an account says it."""

    @property
    def host(self) -> str:
        """Its name or address."""

    @property
    def port(self) -> int:
        """Its port."""

    @property
    def security(self) -> Security:
        """What keeps a connection to it from being read."""


class _Bounded(imaplib.IMAP4):
    """Reads what is too long to its end, and keeps so little of it that no parser takes it.

    imaplib stops in the middle of a long line, after which no answer fits its command any more,
    and reads a literal of any size into memory. One message with ten thousand parts, or a server
    without mercy, would stop an account for ever.
    """

    #: Bytes of literals and lines since the last command.
    _literals = 0
    _lines = 0
    #: Set once the server has said in an answer that succeeded that it slows us down.
    throttled: ServerBusy | None = None

    def __init__(self, host: str, port: int, dialer: Dialer, *, tls: bool) -> None:
        self._dialer = dialer
        self._tls = tls
        super().__init__(host, port, CONNECT_TIMEOUT)

    def _create_socket(self, timeout: float) -> socket.socket:
        connection = self._dialer.connect(self.host, self.port, timeout)
        if not self._tls:
            return connection
        return self._dialer.ssl_context.wrap_socket(connection, server_hostname=self.host)

    def open(self, *args: Any, **options: Any) -> None:
        """Connect; from now on the time is kept."""
        super().open(*args, **options)
        _deadlines[self] = time.monotonic() + LOGIN_LIMIT

    def shutdown(self) -> None:
        """Close the connection."""
        _deadlines.pop(self, None)
        super().shutdown()

    def _command(self, name: str, *args: Any) -> Any:
        self._literals = self._lines = 0
        return super()._command(name, *args)  # type: ignore[misc]

    def _command_complete(self, name: str, tag: bytes) -> Any:
        status, said = super()._command_complete(name, tag)  # type: ignore[misc]
        self.note(said)
        return status, said

    def note(self, said: list[Any]) -> None:
        """Take note of what stands in the end of an answer that succeeded."""
        text = b" ".join(one for one in said if isinstance(one, bytes))
        # Only at its beginning: what follows may be anything.
        if _SLOWED.search(text[:_TAIL]):
            self.throttled = refusals.busy("[THROTTLED]", name_of(self.host))

    def _check_bye(self) -> None:
        try:
            super()._check_bye()  # type: ignore[misc]
        except imaplib.IMAP4.abort:
            IMAP_TURNED_AWAY.labels(provider=name_of(self.host), kind="bye").inc()
            raise

    def _get_capabilities(self) -> None:
        """Ask for the capabilities, unless the greeting has named them (RFC 3501 §7.1)."""
        said = self.untagged_responses.pop("CAPABILITY", None)
        if said and isinstance(said[-1], bytes):
            self.capabilities = tuple(str(said[-1], "ascii", "replace").upper().split())
        else:
            super()._get_capabilities()  # type: ignore[misc]

    def readline(self) -> bytes:
        """The next line, or what stands for one that is too long."""
        line, long = self._whole_line()
        self._lines += len(line)
        # A short line may be the end of the answer; but there cannot be short ones for ever.
        if self._lines > 2 * ANSWER_LIMIT:
            raise imaplib.IMAP4.abort("an answer without an end")
        if long or (self._lines > ANSWER_LIMIT and len(line) > _PIECE):
            return _UNREADABLE + line[-_TAIL:]
        return line

    def _whole_line(self) -> tuple[bytes, bool]:
        """The next line, or the end of one that is longer than imaplib reads."""
        for piece in range(_PIECES):
            try:
                return super().readline(), piece > 0
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error:
                continue
        raise imaplib.IMAP4.abort("a line without an end")

    def read(self, size: int) -> bytes:
        """The next literal, or nothing where it is too long."""
        self._literals += size
        if size <= LITERAL_LIMIT and self._literals <= ANSWER_LIMIT:
            return super().read(size)
        left = size if size <= _SKIPPED else 0
        while left and (piece := super().read(min(left, _PIECE))):
            left -= len(piece)
        if left or size > _SKIPPED:
            raise imaplib.IMAP4.abort("a literal without an end")
        return b""


#: When each connection must have come to its end, by the monotonic clock.
_deadlines: dict[_Bounded, float] = {}


def cut_overdue() -> None:
    """End the connections whose time is over; whoever waits for one of them sees it end.

    To be called every few seconds, from a thread that waits for none of them.
    """
    now = time.monotonic()
    for imap, until in list(_deadlines.items()):
        if until < now:
            # Not SSLSocket's, nor imaplib's: they would wait for the one who reads.
            with suppress(OSError):
                socket.socket.shutdown(imap.sock, socket.SHUT_RDWR)


class Client(IMAPClient):  # type: ignore[misc]
    """A connection that is secured, but not logged in yet."""

    def __init__(self, server: Server, dialer: Dialer) -> None:
        self._dialer = dialer
        super().__init__(
            server.host,
            port=server.port,
            ssl=server.security == "tls",
            timeout=SocketTimeout(CONNECT_TIMEOUT, READ_TIMEOUT),
        )
        # imaplib would format every literal for a log that nobody reads: four times the CPU.
        self._imap.debug = 0

    def _create_IMAP4(self) -> _Bounded:  # noqa: N802 - theirs
        return _Bounded(self.host, self.port, self._dialer, tls=self.ssl)

    def secure(self) -> None:
        """STARTTLS, after which nothing counts that was said before (RFC 3501 §6.2.1)."""
        self.starttls(self._dialer.ssl_context)
        # Answers put into the plain text by somebody in between would be read as the server's.
        self._imap.untagged_responses.clear()

    def log_in(self, username: str, password: str) -> None:
        """LOGIN, or PLAIN for what LOGIN has no words for (RFC 4616)."""
        if self.has_capability("LOGINDISABLED"):
            raise CapabilityMissing(
                "The mail server takes no password on this connection; set the security to tls "
                "or starttls."
            )
        with _unbroken():
            if _ASTRING.fullmatch(username) and password.isascii():
                self.login(username, password)
            else:
                self.plain_login(username, password)

    def log_in_by_token(self, username: str, token: str) -> None:
        """OAUTHBEARER (RFC 7628), or XOAUTH2, which Google and Microsoft had before it."""
        if self.has_capability("AUTH=OAUTHBEARER"):
            exchange = sasl.oauthbearer(username, token)
        elif self.has_capability("AUTH=XOAUTH2"):
            exchange = sasl.xoauth2(username, token)
        else:
            raise CapabilityMissing("The mail server takes no OAuth here; use a password.")
        try:
            with _unbroken():
                self.sasl_login(exchange.mechanism, exchange.respond)
        except LoginError as error:
            raise refusals.of_token(str(error), name_of(self.host), exchange.status) from None

    def introduce(self) -> None:
        """Say who we are where the server can hear it (RFC 2971), and no more than a name."""
        if self.has_capability("ID"):
            # What it thinks of that, and who it is, changes nothing.
            self._imap._simple_command("ID", '("name" "Postwire")')  # noqa: SLF001

    @property
    def throttled(self) -> ServerBusy | None:
        """Set once the server has slowed this connection down, although it did what was asked."""
        imap: _Bounded = self._imap
        return imap.throttled

    def allow(self, seconds: float | None) -> None:
        """Let the connection last for so long from now; None: for ever."""
        if seconds is None:
            _deadlines.pop(self._imap, None)
        else:
            _deadlines[self._imap] = time.monotonic() + seconds

    def list_status(
        self, items: Sequence[str]
    ) -> tuple[list[tuple[Any, Any, Any]], dict[str, dict[bytes, Any]]]:
        """All mailboxes, as `list_folders` has them, and the status items of each (RFC 5819)."""
        wanted = f"STATUS ({' '.join(items)})"
        if self.has_capability("SPECIAL-USE"):
            wanted = f"SPECIAL-USE {wanted}"
        self._imap.untagged_responses.pop("STATUS", None)
        said = self._answered("LIST", "LIST", '""', '"*"', f"RETURN ({wanted})")
        states = parse_response(self._imap.untagged_responses.pop("STATUS", []))
        if len(states) % 2:
            raise ValueError("not a list of pairs")
        by_name = {
            mailbox_name(name): _pairs(items)
            for name, items in zip(states[::2], states[1::2], strict=True)
        }
        return self._proc_folder_list(said), by_name

    def esearch(self, uids: str, since: date | None) -> bytes:
        """The sequence set of the UIDs found (RFC 4731); empty where there are none."""
        criteria = f"UID {uids}" + (
            f" SINCE {format_criteria_date(since).decode()}" if since else ""
        )
        said = self._answered("ESEARCH", "UID", "SEARCH", "RETURN (ALL)", criteria)
        found = _ALL.search(b" ".join(one for one in said if isinstance(one, bytes)))
        return found[1] if found else b""

    def _answered(self, kind: str, *command: str) -> list[Any]:
        """The untagged answers of one kind to a command that succeeded."""
        imap = self._imap
        imap.untagged_responses.pop(kind, None)
        status, data = imap._simple_command(*command)  # noqa: SLF001
        self._checkok(command[0], status, data)
        return list(imap.untagged_responses.pop(kind, []))

    def uid_fetch_streamed(self, uids: str, items: str, room: int) -> Iterator[list[Any]]:
        """The answers to UID FETCH, some `room` at a time, while they come in."""
        imap = self._imap
        imap.untagged_responses.pop("FETCH", None)
        tag = imap._command("UID", "FETCH", uids, items)  # noqa: SLF001
        try:
            while imap.tagged_commands[tag] is None:
                imap._get_response()  # noqa: SLF001
                imap._check_bye()  # noqa: SLF001
                if len(imap.untagged_responses.get("FETCH", ())) >= room:
                    yield imap.untagged_responses.pop("FETCH")
            status, data = imap.tagged_commands.pop(tag)
            self._checkok("fetch", status, data)
            imap.note(data)
            yield imap.untagged_responses.pop("FETCH", [])
        except GeneratorExit:
            # The rest of the answer would be taken for the next command's.
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Close the connection without a word."""
        with suppress(OSError, imaplib.IMAP4.error):
            self.shutdown()

    def leave(self) -> None:
        """Log out and close the connection; in a moment, whatever the server does."""
        try:
            self.socket().settimeout(LOGOUT_TIMEOUT)
            self.logout()
        except _THEIRS:
            self.hang_up()


def mailbox_name(name: bytes | int) -> str:
    """A mailbox's name, decoded from modified UTF-7 (RFC 3501 §5.1.3).

    Raises:
        ValueError: it is none.
    """
    return str(name) if isinstance(name, int) else str(decode_utf7(name))


@contextmanager
def _unbroken() -> Iterator[None]:
    """A connection that broke during the login says nothing about the credential."""
    try:
        yield
    except LoginError as error:
        if isinstance(error.__context__, imaplib.IMAP4.abort):
            raise error.__context__ from None
        raise


def _pairs(items: Any) -> dict[bytes, Any]:
    if not isinstance(items, tuple) or len(items) % 2:
        raise ValueError("not a list of pairs")
    return {bytes(name).upper(): value for name, value in zip(items[::2], items[1::2], strict=True)}


def log_in(account: Account, password: str, dialer: Dialer) -> Client:
    """A client that is logged in; an account with a provider has an access token for password.

    Raises:
        ConnectionLost: no way to the server; ProxyFailed: the proxy has none.
        AddressForbidden: there is one, but not for us.
        CertificateRejected: it is not who it says.
        AuthenticationFailed: it refuses the login.
        CapabilityMissing: it cannot be talked to in the way the account says.
        ServerBusy: it asks to come back later.
    """
    if _CONTROL.search(account.username) or _CONTROL.search(password):
        raise AuthenticationFailed("User name and password may not hold control characters.")
    with border("connect", account.host, account):
        client = Client(account, dialer)
    try:
        if account.security == "starttls":
            with border("starttls", account.host, account):
                client.secure()
        with border("login", account.host, account):
            log_in_ = client.log_in_by_token if account.oauth_provider else client.log_in
            log_in_(account.username, password)
        provider = by_host(account.host)
        if provider and provider.wants_id:
            with border("id", account.host):
                client.introduce()
    except BaseException:
        client.hang_up()
        raise
    IMAP_LOGINS.labels(provider=name_of(account.host)).inc()
    return client


@contextmanager
def border(doing: str, host: str, server: Server | None = None) -> Iterator[None]:
    """Turn what the library and the network raise into our errors, and count it."""
    try:
        yield
    except PostwireError as error:
        IMAP_ERRORS.labels(provider=name_of(host), kind=type(error).__name__).inc()
        raise
    except _THEIRS as error:
        ours = _translate(error, doing, name_of(host), server)
        IMAP_ERRORS.labels(provider=name_of(host), kind=type(ours).__name__).inc()
        raise ours from error


def _of_tls(error: ssl.SSLError, where: str) -> PostwireError:
    if error.reason in {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"}:
        return CapabilityMissing(f"{where} has no TLS that is safe; TLS 1.2 or newer is needed.")
    return ConnectionLost(f"{where} does not speak TLS here; check port and security.")


def _translate(  # noqa: PLR0911 - a table
    error: Exception, doing: str, provider: str, server: Server | None
) -> PostwireError:
    where = f"{server.host}:{server.port}" if server else "The mail server"
    match error:
        case ssl.SSLCertVerificationError():
            reason = error.verify_message.rstrip(".")
            return CertificateRejected(f"The certificate of {where} cannot be trusted: {reason}.")
        case ssl.SSLError() if server:
            return _of_tls(error, where)
        case socket.gaierror():
            return ConnectionLost(f"There is no server of that name: {where}.")
        case TimeoutError():
            return ConnectionLost(f"{where} does not answer in time.")
        case ConnectionRefusedError():
            return ConnectionLost(f"{where} refuses connections; check host and port.")
        case LoginError():
            return refusals.of_login(str(error), provider)
        case CapabilityError():
            return CapabilityMissing(f"{where} cannot do what is needed: {doing}.")
        case imaplib.IMAP4.abort():
            # A server that throws us out may say why, and for how long.
            busy = refusals.busy(str(error), provider)
            return busy or ConnectionLost(f"{where} broke the connection off.")
        case imaplib.IMAP4.error():
            return refusals.of_command(str(error), provider, doing)
        case _:
            return ConnectionLost(f"{where} gave no usable answer ({doing}).")
