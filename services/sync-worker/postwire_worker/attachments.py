"""The bytes of attachments, fetched from the mail server when somebody asks for them.

One connection serves all that is asked of an account meanwhile. An attachment is read in ranges,
decoded as it comes and written chunk by chunk, so that its size is no matter of memory. No
transaction is open while the network is waited for.
"""

from __future__ import annotations

import hashlib
import random
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import structlog

from postwire.errors import (
    AuthenticationFailed,
    CredentialUnreadable,
    Gone,
    MailboxNotFound,
    NoFreeConnection,
    NotFound,
    PermanentError,
    PostwireError,
    QueueUnavailable,
    ServerBusy,
    StoreUnavailable,
    TooLarge,
    TransientError,
)
from postwire.jobs import enqueue_fetch
from postwire.metrics import ATTACHMENT_BYTES, ATTACHMENT_FETCHES
from postwire.model import Account, AccountId
from postwire.store import accounts, contents
from postwire.store.contents import CHUNK, Failure, Place, Request
from postwire.store.pool import transaction
from postwire_worker import mime
from postwire_worker.access import open_session
from postwire_worker.answers import Structure
from postwire_worker.decoding import decoder
from postwire_worker.fetch import WHOLE_LIMIT, digest
from postwire_worker.imap import Session, Unservable, using
from postwire_worker.refusals import come_back_in
from postwire_worker.runtime import Runtime
from postwire_worker.structure import Part, Untrustworthy, leaves

#: Bytes that are asked of the server at once.
RANGE = 1024 * 1024
#: Seconds after which a run takes no further attachment and makes way for others.
BUDGET = 20.0
#: Seconds until a run looks again for a free connection, with jitter.
PAUSE = (1.0, 3.0)
#: Begins a section that is the n-th attachment of a message whose structure was not trusted.
_WHOLE = "whole:"
_NO_LOGIN = ("paused", "auth_failed")

log = structlog.get_logger()


class _Lost(Exception):
    """Another worker has the request now."""


def run(runtime: Runtime, account_id: AccountId, limit: int) -> None:
    """Fetch what is asked of the account, attachments of at most `limit` bytes."""
    # Not the process: two runs in one must not take each other's requests for their own.
    runtime = replace(runtime, holder=f"{runtime.holder}:{uuid.uuid4().hex[:8]}")
    runtime.runs.add(runtime.holder)
    try:
        if request := _claim(runtime, account_id):
            with structlog.contextvars.bound_contextvars(account=account_id):
                wait = _run(runtime, request, limit)
            _queue_again(runtime, account_id, wait)
    finally:
        runtime.runs.discard(runtime.holder)
        runtime.lost.discard(runtime.holder)


def _run(runtime: Runtime, request: Request, limit: int) -> float | None:
    """Fetch them; seconds after which it is worth another try, where no connection was free."""
    following: Request | None = request
    try:
        account = _account(runtime, request.account_id)
        with _connected(runtime, account) as session:
            until = time.monotonic() + BUDGET
            while following is not None:
                request = following
                _settle(runtime, session, request, limit)
                following = None
                if time.monotonic() < until and not runtime.stopping.is_set():
                    following = _claim(runtime, request.account_id)
    except NoFreeConnection:
        with suppress(StoreUnavailable), transaction(runtime.pool) as connection:
            contents.let_go(connection, runtime.holder)
        return random.uniform(*PAUSE)  # noqa: S311 - jitter
    except (StoreUnavailable, NotFound):
        # Nothing can be written, or there is nothing to write about any more.
        return None
    except PostwireError as error:
        _fail(runtime, request, error)
    except Exception as error:
        log.exception("an attachment failed for a reason nobody foresaw")
        _fail(runtime, request, TransientError(f"Internal error: {type(error).__name__}."))
    return None


def _claim(runtime: Runtime, account_id: AccountId) -> Request | None:
    with transaction(runtime.pool) as connection:
        return contents.claim(connection, account_id, runtime.holder)


def _account(runtime: Runtime, account_id: AccountId) -> Account:
    with transaction(runtime.pool) as connection:
        account = accounts.get(connection, account_id)
    if account.state in _NO_LOGIN:
        raise PermanentError(account.state_reason or "The account is paused.")
    if seconds := account.busy_seconds:
        raise ServerBusy(come_back_in(seconds), retry_after=seconds)
    return account


@contextmanager
def _connected(runtime: Runtime, account: Account) -> Iterator[Session]:
    try:
        with (
            runtime.budget.slot(account, "attachment"),
            using(open_session(runtime, account), "attachment") as session,
        ):
            yield session
    except ServerBusy as error:
        runtime.leave_alone(account, error)
        raise
    except (AuthenticationFailed, CredentialUnreadable) as error:
        runtime.move(account, "auth_failed", str(error))
        raise


def _settle(runtime: Runtime, session: Session, request: Request, limit: int) -> None:
    """Fetch one; what is wrong with it alone is no reason to leave the others."""
    try:
        kept = _keep(runtime, request, _pieces(runtime, session, request, limit), limit)
        ATTACHMENT_FETCHES.labels(outcome="kept" if kept else "shared").inc()
    except _Lost:
        ATTACHMENT_FETCHES.labels(outcome="lost").inc()
    except (Gone, TooLarge, Unservable) as error:
        _fail(runtime, request, error)


