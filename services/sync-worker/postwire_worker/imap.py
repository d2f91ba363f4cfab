"""One authenticated IMAP connection; the only file that imports imapclient.

Methods are named for the commands of RFC 3501. Whatever a server, the network or the client
library does wrong leaves here as one of our errors, in words a user understands; what a server
sent is hostile until checked. No wait is without a timeout.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import CapabilityError, LoginError, ProtocolError

from postwire.errors import (
    AuthenticationFailed,
    CapabilityMissing,
    CertificateRejected,
    ConnectionLost,
    MailboxNotFound,
    PermanentError,
    PostwireError,
    ServerBusy,
    TransientError,
)
from postwire.metrics import IMAP_CONNECTIONS, IMAP_ERRORS
from postwire.model import Account

#: Seconds to connect, TLS and greeting included, as the predecessor had it.
CONNECT_TIMEOUT = 10.0
#: Seconds between two bytes of an answer.
READ_TIMEOUT = 30.0
#: Bytes of a header block that are read; more than this is no header.
HEADER_LIMIT = 256 * 1024

#: RFC 5530 and RFC 9051 §7.1: response codes by which a server says "not now".
_BUSY = re.compile(
    r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|CONTACTADMIN|OVERQUOTA)\]"
    r"|too many|throttl|backoff|try again|temporar",
    re.IGNORECASE,
)
#: Microsoft says how long; see field report ikvk/imap_tools#135.
_BACKOFF = re.compile(r"backoff time: (\d{1,9}) milliseconds", re.IGNORECASE)
_GONE = re.compile(
    r"\[(NONEXISTENT|TRYCREATE)\]|does(n't| not) exist|no such|unknown mailbox", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARTIAL = re.compile(rb"<\d+>$")


#: What imaplib, imapclient and sockets raise, most of it when an answer makes no sense.
_THEIRS = (
    OSError,
    imaplib.IMAP4.error,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class Unservable(PermanentError):
    """The server refuses to serve these messages, or its answer cannot be understood."""

    def __init__(self, message: str, *, busy: ServerBusy | None = None) -> None:
        super().__init__(message)
        #: Set where it sounds as if the server had no time, rather than the message a fault.
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox as LIST names it (RFC 3501 §7.2.2); attributes in lower case."""

    name: str
    delimiter: str | None
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class State:
    """What SELECT or STATUS says of a mailbox (RFC 3501 §2.3.1.1)."""

    uidvalidity: int
    uidnext: int


@dataclass(frozen=True, slots=True)
class Structure:
    """A message as its first FETCH shows it; `bodystructure` is imapclient's, None if unusable."""

    uid: int
    flags: tuple[str, ...]
    modseq: int | None
    internaldate: datetime | None
    size: int
    header: bytes
    bodystructure: Any


