"""What goes in and out, as JSON sees it: camelCase, every field always there."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from postwire import model
from postwire.model import AccountState, Direction, JobState, Reason, Security
from postwire.store import accounts, changes, mailboxes, set_aside
from postwire_api import filenames, names

#: Rough on purpose: only the mail server knows which addresses it has.
_ADDRESS = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
#: What a line of IMAP cannot hold (RFC 3501 §9, TEXT-CHAR).
_UNSENDABLE = re.compile(r"[\x00\r\n]")

#: What RFC 3501 §5.1.3 and common sense leave of a mailbox's name; also a special use, or "*".
_Term = Annotated[str, Meta(min_length=1, max_length=500)]
Terms = Annotated[
    list[_Term],
    Meta(
        max_length=200,
        description='Names, special uses like "\\\\Archive" (RFC 6154), or "*" for all.',
    ),
]
WindowDays = Annotated[int, Meta(ge=1, le=36_500, description="In days.")]

SyncEvery = Annotated[int, Meta(ge=10, le=86_400, description="Seconds between two syncs.")]


class _Out(msgspec.Struct, rename="camel"):
    pass


class _In(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    # A misspelt `accountId` would otherwise mean all accounts.
    pass


Password = Annotated[str, Meta(min_length=1, max_length=1024)]


class Grant(_In, kw_only=True):
    """Access that the mail account's owner has granted to this installation by OAuth.

    `refreshToken` is what the provider gave for it; see docs/oauth.md for what to ask.
    """

    provider: Annotated[
        str,
        Meta(min_length=1, max_length=100, description="As the operator named it; say, google."),
    ]
    refresh_token: Annotated[str, Meta(min_length=1, max_length=8192)]

    def __post_init__(self) -> None:
        """Check what a pattern could not say in words."""
        if not (self.refresh_token.isascii() and self.refresh_token.isprintable()):
            raise ValueError("refreshToken: it may hold printable ASCII only")


class NewAccount(_In, kw_only=True):
    """A mail account to be added, with either `password` or `oauth`."""

    address: Annotated[str, Meta(max_length=254)]
    password: Password | None = None
    #: Needs `tls` or `starttls`.
    oauth: Grant | None = None
    host: Annotated[str, Meta(max_length=253, description="Host name or IP address.")]
    port: Annotated[int, Meta(ge=1, le=65_535)]
    security: Security
    #: Left away, it is the address.
    username: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    #: How far back mail is fetched; null fetches all.
    window_days: WindowDays | None = 30
    #: Which mailboxes are synced; null stands for INBOX and Sent.
    mailboxes: Terms | None = None

    def __post_init__(self) -> None:
        """Check what a pattern could not say in words."""
        check_address(self.address)
        if not _is_host(self.host):
            raise ValueError("host: write a host name like imap.example.com, or an IP address")
        if _UNSENDABLE.search(self.username or ""):
            raise ValueError("username: it may not hold line breaks or NUL")
        _check_login(self.password, self.oauth)
        # RFC 7628 §4: whoever reads an access token has the access.
        if self.oauth and self.security == "none":
            raise ValueError("security: with oauth it has to be tls or starttls")
        _check_terms(self.mailboxes)


class Scope(_In, kw_only=True):
    """What of an account is synced; what is left away stays as it is."""

    mailboxes: Terms | msgspec.UnsetType | None = msgspec.UNSET
    window_days: WindowDays | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        """Check what a pattern could not say in words."""
        if self.mailboxes is not msgspec.UNSET:
            _check_terms(self.mailboxes)


class NewCredential(_In, kw_only=True):
    """How a mail account is logged in to from now on: either `password` or `oauth`."""

    password: Password | None = None
    oauth: Grant | None = None

    def __post_init__(self) -> None:
        """Check what a pattern could not say in words."""
        _check_login(self.password, self.oauth)


def check_address(address: str) -> None:
    """Let nothing pass that is no address.

    Raises:
        ValueError: how it is to be written.
    """
    if not _ADDRESS.fullmatch(address):
        raise ValueError("address: write it as name@example.com")


def _check_terms(terms: list[str] | None) -> None:
    # PostgreSQL keeps no NUL and no half of a surrogate pair, and no mailbox has such a name.
    if terms and any(_UNSENDABLE.search(term) or not _is_text(term) for term in terms):
        raise ValueError("mailboxes: names may not hold line breaks or NUL")


def _is_text(term: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in term)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return names.is_host(host)
    return True


def _check_login(password: str | None, oauth: Grant | None) -> None:
    if (password is None) == (oauth is None):
        raise ValueError("give either password or oauth")
    if password and _UNSENDABLE.search(password):
        raise ValueError("password: it may not hold line breaks or NUL")


Source = Literal["provider", "mx", "srv", "guess"]


class Suggestion(_Out, kw_only=True):
    """Where an address may be able to log in; nothing of it was tried."""

    host: str
    port: int
    security: Security
    username: str
    #: Who says so: what is known of a `provider`, its mail servers in the domain's `mx`, the
    #: domain's `srv` records (RFC 6186), or nobody: a `guess` at a name that exists.
    source: Source
    #: Its name, where it is a known one.
    provider: str | None
    #: The OAuth provider that this installation could use for it.
    oauth: str | None
    #: What to know before the first login, in words.
    note: str | None
    #: The page that explains it.
    help: str | None


class Suggestions(_Out, kw_only=True):
    """The best one first; none where nothing was found."""

    suggestions: list[Suggestion]


class SyncRequest(_In, kw_only=True):
    """Which account to sync; without one, all of the caller's."""

    account_id: str | None = None


