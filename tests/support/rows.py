"""Rows for the tests, stored by the real store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from postwire.credentials import Keyring
from postwire.model import (
    Account,
    AccountId,
    Address,
    Attachment,
    Batch,
    Body,
    Cursor,
    Headers,
    Incoming,
    Mailbox,
    MessageId,
    Stored,
)
from postwire.store import accounts, contents, mailboxes, messages
from postwire.store.contents import CHUNK, Chunk, Content, Wanted
from postwire.store.pool import Pool, transaction

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
START = Cursor(uidvalidity=1, uidnext=1, backfill_uid=0)


def let_time_pass(store: Pool, seconds: float) -> None:
    """Processes have given no sign of life for so long."""
    with transaction(store) as connection:
        connection.execute(
            "UPDATE process SET expires_at = expires_at - make_interval(secs => %s)", [seconds]
        )


def account(store: Pool, user: str = "ann", address: str = "ann@example.com") -> Account:
    """A new account; nobody can open its credential."""
    return _add(store, AccountId(str(uuid4())), user, address, b"sealed")


def sealed(store: Pool, keyring: Keyring, secret: str, provider: str | None = None) -> Account:
    """A new account whose password, or whose grant by the provider, is `secret`."""
    id_ = AccountId(str(uuid4()))
    credential = keyring.seal(id_, secret, "refresh token" if provider else "password")
    return _add(store, id_, "ann", f"{id_}@example.com", credential, provider)


def _add(
    store: Pool,
    id_: AccountId,
    user: str,
    address: str,
    credential: bytes,
    provider: str | None = None,
) -> Account:
    with transaction(store) as connection:
        return accounts.add(
            connection,
            id_,
            user_id=user,
            address=address,
            host="imap.example.com",
            port=993,
            security="tls",
            username=address,
            credential=credential,
            window_days=30,
            oauth_provider=provider,
        )


def active(store: Pool, user: str = "ann", address: str = "ann@example.com") -> Account:
    """An account whose login succeeded."""
    added = account(store, user, address)
    with transaction(store) as connection:
        changed = accounts.set_state(connection, added, "active")
    assert changed is not None
    return changed


def mailbox(
    store: Pool, owner: Account, name: str = "INBOX", special_use: str | None = None
) -> Mailbox:
    """A mailbox that was selected and has nothing stored yet."""
    with transaction(store) as connection:
        kept = mailboxes.keep(connection, owner.id, name, "/", special_use)
        mailboxes.start(connection, kept, START)
        return replace(kept, cursor=START)


def incoming(uid: int, *, flags: Iterable[str] = (), **headers: object) -> Incoming:
    """A message as a server gives it; each uid is a minute younger than the one before."""
    subject = str(headers.get("subject", f"Message {uid}"))
    fields = Headers(
        **{
            "message_id": f"<{uid}@example.com>",
            "subject": subject,
            "from_": (Address("Bob", "bob@example.com"),),
            "to": (Address("", "ann@example.com"),),
            "date": NOON,
        }
        | headers  # type: ignore[arg-type]
    )
    return Incoming(
        uid=uid,
        flags=tuple(flags),
        modseq=None,
        internaldate=NOON + timedelta(minutes=uid),
        size=1000,
        digest=sha256(f"{uid} {subject}".encode()).digest(),
        headers=fields,
        body=Body(text=f"Text {uid}", html=None, snippet=f"Text {uid}"),
    )


def attachment(
    filename: str | None = "report.pdf",
    content_type: str = "application/pdf",
    *,
    section: str = "2",
    content_id: str | None = None,
) -> Attachment:
    """An attachment as a structure describes it."""
    return Attachment(section, filename, content_type, 100, content_id, "attachment")


def keep(store: Pool, message_id: int, n: int, content: bytes) -> Content:
    """Keep `content` for an attachment, as the worker does."""
    with transaction(store) as connection:
        row = connection.execute("SELECT account_id FROM message WHERE id = %s", [message_id])
        (account_id,) = row.fetchone() or ("",)
        wanted = Wanted(account_id, MessageId(message_id), n, None, "", "active")
        contents.ask(connection, wanted)
        request = contents.claim(connection, account_id, "rows")
        assert request is not None
        id_ = contents.begin(connection, account_id)
        for number, begin in enumerate(range(0, len(content), CHUNK)):
            chunk = Chunk(id_, number, content[begin : begin + CHUNK])
            assert contents.add_chunk(connection, request, "rows", chunk)
        contents.complete(connection, request, id_, sha256(content).digest(), len(content))
        found = contents.find(connection, wanted)
    assert isinstance(found, Content)
    return found


def batch(box: Mailbox, *messages_: Incoming, before: Cursor = START) -> Batch:
    """What stores `messages_`, the cursor moving from `before` past the last of them."""
    uidnext = max((one.uid for one in messages_), default=before.uidnext) + 1
    return Batch(
        mailbox=box, before=before, after=replace(before, uidnext=uidnext), incoming=messages_
    )


def store_batch(store: Pool, what: Batch) -> Stored:
    """Store it in a transaction of its own."""
    with transaction(store) as connection:
        return messages.store(connection, what)
