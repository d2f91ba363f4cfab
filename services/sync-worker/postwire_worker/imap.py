"""One authenticated IMAP session, read only; methods are named for the commands of RFC 3501.

Whatever a server, the network or the client library does wrong leaves here as one of our errors,
in words a user understands; what a server sent is hostile until checked. No wait is without a
timeout.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from imapclient.exceptions import ProtocolError

from postwire.errors import CapabilityMissing, PermanentError, ServerBusy
from postwire.metrics import IMAP_CONNECTIONS
from postwire.model import Account, Flagged
from postwire.providers import name_of
from postwire_worker import answers, refusals
from postwire_worker import client as limits
from postwire_worker.answers import Items, Listed, State, Structure
from postwire_worker.client import Client, border, log_in
from postwire_worker.dialer import Dialer
from postwire_worker.parsing import parse

#: Bytes of a header block that are read; more than this is no header.
HEADER_LIMIT = 256 * 1024
#: UIDs that one SEARCH may find: its answer is one line, and a line of 1 MB is too long.
SEARCH_LIMIT = 80_000
#: Messages whose flags are held at once.
FLAGS_ROOM = 1_000
#: Seconds of silence on an idle connection until TCP asks whether the other end is still there,
#: seconds between the questions, and questions without an answer until it is not (tcp(7)).
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Unservable(PermanentError):
    """The server refuses to serve these messages, or its answer cannot be understood."""

    def __init__(self, message: str, *, busy: ServerBusy | None = None) -> None:
        super().__init__(message)
        #: Set where it sounds as if the server had no time, rather than the message a fault.
        self.busy = busy


def make_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """The one context all connections share: one each would cost 900 KB and 36 ms."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