class ScheduleRequest(_In, kw_only=True):
    """Which account to sync by itself, and how often; without one, all of the caller's."""

    account_id: str | None = None
    every: SyncEvery = accounts.DEFAULT_EVERY


class Account(_Out, kw_only=True):
    """A mail account; `state` says whether it works, `stateReason` in words why not."""

    id: str
    address: str
    host: str
    port: int
    security: Security
    username: str
    auth: Literal["password", "oauth"]
    provider: Annotated[str | None, Meta(description="Of OAuth; null where there is a password.")]
    window_days: int | None
    mailboxes: list[str] | None
    state: AccountState
    state_reason: str | None
    state_since: datetime
    sync_every: int | None
    #: When the account is next looked at by itself; null where that is not going to happen.
    next_sync_at: datetime | None
    #: No login is tried before: the mail server wants to be left alone.
    busy_until: datetime | None
    last_synced_at: datetime | None
    audited_at: datetime | None
    epoch: int
    revision: int
    unread: int
    created_at: datetime

    @classmethod
    def of(cls, account: model.Account, unread: int) -> Account:
        """What its owner may see of `account`: everything but the credential."""
        return cls(
            id=account.id,
            address=account.address,
            host=account.host,
            port=account.port,
            security=account.security,
            username=account.username,
            auth="oauth" if account.oauth_provider else "password",
            provider=account.oauth_provider,
            window_days=account.window_days,
            mailboxes=account.mailboxes,
            state=account.state,
            state_reason=account.state_reason,
            state_since=account.state_since,
            sync_every=account.sync_every,
            next_sync_at=account.next_sync_at if _is_scheduled(account) else None,
            busy_until=account.busy_until if account.busy_seconds else None,
            last_synced_at=account.last_synced_at,
            audited_at=account.audited_at,
            epoch=account.epoch,
            revision=account.revision,
            unread=unread,
            created_at=account.created_at,
        )


def _is_scheduled(account: model.Account) -> bool:
    return account.sync_every is not None and account.state in ("active", "unreachable")


class Accounts(_Out, kw_only=True):
    """All accounts of the caller, oldest first."""

    accounts: list[Account]


class Mailbox(_Out, kw_only=True):
    """A mailbox with what is stored of it."""

    id: str
    name: str
    delimiter: str | None
    special_use: str | None
    messages: int
    unread: int
    checked_at: datetime | None
    #: Why it is left alone for a day, in words.
    problem: str | None

    @classmethod
    def of(cls, counted: mailboxes.Counted) -> Mailbox:
        """The mailbox with its counts."""
        return cls(
            id=str(counted.mailbox.id),
            name=counted.mailbox.name,
            delimiter=counted.mailbox.delimiter,
            special_use=counted.mailbox.special_use,
            messages=counted.messages,
            unread=counted.unread,
            checked_at=counted.checked_at,
            problem=counted.mailbox.problem,
        )


class Mailboxes(_Out, kw_only=True):
    """The mailboxes of an account, INBOX first."""

    mailboxes: list[Mailbox]


class Address(_Out, kw_only=True):
    """A person in a header."""

    name: str
    address: str