def _keep(runtime: Runtime, request: Request, pieces: Iterable[bytes], limit: int) -> bool:
    """Write the bytes as they come; False where the same ones were kept already."""
    with transaction(runtime.pool) as connection:
        content_id = contents.begin(connection, request.account_id)
    hash_, size = hashlib.sha256(), 0
    try:
        for n, chunk in enumerate(_chunks(pieces)):
            size += len(chunk)
            _check(size, limit)
            hash_.update(chunk)
            _write(runtime, request, contents.Chunk(content_id, n, chunk))
        with transaction(runtime.pool) as connection:
            return contents.complete(connection, request, content_id, hash_.digest(), size)
    except BaseException:
        with suppress(StoreUnavailable), transaction(runtime.pool) as connection:
            contents.drop(connection, request.account_id, content_id)
        raise


def _write(runtime: Runtime, request: Request, chunk: contents.Chunk) -> None:
    with transaction(runtime.pool) as connection:
        if not contents.add_chunk(connection, request, runtime.holder, chunk):
            raise _Lost


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `CHUNK`, but for the last."""
    waiting = bytearray()
    for piece in pieces:
        ATTACHMENT_BYTES.inc(len(piece))
        waiting += piece
        while len(waiting) >= CHUNK:
            yield bytes(waiting[:CHUNK])
            del waiting[:CHUNK]
    if waiting:
        yield bytes(waiting)


def _check(size: int, limit: int) -> None:
    if size > limit:
        megabytes = limit // 2**20
        raise TooLarge(f"The attachment is larger than the {megabytes} MB that are fetched.")


def _pieces(runtime: Runtime, session: Session, request: Request, limit: int) -> Iterator[bytes]:
    structure = _find(runtime, session, request)
    if request.section.startswith(_WHOLE):
        number = int(request.section.removeprefix(_WHOLE))
        return iter([_from_whole(session, structure, number)])
    part = _part(structure, request.section)
    _check(_least(part), limit)
    return _ranges(session, structure.uid, part)


def _find(runtime: Runtime, session: Session, request: Request) -> Structure:
    """The message where it still lies, with its mailbox selected.

    Raises:
        Gone: it lies nowhere any more.
    """
    with transaction(runtime.pool) as connection:
        places = contents.places(connection, request)
    whole = request.section.startswith(_WHOLE)
    for place in places:
        found = _look(session, place, parts=not whole)
        # A number may have been given to another message: the digest tells.
        if found is not None and digest(found) == request.digest:
            return found
    raise Gone("The mail server does not have this message any more.")


def _look(session: Session, place: Place, *, parts: bool) -> Structure | None:
    try:
        state = session.select(place.mailbox)
    except MailboxNotFound:
        return None
    if state.uidvalidity != place.uidvalidity:
        return None
    return next(iter(session.uid_fetch_structures([place.uid], parts=parts)), None)


def _part(structure: Structure, section: str) -> Part:
    with suppress(Untrustworthy):
        for part in leaves(structure.bodystructure):
            if part.section == section:
                return part
    raise Unservable("The mail server describes this message differently now.")


def _least(part: Part) -> int:
    """The fewest bytes that a part of this size can decode to."""
    shares = {"base64": 2 / 3, "quoted-printable": 1 / 3}
    return int(part.size * shares.get(part.encoding, 1))


def _ranges(session: Session, uid: int, part: Part) -> Iterator[bytes]:
    decoding, offset = decoder(part.encoding), 0
    while True:
        piece = session.uid_fetch_range(uid, part.section, offset, RANGE)
        offset += len(piece)
        yield decoding.feed(piece)
        if len(piece) < RANGE:
            break
    if not offset and part.size:
        raise Unservable("The mail server serves nothing of this attachment.")
    yield decoding.end()


def _from_whole(session: Session, structure: Structure, number: int) -> bytes:
    fetched = session.uid_fetch_sections([structure.uid], [""], WHOLE_LIMIT)
    content = mime.attachment(fetched.get(structure.uid, {}).get("", b""), number)
    if content is None:
        raise Unservable("The message is damaged; this attachment cannot be read.")
    return content


def _fail(runtime: Runtime, request: Request, error: PostwireError) -> None:
    failure = _failure(error)
    ATTACHMENT_FETCHES.labels(outcome=failure).inc()
    log.info("attachment not fetched", error=str(error), kind=type(error).__name__)
    with suppress(StoreUnavailable), transaction(runtime.pool) as connection:
        contents.fail(connection, request, runtime.holder, failure, str(error))


def _failure(error: PostwireError) -> Failure:
    match error:
        case Gone():
            return "gone"
        case TooLarge():
            return "too_large"
        case TransientError() | Unservable():
            return "transient"
        case _:
            return "refused"


def _queue_again(runtime: Runtime, account_id: AccountId, wait: float | None) -> None:
    """What is left over is for whoever is free."""
    with suppress(StoreUnavailable, QueueUnavailable):
        with transaction(runtime.pool) as connection:
            waited_for = contents.is_waited_for(connection, account_id)
        if waited_for:
            enqueue_fetch(runtime.broker, account_id, wait)
