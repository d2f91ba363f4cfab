"""What everything speaks of: frozen dataclasses, named in the words of the protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, NewType

AccountId = NewType("AccountId", str)
MailboxId = NewType("MailboxId", int)
MessageId = NewType("MessageId", int)
ThreadId = NewType("ThreadId", int)
JobId = NewType("JobId", str)

Security = Literal["tls", "starttls", "none"]
#: `connecting` until the first login succeeded; no login is tried while `paused` or `auth_failed`.
AccountState = Literal["connecting", "active", "paused", "auth_failed", "unreachable"]
Reason = Literal["manual", "auto", "push"]
JobState = Literal["waiting", "active", "delayed", "completed", "failed"]
Direction = Literal["inbound", "outbound"]
#: RFC 3676: not flowed, flowed, or flowed with DelSp=yes.
Flow = Literal["", "flowed", "delsp"]


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials on one IMAP server, owned by one user.

    `credential` is sealed (see `credentials`); `credential_revision` counts those that were entered
    and stays where one is sealed again. `revision` counts committed changes; `epoch` changes when
    history was rebuilt, and means: load again. `window_days` is how far back the first sync
    reaches, None for everything; `sync_every` the seconds between automatic syncs.
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
    #: Names, special uses and "*", as the user set them; None means INBOX and Sent.
    mailboxes: list[str] | None = None
    #: Who gives out access for the refresh token that `credential` is; None: it is a password.
    oauth_provider: str | None = None
    #: When all that is stored was last compared with the server.
    audited_at: datetime | None = None
    #: No login is tried before: the server wants to be left alone.
    busy_until: datetime | None = None
    credential_revision: int = 1

    @property
    def busy_seconds(self) -> float:
        """Seconds until a login may be tried; 0: now."""
        left = self.busy_until and (self.busy_until - datetime.now(UTC)).total_seconds()
        return max(left or 0, 0)


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
    #: MAILBOXID, which outlives a rename (RFC 8474).
    object_id: str | None = None
    #: Flags are stored up to here (RFC 7162); None: all have to be compared.
    highestmodseq: int | None = None
    #: Messages on the server, by the last comparison and what was found since; None: unknown.
    messages: int | None = None
    #: Where the server has no modseq: messages not seen, and when all flags were compared.
    unseen: int | None = None
    flags_at: datetime | None = None
    #: The first day the backfill reaches back to; None: there is no end.
    window_start: date | None = None
    #: Changes of UIDVALIDITY in a row; some message may lie nowhere since the last.
    resets: int = 0
    homeless: bool = False
    #: The mailbox that tells what lies in this one, which therefore is never opened.
    label_of: MailboxId | None = None
    #: Since when it is left alone, and why, in words.
    parked_at: datetime | None = None
    problem: str | None = None
    #: UIDs of the batch at which the connection broke last.
    stumbled: list[int] | None = None


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
    #: How the lines of the text belong together.
    flow: Flow = ""
    visible: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as the server gave it, ready to be stored.

    `digest` identifies the message in its account: SHA-256 over header block and size.
    `body` is None where the account has the message already, so that it was not fetched again;
    `headers` are empty where the server's own id had told that. `problem` says in words what could
    not be read.
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
    #: What the server itself calls the message, and its thread (RFC 8474, X-GM-EXT-1).
    server_id: str | None = None
    server_thread: str | None = None
    #: Special uses and names of mailboxes (see `store.labels`); None where that was not told.
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Flagged:
    """The flags a message has now (RFC 3501 §2.3.2), and the modseq where the server has one."""

    uid: int
    flags: tuple[str, ...]
    modseq: int | None
    #: As `Incoming.labels`.
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be served or read: where it is, and why, in words."""

    uid: int
    error: str
    #: The message as the server has it, or its beginning, where that could be had.
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores: messages of one mailbox, and the cursor they move."""

    mailbox: Mailbox
    before: Cursor
    after: Cursor
    incoming: tuple[Incoming, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    #: UIDs above the cursor that the server was seen to have, stored or not.
    arrived: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """What a committed batch changed: `new` messages, of which `inbound` came from others.

    `received_at` is when the server had the newest of them, `oldest_received_at` the oldest.
    """

    epoch: int
    revision: int
    new: int
    inbound: int
    received_at: datetime | None
    stored_at: datetime
    oldest_received_at: datetime | None = None


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
    #: None for a moment only, until a message of an older release was given its thread.
    thread_id: ThreadId | None
    body: Body | None = None
    attachments: tuple[Attachment, ...] = field(default=())

    @property
    def unread(self) -> bool:
        """Whether no copy was read (RFC 3501 §2.3.2)."""
        return "\\Seen" not in self.flags


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread as its reader sees it: what is there now, counted when it was read.

    `participants` are the first people who appeared in it, `senders` those of them who came in by
    writing, and who wrote last; `newest` is its last message's id.
    """

    id: ThreadId
    account_id: AccountId
    subject: str
    participants: tuple[Address, ...]
    senders: tuple[Address, ...]
    snippet: str
    last_message_at: datetime
    newest: MessageId
    messages: int
    unread: int
    has_attachments: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Job:
    """One sync of one account, as its user sees it.

    `position` is its place in its queue while it waits, 1 being next; None where nobody asked.
    """

    id: JobId
    account_id: AccountId
    user_id: str
    reason: Reason
    queue: str
    state: JobState
    attempts: int
    found: int
    error: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    position: int | None = None