class MessageSummary(_Out, kw_only=True):
    """A message as a list shows it."""

    id: str
    account_id: str
    conversation_id: str | None
    mailboxes: list[str]
    subject: str
    from_: list[Address] = msgspec.field(name="from")
    to: list[Address]
    date: datetime | None
    internal_date: datetime
    direction: Direction
    snippet: str
    unread: bool
    flags: list[str]
    has_attachments: bool
    size: int
    revision: int
    problem: str | None

    @classmethod
    def of(cls, message: model.Message) -> MessageSummary:
        """`message` without its body."""
        return cls(
            id=str(message.id),
            account_id=message.account_id,
            conversation_id=None if message.thread_id is None else str(message.thread_id),
            mailboxes=list(message.mailboxes),
            subject=message.headers.subject,
            from_=people(message.headers.from_),
            to=people(message.headers.to),
            date=message.headers.date,
            internal_date=message.internaldate,
            direction=message.direction,
            snippet=message.snippet,
            unread=message.unread,
            flags=list(message.flags),
            has_attachments=message.has_attachments,
            size=message.size,
            revision=message.revision,
            problem=message.problem,
        )


class Messages(_Out, kw_only=True):
    """A page of messages: newest first, those of a conversation oldest first."""

    messages: list[MessageSummary]
    next_cursor: str | None


class Attachment(_Out, kw_only=True):
    """A part of a message that is no body."""

    n: int
    #: Fit to be shown and saved by; one without a name gets it from its place and type.
    filename: str
    content_type: str
    size: int
    content_id: str | None
    disposition: str | None


class InlineImage(_Out, kw_only=True):
    """An image that the HTML shows by its content id (RFC 2392), and that is not in it yet."""

    cid: str
    n: int
    content_type: str
    size: int


class Message(MessageSummary, kw_only=True):
    """A message whole; `html` is safe to show, its remote images wait in `data-src`.

    Small images that came with the message are in the HTML, once they were fetched. The others it
    shows by `src="cid:…"`; `inlineImages` says which attachments these are.
    """

    cc: list[Address]
    bcc: list[Address]
    reply_to: list[Address]
    message_id: str | None
    in_reply_to: str | None
    references: list[str]
    text: str | None
    html: str | None
    attachments: list[Attachment]
    inline_images: list[InlineImage]


def people(addresses: tuple[model.Address, ...]) -> list[Address]:
    """The people of a header field."""
    return [Address(name=person.name, address=person.address) for person in addresses]


def attachments(parts: tuple[model.Attachment, ...]) -> list[Attachment]:
    """The attachments of a message, numbered from 1."""
    return [
        Attachment(
            n=n,
            filename=filenames.shown(part.filename, part.content_type, n),
            content_type=part.content_type,
            size=part.size,
            content_id=part.content_id,
            disposition=part.disposition,
        )
        for n, part in enumerate(parts, start=1)
    ]