class Session:
    """A connection that is logged in. Use `using`; it logs out when its block ends."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: Whether ids were told yet; a server may announce them, and refuse them.
        self._told_ids: bool | None = None

    def capable(self, capability: str) -> bool:
        """Whether the server has announced `capability`."""
        with border("capability", self._client.host):
            return bool(self._client.has_capability(capability))

    @property
    def throttled(self) -> ServerBusy | None:
        """Set once the server has slowed this connection down, although it did what was asked."""
        return self._client.throttled

    @property
    def ids(self) -> list[str]:
        """The FETCH items for the server's own ids and labels (RFC 8474, X-GM-EXT-1)."""
        if self._told_ids is False:
            return []
        if self.capable("X-GM-EXT-1"):
            return ["X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"]
        return ["EMAILID", "THREADID"] if self.capable("OBJECTID") else []

    def list_mailboxes(self) -> list[Listed]:
        """All mailboxes that can be selected (RFC 3501 §6.3.8, RFC 6154).

        With LIST-STATUS (RFC 5819) each comes with its state, all by one command.
        """
        with border("list", self._client.host):
            if not self._client.has_capability("LIST-STATUS"):
                return answers.listed(self._client.list_folders())
            folders, states = self._client.list_status(self._status_items())
            read = {name: state for name, said in states.items() if (state := answers.state(said))}
            return answers.listed(folders, read)

    def status(self, name: str) -> State | None:
        """Where the mailbox stands, without selecting it; None where the server will not say."""
        with border("status", self._client.host):
            answer = self._client.folder_status(name, self._status_items())
            return answers.state(answer)

    def _status_items(self) -> list[str]:
        items = ["UIDVALIDITY", "UIDNEXT", "MESSAGES"]
        # Where there is no modseq, the number of the unseen hints at changed flags.
        items.append("HIGHESTMODSEQ" if self._client.has_capability("CONDSTORE") else "UNSEEN")
        if self._client.has_capability("OBJECTID"):
            items.append("MAILBOXID")
        return items

    def select(self, name: str) -> State:
        """Open the mailbox read-only, so that looking changes nothing (EXAMINE, §6.3.2).

        Raises:
            MailboxNotFound: there is none of that name.
            CapabilityMissing: it has no UIDVALIDITY, thus no lasting UIDs.
        """
        with border("select", self._client.host):
            answer = self._client.select_folder(name, readonly=True)
            # UIDNEXT is optional in answers of RFC 3501's elders.
            state = answers.state(answer) or self.status(name)
        if state is None:
            raise CapabilityMissing(f"The mailbox {name} has no lasting message numbers.")
        return state

    def close_mailbox(self) -> None:
        """Leave the mailbox that is open; of one opened read-only nothing is expunged (§6.4.2)."""
        with border("close", self._client.host):
            self._client.close_folder()

    def uid_search(self, first: int, last: int, since: date | None = None) -> list[int]:
        """The UIDs from `first` to `last`, of messages received on or after `since` (§6.4.4)."""
        if last < first:
            return []
        # A range beyond the newest UID is read backwards, and gives that one (§6.4.8).
        found: set[int] = set()
        for low, high in self.uid_search_ranges(first, last, since):
            found.update(range(max(low, first), min(high, last) + 1))
        return sorted(found)

    def uid_search_ranges(
        self, first: int, last: int, since: date | None = None
    ) -> list[tuple[int, int]]:
        """As `uid_search`, in ranges, lowest first: what is whole takes no room (RFC 4731)."""
        criteria: list[object] = ["UID", f"{first}:{last}"]
        if since:
            criteria += ["SINCE", since]
        with border("search", self._client.host):
            if self._client.has_capability("ESEARCH"):
                return answers.sequence_set(self._client.esearch(f"{first}:{last}", since))
            return [(uid, uid) for uid in sorted(self._client.search(criteria))]

    def uid_fetch_flags(
        self,
        first: int,
        last: int,
        changed_since: int | None = None,
        *,
        labels: bool = False,
        modseq: bool = False,
    ) -> Iterator[list[Flagged]]:
        """Flags of the messages from UID `first` to `last`, as they come in (RFC 3501 §6.4.5).

        With `changed_since` only of those with a higher modseq (RFC 7162 §3.1.4.1). What was
        yielded is not kept, so that a mailbox of any size takes no more room than `FLAGS_ROOM`
        answers. Whoever stops before the end leaves the session closed. With `labels`, Gmail's too;
        `modseq` asks for the modseqs, which come by themselves with `changed_since`.
        """
        wanted = "FLAGS X-GM-LABELS" if labels else "FLAGS"
        wanted += " MODSEQ" if modseq else ""
        items = (
            f"(UID {wanted})"
            if changed_since is None
            else f"({wanted}) (CHANGEDSINCE {changed_since})"
        )
        with border("fetch", self._client.host):
            for said in self._client.uid_fetch_streamed(f"{first}:{last}", items, FLAGS_ROOM):
                yield answers.flagged(said, parse)

    def uid_fetch_structures(self, uids: Sequence[int], *, parts: bool = True) -> list[Structure]:
        """Flags, INTERNALDATE, size, header block and, with `parts`, BODYSTRUCTURE (§7.4.2).

        The server's own ids and labels come with them.

        Raises:
            Unservable: for at least one of them.
        """
        items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", f"BODY.PEEK[HEADER]<0.{HEADER_LIMIT}>"]
        if parts:
            items.append("BODYSTRUCTURE")
        fetched = self._uid_fetch_with_ids(uids, items)
        return [
            answers.structure(uid, fetched[uid])
            for uid in uids
            if uid in fetched and answers.complete(fetched[uid])
        ]

    def uid_fetch_ids(self, uids: Sequence[int]) -> list[Structure]:
        """As `uid_fetch_structures`, with neither header block nor BODYSTRUCTURE.

        Raises:
            Unservable: for at least one of them.
        """
        fetched = self._uid_fetch_with_ids(uids, ["FLAGS", "INTERNALDATE", "RFC822.SIZE"])
        sized = (uid for uid in uids if b"RFC822.SIZE" in fetched.get(uid, {}))
        return [answers.structure(uid, fetched[uid]) for uid in sized]

    def _uid_fetch_with_ids(self, uids: Sequence[int], items: Sequence[str]) -> dict[int, Items]:
        ids = self.ids
        try:
            fetched = self._uid_fetch(uids, [*items, *ids])
        except Unservable:
            if self._told_ids or "EMAILID" not in ids:
                raise
            # It may be the ids that it cannot serve, rather than these messages. Of Gmail's this is
            # not believed: without labels a message would be stored in the wrong places.
            fetched = self._uid_fetch(uids, items)
            self._told_ids = False
            return fetched
        self._told_ids = bool(ids)
        return fetched

    def uid_fetch_sections(
        self, uids: Sequence[int], sections: Sequence[str], limit: int
    ) -> dict[int, dict[str, bytes]]:
        """The first `limit` bytes of each section of each message; "" is the whole message.

        Raises:
            Unservable: for at least one of them.
        """
        items = [f"BODY.PEEK[{section}]<0.{limit}>" for section in sections]
        fetched = self._uid_fetch(uids, items)
        return {uid: answers.sections(fetched[uid]) for uid in uids if uid in fetched}

    def uid_fetch_range(self, uid: int, section: str, offset: int, length: int) -> bytes:
        """`length` bytes of one section from `offset` on; fewer where it ends (§6.4.5).

        Raises:
            Unservable: the server refuses, or gives something else.
        """
        fetched = self._uid_fetch([uid], [f"BODY.PEEK[{section}]<{offset}.{length}>"])
        content = answers.sections(fetched.get(uid, {})).get(section)
        if content is None or len(content) > length:
            raise Unservable("The mail server does not serve this part of the message.")
        return content

    def _uid_fetch(self, uids: Sequence[int], items: Sequence[str]) -> dict[int, Items]:
        with border("fetch", self._client.host):
            data = self._fetch_data(",".join(map(str, uids)), f"({' '.join(items)})")
            try:
                return answers.by_uid(parse(data), set(uids))
            except (ProtocolError, ValueError, TypeError, LookupError, RecursionError) as error:
                # The answer was read to its end; it is its content that makes no sense.
                kind = type(error).__name__
                raise Unservable(f"The mail server's answer makes no sense ({kind}).") from None

    def _fetch_data(self, uids: str, items: str) -> list[Any]:
        # Not IMAPClient.fetch: it takes a sequence number for a UID where an answer has none.
        imap = self._client._imap  # noqa: SLF001
        # What a command that failed has left over belongs to nobody.
        imap.untagged_responses.pop("FETCH", None)
        try:
            status, data = imap.uid("FETCH", uids, items)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            status, data = "BAD", [str(error).encode()]
        if status != "OK":
            refusal = b" ".join(filter(None, data)).decode("utf-8", "replace")
            busy = refusals.busy(refusal, name_of(self._client.host))
            if busy and busy.throttled:
                # To ask for each message by itself would be the opposite of what is asked of us.
                raise busy
            raise Unservable("The mail server cannot serve this message.", busy=busy)
        return list(data)

    def idle_socket(self) -> tuple[socket.socket, bytes]:
        """The socket, now non-blocking, and what was read ahead of what was understood.

        For `idle`, which reads by itself: `IMAPClient.idle_check` does not see the end of a
        connection, breaks on a line in two segments, misses what is buffered already, and
        refuses what is legal before the continuation.
        """
        self._client.allow(None)
        connection: socket.socket = self._client.socket()
        connection.settimeout(0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            # Not every system has all of them.
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        try:
            # From Python 3.14 on, imaplib reads through a buffer of its own.
            reader = getattr(self._client._imap, "_file", None) or self._client._imap.file  # noqa: SLF001
            ahead = reader.peek() or b""
        except (OSError, ValueError):
            ahead = b""
        return connection, ahead

    def allow(self, seconds: float) -> None:
        """Let the connection last for so long from now."""
        self._client.allow(seconds)

    def log_out(self) -> None:
        """Log out and close the connection."""
        self._client.leave()

    def close(self) -> None:
        """Close the connection without a word."""
        self._client.hang_up()


def open_session(account: Account, password: str, dialer: Dialer) -> Session:
    """Connect, secure the connection and log in; it is the caller who closes the session.

    Raises:
        ConnectionLost: no way to the server.
        CertificateRejected: it is not who it says.
        AuthenticationFailed: it refuses the login.
        ServerBusy: it asks to come back later.
    """
    return Session(log_in(account, password, dialer))


@contextmanager
def connect(account: Account, password: str, dialer: Dialer, purpose: str) -> Iterator[Session]:
    """As `open_session`, and log out at the end."""
    with using(open_session(account, password, dialer), purpose) as session:
        yield session


@contextmanager
def using(session: Session, purpose: str) -> Iterator[Session]:
    """Use the session for as long as a sync may take, and log out at the end."""
    session.allow(limits.SYNC_LIMIT)
    with IMAP_CONNECTIONS.labels(purpose=purpose).track_inprogress():
        try:
            yield session
        except BaseException:
            # After an error there is no telling what the server would answer, or when.
            session.close()
            raise
        session.log_out()


def today() -> date:
    """The date SEARCH's SINCE counts from: a server compares dates and disregards the zone."""
    return datetime.now(UTC).date()
