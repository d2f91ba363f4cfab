"""What everything speaks of: frozen dataclasses, named in the words of the protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NewType

AccountId = NewType("AccountId", str)
MailboxId = NewType("MailboxId", int)
MessageId = NewType("MessageId", int)
JobId = NewType("JobId", str)

Security = Literal["tls", "starttls", "none"]
#: `connecting` until the first login succeeded; no login is tried while `paused` or `auth_failed`.
AccountState = Literal["connecting", "active", "paused", "auth_failed", "unreachable"]
Reason = Literal["manual", "auto", "push"]
JobState = Literal["waiting", "active", "delayed", "completed", "failed"]
Direction = Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials on one IMAP server, owned by one user.

    `credential` is sealed (see `credentials`). `revision` counts committed changes; `epoch`
    changes when history was rebuilt, and means: load again. `window_days` is how far back the
    first sync reaches, None for everything; `sync_every` the seconds between automatic syncs.
    """

    id: AccountId
    user_id: str
    address: str
    host: str
    port: int
    security: Security
    username: str
    credential: bytes = field(repr=False)
    window_days: int | None
    state: AccountState
    state_reason: str | None
    state_since: datetime
    sync_every: int | None
    next_sync_at: datetime
    last_synced_at: datetime | None
    epoch: int
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """What of a mailbox is stored (RFC 3501 §2.3.1.1).

    Every message with `backfill_uid` <= UID < `uidnext` of the window is stored. The backfill
    lowers `backfill_uid`; 0 means that the window is filled.
    """

    uidvalidity: int
    uidnext: int
    backfill_uid: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox of an account; `cursor` is None until it was first selected."""

    id: MailboxId
    account_id: AccountId
    name: str
    delimiter: str | None
    special_use: str | None
    cursor: Cursor | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Address:
    """A person in a header (RFC 5322 §3.4)."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is no body: what it is, and the section it is fetched by (RFC 3501 §6.4.5)."""

    section: str
    filename: str | None
    content_type: str
    #: Bytes as transferred, thus with the transfer encoding's overhead.
    size: int
    content_id: str | None
    disposition: str | None


@dataclass(frozen=True, slots=True)
class Headers:
    """The header fields that are kept, decoded."""

    message_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    subject: str = ""
    date: datetime | None = None
    from_: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Body:
    """The text and the HTML of a message, as received but decoded.

    `visible` is what is read of the HTML where there is no text; it is kept for the search only.
    """

    text: str | None = None
    html: str | None = None
    snippet: str = ""
    visible: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as the server gave it, ready to be stored.

    `digest` identifies the message in its account: SHA-256 over header block and size.
    `body` is None where the account has the message already, so that it was not fetched again.
    `problem` says in words what could not be read.
    """

    uid: int
    flags: tuple[str, ...]
    modseq: int | None
    internaldate: datetime
    size: int
    digest: bytes
    headers: Headers
    body: Body | None
    attachments: tuple[Attachment, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be served or read: where it is, and why, in words."""

    uid: int
    error: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores: messages of one mailbox, and the cursor they move."""

    mailbox: Mailbox
    before: Cursor
    after: Cursor
    incoming: tuple[Incoming, ...] = ()
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What a committed batch changed: `new` messages, of which `inbound` came from others."""

    epoch: int
    revision: int
    new: int
    inbound: int
    received_at: datetime | None
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One email in one account, whichever mailboxes hold it."""

    id: MessageId
    account_id: AccountId
    headers: Headers
    internaldate: datetime
    size: int
    direction: Direction
    snippet: str
    mailboxes: tuple[str, ...]
    flags: tuple[str, ...]
    has_attachments: bool
    revision: int
    problem: str | None
    body: Body | None = None
    attachments: tuple[Attachment, ...] = field(default=())

    @property
    def unread(self) -> bool:
        """Whether no copy was read (RFC 3501 §2.3.2)."""
        return "\\Seen" not in self.flags


@dataclass(frozen=True, slots=True)
class Job:
    """One sync of one account, as its user sees it."""

    id: JobId
    account_id: AccountId
    user_id: str
    reason: Reason
    state: JobState
    attempts: int
    found: int
    error: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