class Job(_Out, kw_only=True):
    """One sync of one account."""

    id: str
    account_id: str
    reason: Reason
    state: JobState
    attempts: int
    found: int
    error: str | None
    position: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: model.Job) -> Job:
        """What its owner may see of `job`."""
        return cls(
            id=job.id,
            account_id=job.account_id,
            reason=job.reason,
            state=job.state,
            attempts=job.attempts,
            found=job.found,
            error=job.error,
            position=job.position,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


class Jobs(_Out, kw_only=True):
    """A page of jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None


class AskedStats(_Out, kw_only=True):
    """How many of the caller's jobs are in which state, as the predecessor answered a request."""

    waiting: int
    active: int
    completed: int
    failed: int


class QueueStats(AskedStats, kw_only=True):
    """How many of the caller's jobs are in which state."""

    delayed: int
    total: int


class SyncAsked(_Out, kw_only=True):
    """The jobs that a request for a sync opened or found open."""

    success: Literal[True] = True
    job_id: Annotated[str | None, Meta(description="The first job; null where there is none.")]
    job_ids: list[str]
    message: str
    queue_stats: AskedStats


class SyncStats(_Out, kw_only=True):
    """The state of the caller's jobs."""

    success: Literal[True] = True
    queue_stats: QueueStats


class Schedule(_Out, kw_only=True):
    """When an account is next synced by itself; `every` in seconds."""

    account_id: str
    every: int
    next_sync_at: datetime

    @classmethod
    def of(cls, schedule: accounts.Schedule) -> Schedule:
        """The schedule of one account."""
        return cls(
            account_id=schedule.account_id,
            every=schedule.every,
            next_sync_at=schedule.next_sync_at,
        )


class Schedules(_Out, kw_only=True):
    """The schedules of the caller's accounts."""

    success: Literal[True] = True
    schedules: list[Schedule]


class SchedulesChanged(Schedules, kw_only=True):
    """The schedules of the accounts that the request was about."""

    message: str


class RealtimeToken(_Out, kw_only=True):
    """What the gateway asks for; `url` is its address, empty where it has the page's origin."""

    token: str
    expires_at: datetime
    url: str


class Conversation(_Out, kw_only=True):
    """A conversation as a list shows it; `snippet` is of its newest message."""

    id: str
    account_id: str
    subject: Annotated[str, Meta(description="Of its first message.")]
    participants: Annotated[list[Address], Meta(description="The first 20 who appeared in it.")]
    senders: Annotated[
        list[Address],
        Meta(description="Those of them who came in by writing, and who wrote last."),
    ]
    snippet: str
    last_message_at: datetime
    messages: int
    unread: int
    has_attachments: bool
    revision: int

    @classmethod
    def of(cls, conversation: model.Conversation) -> Conversation:
        """The conversation without what only cursors need."""
        return cls(
            id=str(conversation.id),
            account_id=conversation.account_id,
            subject=conversation.subject,
            participants=people(conversation.participants),
            senders=people(conversation.senders),
            snippet=conversation.snippet,
            last_message_at=conversation.last_message_at,
            messages=conversation.messages,
            unread=conversation.unread,
            has_attachments=conversation.has_attachments,
            revision=conversation.revision,
        )


class Conversations(_Out, kw_only=True):
    """A page of conversations, the one with the newest message first."""

    conversations: list[Conversation]
    next_cursor: str | None


class Changes(_Out, kw_only=True):
    """What has changed up to `revision`; `reset` means: load everything again."""

    account_id: str
    epoch: int
    revision: int
    added: list[MessageSummary]
    changed: list[MessageSummary]
    expunged: Annotated[list[str], Meta(description="Ids of messages that are gone.")]
    more: bool
    reset: bool

    @classmethod
    def of(cls, account_id: str, told: changes.Changes) -> Changes:
        """One page of changes."""
        return cls(
            account_id=account_id,
            epoch=told.epoch,
            revision=told.revision,
            added=[MessageSummary.of(message) for message in told.added],
            changed=[MessageSummary.of(message) for message in told.changed],
            expunged=[str(id_) for id_ in told.expunged],
            more=told.more,
            reset=told.reset,
        )


class Aside(_Out, kw_only=True):
    """A message set aside: where it lies, why, and when it is tried again.

    `rawSize` is how many of its bytes can be read, null where none could be had.
    """

    mailbox_id: str
    mailbox: str
    uid: int
    error: str
    at: datetime
    attempts: int
    retry_at: datetime
    raw_size: int | None

    @classmethod
    def of(cls, aside: set_aside.Aside) -> Aside:
        """What its owner may see of `aside`."""
        return cls(
            mailbox_id=str(aside.mailbox_id),
            mailbox=aside.mailbox,
            uid=aside.uid,
            error=aside.error,
            at=aside.at,
            attempts=aside.attempts,
            retry_at=aside.retry_at,
            raw_size=aside.raw_size,
        )


class AsideList(_Out, kw_only=True):
    """The messages of an account that were set aside, the latest first."""

    set_aside: list[Aside]


class AsideRetry(_Out, kw_only=True):
    """How many messages are tried again, and the job that does it; null where there are none."""

    success: Literal[True] = True
    due: int
    job_id: str | None


class Piece(_Out, kw_only=True):
    """A piece of an excerpt, as plain text; `match`: it is what was looked for."""

    text: str
    match: bool


class SearchResult(_Out, kw_only=True):
    """A message that was found; the texts of `snippet`, put together, are the excerpt."""

    message: MessageSummary
    snippet: list[Piece]
    rank: Annotated[float, Meta(description="How well it fits; comparable within a page.")]


class SearchResults(_Out, kw_only=True):
    """A page of what was found; it may be shorter than `limit` although more follows."""

    results: list[SearchResult]
    next_cursor: str | None