def make_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """The one context all connections share: one each would cost 900 KB and 36 ms."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


class Session:
    """A connection that is logged in. Use `connect`; it logs out when its block ends."""

    def __init__(self, client: IMAPClient) -> None:
        self._client = client

    def capable(self, capability: str) -> bool:
        """Whether the server has announced `capability`."""
        with _border("capability"):
            return bool(self._client.has_capability(capability))

    def list_mailboxes(self) -> list[Listed]:
        """All mailboxes that can be selected (RFC 3501 §6.3.8, RFC 6154)."""
        with _border("list"):
            listed = self._client.list_folders()
        mailboxes = [
            Listed(
                str(name),
                _text(delimiter) if delimiter else None,
                frozenset(_text(attribute).lower() for attribute in attributes),
            )
            for attributes, delimiter, name in listed
        ]
        return [one for one in mailboxes if not one.attributes & {"\\noselect", "\\nonexistent"}]

    def status(self, name: str) -> State | None:
        """Where the mailbox stands, without selecting it; None where the server will not say."""
        with _border("status"):
            answer = self._client.folder_status(name, ["UIDVALIDITY", "UIDNEXT"])
        return _state(answer)

    def select(self, name: str) -> State:
        """Open the mailbox read-only, so that looking changes nothing (EXAMINE, §6.3.2).

        Raises:
            MailboxNotFound: there is none of that name.
            CapabilityMissing: it has no UIDVALIDITY, thus no lasting UIDs.
        """
        with _border("select"):
            answer = self._client.select_folder(name, readonly=True)
        # UIDNEXT is optional in answers of RFC 3501's elders.
        state = _state(answer) or self.status(name)
        if state is None:
            raise CapabilityMissing(f"The mailbox {name} has no lasting message numbers.")
        return state

    def uid_search(self, first: int, last: int, since: date | None = None) -> list[int]:
        """The UIDs from `first` to `last`, of messages received on or after `since` (§6.4.4)."""
        if last < first:
            return []
        criteria: list[object] = ["UID", f"{first}:{last}"]
        if since:
            criteria += ["SINCE", since]
        with _border("search"):
            found = self._client.search(criteria)
        # A range beyond the newest UID is read backwards, and gives that one (§6.4.8).
        return sorted({uid for uid in found if first <= uid <= last})

    def uid_fetch_structures(self, uids: Sequence[int], *, parts: bool = True) -> list[Structure]:
        """Flags, INTERNALDATE, size, header block and, with `parts`, BODYSTRUCTURE (§7.4.2).

        Raises:
            Unservable: for at least one of them.
        """
        items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", f"BODY.PEEK[HEADER]<0.{HEADER_LIMIT}>"]
        if parts:
            items.append("BODYSTRUCTURE")
        answers = self._fetch(uids, items)
        return [_structure(uid, answer) for uid, answer in answers.items() if _complete(answer)]

    def uid_fetch_sections(
        self, uids: Sequence[int], sections: Sequence[str], limit: int
    ) -> dict[int, dict[str, bytes]]:
        """The first `limit` bytes of each section of each message; "" is the whole message.

        Raises:
            Unservable: for at least one of them.
        """
        answers = self._fetch(uids, [f"BODY.PEEK[{section}]<0.{limit}>" for section in sections])
        return {uid: _sections(answer) for uid, answer in answers.items()}

    def _fetch(self, uids: Sequence[int], items: Sequence[str]) -> dict[int, dict[bytes, Any]]:
        with _border("fetch"):
            try:
                fetched: dict[int, dict[bytes, Any]] = self._client.fetch(list(uids), list(items))
            except imaplib.IMAP4.abort:
                raise
            except (ProtocolError, ValueError, TypeError, LookupError, RecursionError) as error:
                # The answer was read to its end; it is its content that makes no sense.
                kind = type(error).__name__
                raise Unservable(f"The mail server's answer makes no sense ({kind}).") from None
            except imaplib.IMAP4.error as error:
                raise Unservable(
                    "The mail server cannot serve this message.",
                    busy=_busy(str(error)) if _BUSY.search(str(error)) else None,
                ) from None
        return fetched

    def idle_socket(self) -> tuple[socket.socket, bytes]:
        """The socket, now non-blocking, and what was read ahead of what was understood.

        For `idle`, which reads by itself: `IMAPClient.idle_check` does not see the end of a
        connection, breaks on a line in two segments, misses what is buffered already, and
        refuses what is legal before the continuation.
        """
        connection: socket.socket = self._client.socket()
        connection.settimeout(0)
        try:
            # From Python 3.14 on, imaplib reads through a buffer of its own.
            reader = getattr(self._client._imap, "_file", None) or self._client._imap.file  # noqa: SLF001
            ahead = reader.peek() or b""
        except (OSError, ValueError):
            ahead = b""
        return connection, ahead

    def close(self) -> None:
        """Close the connection without a word."""
        with suppress(OSError, imaplib.IMAP4.error):
            self._client.shutdown()


@contextmanager
def connect(
    account: Account, password: str, context: ssl.SSLContext, purpose: str
) -> Iterator[Session]:
    """Connect, secure the connection and log in; log out at the end.

    Raises:
        ConnectionLost: no way to the server.
        CertificateRejected: it is not who it says.
        AuthenticationFailed: it refuses the login.
        ServerBusy: it asks to come back later.
    """
    session = open_session(account, password, context)
    IMAP_CONNECTIONS.labels(purpose=purpose).inc()
    try:
        yield session
    finally:
        IMAP_CONNECTIONS.labels(purpose=purpose).dec()
        try:
            session._client.logout()  # noqa: SLF001
        except (OSError, imaplib.IMAP4.error):
            session.close()


def open_session(account: Account, password: str, context: ssl.SSLContext) -> Session:
    """As `connect`, but it is the caller who closes the session."""
    if _CONTROL.search(account.username) or _CONTROL.search(password):
        raise AuthenticationFailed("User name and password may not hold control characters.")
    with _border("connect", account):
        client = IMAPClient(
            account.host,
            port=account.port,
            ssl=account.security == "tls",
            ssl_context=context,
            timeout=SocketTimeout(CONNECT_TIMEOUT, READ_TIMEOUT),
        )
    try:
        # imaplib would format every literal for a log that nobody reads: four times the CPU.
        client._imap.debug = 0  # noqa: SLF001
        # Else times come as local ones without a zone.
        client.normalise_times = False
        with _border("starttls", account):
            if account.security == "starttls":
                client.starttls(context)
        with _border("login", account):
            _log_in(client, account.username, password)
    except BaseException:
        Session(client).close()
        raise
    return Session(client)


def _log_in(client: IMAPClient, username: str, password: str) -> None:
    if client.has_capability("LOGINDISABLED"):
        raise CapabilityMissing(
            "The mail server takes no password on this connection; set the security to tls or "
            "starttls."
        )
    if username.isascii() and password.isascii():
        client.login(username, password)
    else:
        # LOGIN has no words for anything but ASCII; PLAIN speaks UTF-8 (RFC 4616).
        client.plain_login(username, password)


@contextmanager
def _border(doing: str, account: Account | None = None) -> Iterator[None]:
    """Turn what the library and the network raise into our errors, and count it."""
    try:
        yield
    except PostwireError as error:
        IMAP_ERRORS.labels(kind=type(error).__name__).inc()
        raise
    except _THEIRS as error:
        ours = _translate(error, doing, account)
        IMAP_ERRORS.labels(kind=type(ours).__name__).inc()
        raise ours from error


def _translate(  # noqa: PLR0911 - a table
    error: Exception, doing: str, account: Account | None
) -> PostwireError:
    where = f"{account.host}:{account.port}" if account else "The mail server"
    match error:
        case ssl.SSLCertVerificationError():
            return CertificateRejected(
                f"The certificate of {where} cannot be trusted: {error.verify_message}."
            )
        case ssl.SSLError():
            return ConnectionLost(f"{where} does not speak TLS here; check port and security.")
        case socket.gaierror():
            return ConnectionLost(f"There is no server of that name: {where}.")
        case TimeoutError():
            return ConnectionLost(f"{where} does not answer in time.")
        case ConnectionRefusedError():
            return ConnectionLost(f"{where} refuses connections; check host and port.")
        case LoginError():
            return _login_refused(str(error))
        case CapabilityError():
            return CapabilityMissing(f"{where} cannot do what is needed: {doing}.")
        case imaplib.IMAP4.abort():
            return ConnectionLost(f"{where} broke the connection off.")
        case imaplib.IMAP4.error():
            return _refused(str(error), doing)
        case _:
            return ConnectionLost(f"{where} gave no usable answer ({doing}).")


def _login_refused(answer: str) -> PostwireError:
    # Too many connections look like a wrong password on some servers, but for the words.
    if _BUSY.search(answer):
        return _busy(answer)
    return AuthenticationFailed("The mail server refused the user name or password.")


def _refused(answer: str, doing: str) -> PostwireError:
    if _BUSY.search(answer):
        return _busy(answer)
    if doing in {"select", "status"} and _GONE.search(answer):
        return MailboxNotFound("The mail server has no such mailbox.")
    return TransientError(f"The mail server refused to {doing}.")


def _busy(answer: str) -> ServerBusy:
    found = _BACKOFF.search(answer)
    wait = int(found[1]) / 1000 if found else None
    return ServerBusy("The mail server asks to come back later.", retry_after=wait)


def _state(answer: dict[bytes, Any]) -> State | None:
    uidvalidity, uidnext = answer.get(b"UIDVALIDITY"), answer.get(b"UIDNEXT")
    if not isinstance(uidvalidity, int) or not isinstance(uidnext, int):
        return None
    return State(uidvalidity, uidnext) if uidvalidity > 0 and uidnext > 0 else None


def _complete(answer: dict[bytes, Any]) -> bool:
    return any(key.startswith(b"BODY[HEADER]") for key in answer) and b"RFC822.SIZE" in answer


def _structure(uid: int, answer: dict[bytes, Any]) -> Structure:
    header = next(value for key, value in answer.items() if key.startswith(b"BODY[HEADER]"))
    modseq = answer.get(b"MODSEQ")
    received = answer.get(b"INTERNALDATE")
    return Structure(
        uid=uid,
        flags=tuple(_text(flag) for flag in answer.get(b"FLAGS", ())),
        modseq=modseq[0] if isinstance(modseq, tuple) and modseq else None,
        internaldate=received if isinstance(received, datetime) and received.tzinfo else None,
        size=_whole_number(answer[b"RFC822.SIZE"]),
        header=header if isinstance(header, bytes) else b"",
        bodystructure=answer.get(b"BODYSTRUCTURE"),
    )


def _sections(answer: dict[bytes, Any]) -> dict[str, bytes]:
    # A section may be asked for as BODY.PEEK[1]<0.9> and comes as BODY[1]<0> (§7.4.2).
    found = {}
    for key, value in answer.items():
        if key.startswith(b"BODY["):
            name = _PARTIAL.sub(b"", key)[len(b"BODY[") : -1]
            found[_text(name)] = value if isinstance(value, bytes) else b""
    return found


def _whole_number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def today() -> date:
    """The date SEARCH's SINCE counts from: a server compares dates and disregards the zone."""
    return datetime.now(UTC).date()
