"""A server's answers to a sync, from the first byte on the wire to what would be stored."""

from __future__ import annotations

import imaplib
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime

from postwire.errors import PostwireError
from postwire.model import Account, AccountId, Incoming
from postwire_worker.client import Client
from postwire_worker.fetch import fetch
from postwire_worker.imap import Session

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_ACCOUNT = Account(
    id=AccountId(str(uuid.UUID(int=1))),
    user_id="owner",
    address="robin@postwire.example",
    host="mail.example",
    port=143,
    security="none",
    username="robin",
    credential=b"",
    window_days=None,
    state="connecting",
    state_reason=None,
    state_since=_NOW,
    sync_every=None,
    next_sync_at=_NOW,
    last_synced_at=None,
    epoch=1,
    revision=0,
    created_at=_NOW,
)
_ABLE = "IMAP4rev1 ESEARCH LIST-STATUS SPECIAL-USE CONDSTORE"
#: What a server can do, one of which is chosen by the first byte.
_CAPABILITIES = ["IMAP4rev1", _ABLE, f"{_ABLE} OBJECTID", f"{_ABLE} X-GM-EXT-1"]
_UIDS = [1, 2, 3]


class _Wire:
    """Stands for the network: what is read are bytes that are there already."""

    def __init__(self, capabilities: str) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.sendall(f"* OK [CAPABILITY {capabilities}] hello\r\n".encode())

    def connect(self, _host: str, _port: int, _timeout: float) -> socket.socket:
        return self.ours

    def end(self, said: bytes) -> None:
        """Say the last that will be said."""
        # More than a socket takes would wait for its reader, who has not begun.
        self.theirs.sendall(said[: 64 * 1024])
        self.theirs.shutdown(socket.SHUT_WR)


def run(data: bytes) -> None:
    """Sync with a server that says `data`, in which `TAG0` stands for the first command's tag."""
    chosen, said = data[:1] or b"\0", data[1:]
    wire = _Wire(_CAPABILITIES[chosen[0] % len(_CAPABILITIES)])
    with wire.theirs:
        client = Client(_ACCOUNT, wire)  # type: ignore[arg-type]
        try:
            imap: imaplib.IMAP4 = client._imap
            imap.state = "SELECTED"
            wire.end(said.replace(b"TAG", imap.tagpre))
            with suppress(PostwireError):
                _sync(Session(client), chosen[0] // len(_CAPABILITIES))
        finally:
            client.hang_up()


def _sync(session: Session, which: int) -> None:
    match which % 5:
        case 0:
            for mailbox in session.list_mailboxes():
                _keepable(mailbox.name)
            session.status("INBOX")
            session.select("INBOX")
        case 1:
            # Not `uid_search`, which is for ranges that were found to be short.
            ranges = session.uid_search_ranges(1, 2**32 - 1, date(2026, 1, 1))
            assert all(0 <= low <= high for low, high in ranges)
        case 2:
            for page in session.uid_fetch_flags(1, 2**32 - 1, 7, labels=True):
                for one in page:
                    assert 0 < one.uid < 2**32
                    _keepable(*one.flags, *(one.labels or ()))
        case 3:
            session.uid_fetch_range(1, "1.2", 0, 100)
        case _:
            fetched = fetch(session, _UIDS, lambda _: set())
            assert set(fetched.done) <= set(_UIDS)
            for message in fetched.incoming:
                _keepable(*_words(message))
            assert not [one for one in fetched.set_aside if "cannot be read" in one.error]


def _words(message: Incoming) -> Iterator[str]:
    """All that is kept of it as text."""
    yield from message.flags
    yield message.headers.subject
    yield from message.headers.references
    for part in message.attachments:
        yield from filter(None, (part.section, part.filename, part.content_type, part.content_id))
    if message.body:
        yield from filter(None, (message.body.text, message.body.html, message.body.snippet))


def _keepable(*words: str) -> None:
    """PostgreSQL takes them."""
    for word in words:
        assert "\0" not in word
        word.encode()


def _message(uid: int, header: bytes, structure: bytes) -> bytes:
    return (
        b'* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE "17-Jul-2024 02:44:25 -0700" '
        b"RFC822.SIZE 99 BODY[HEADER]<0> {%d}\r\n%b BODYSTRUCTURE %b)\r\n"
        % (uid, uid, len(header), header, structure)
    )


_TEXT = b'("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 5 1)'
_FILE = (
    b'("APPLICATION" "PDF" ("NAME" "=?utf-8?q?a?=") "<x@y>" NIL "BASE64" 99 NIL '
    b'("ATTACHMENT" ("FILENAME*0*" "utf-8\'\'a%C3%A4" "FILENAME*1" "b.pdf")))'
)
_LETTER = b'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: "A" <a@b>\r\n\r\n'


def seeds() -> Iterator[bytes]:
    """Good answers of each kind."""
    done = b"TAG%d OK done\r\n"
    listed = b'* LIST (\\HasNoChildren \\Sent) "/" "Sent &AOQ-"\r\n* LIST () NIL {1}\r\nA\r\n'
    states = (
        b"* STATUS INBOX (UIDVALIDITY 1 UIDNEXT 9 MESSAGES 3 HIGHESTMODSEQ 7 MAILBOXID (x))\r\n"
    )
    selected = b"* 3 EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 9]\r\n"
    for able in range(len(_CAPABILITIES)):
        kinds = [
            listed + states + done % 0 + states + done % 1 + selected + done % 2,
            b'* ESEARCH (TAG "TAG0") UID ALL 1:3,9\r\n* SEARCH 1 2 9 (MODSEQ 7)\r\n' + done % 0,
            b"* 1 FETCH (UID 1 MODSEQ (7) FLAGS (\\Seen $x))\r\n* 2 FETCH (FLAGS () UID 2 "
            b'X-GM-LABELS ("\\\\Inbox" Work) MODSEQ (8))\r\n' + done % 0,
            b"* 1 FETCH (UID 1 BODY[1.2]<0> {5}\r\nhello)\r\n" + done % 0,
            _message(1, _LETTER, b"(" + _TEXT + _FILE + b' "MIXED")')
            + _message(2, _LETTER, _TEXT)
            + _message(3, _LETTER, b"(NIL)")
            + done % 0
            + b'* 1 FETCH (UID 1 BODY[1]<0> {5}\r\nhello)\r\n* 2 FETCH (UID 2 BODY[1]<0> "")\r\n'
            + done % 1
            + b"* 3 FETCH (UID 3 BODY[]<0> {%d}\r\n%b)\r\n" % (len(_LETTER) + 2, _LETTER + b"hi")
            + done % 2,
        ]
        for n, kind in enumerate(kinds):
            yield bytes([n * len(_CAPABILITIES) + able]) + kind
