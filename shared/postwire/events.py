"""What is told on Redis after a commit: one channel, one typed event.

The push is a hint: PostgreSQL stays the truth, and a lost event is healed by the next look at
`revision`. So publishing never fails its caller; what could not be told is counted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
import redis
import structlog

from postwire.errors import BadEvent
from postwire.metrics import EVENTS_DROPPED, EVENTS_PUBLISHED, POSITIONS_FAILED
from postwire.model import Account, Stored

#: The predecessor's channel; its consumers listen here too.
CHANNEL = "email:sync"
#: Bytes of the largest event that is read; ours have a few hundred.
MAX_EVENT_BYTES = 16 * 1024
#: Sorted set of the newest position told of each account, for whoever joins its room.
POSITIONS = "postwire:positions"
#: Revisions that one epoch has room for in a score.
_REVISIONS = 2**40

Type = Literal["sync", "push", "flags", "expunged", "reset", "progress", "state", "failed"]

#: An hour without its zone cannot be compared with ours.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

log = structlog.get_logger()


class Position(NamedTuple):
    """How far an account is; a later one compares as greater."""

    epoch: int
    revision: int


class Event(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One committed change of an account.

    `count` is how many messages are new; `timestamp` when the change was committed;
    `received_at` when the server received the newest of them, `oldest_received_at` the oldest.
    `revision` is the account's after
    the change, and `epoch` changes when history was rebuilt. Of a backfill, `done` of `total`
    messages are stored, `rate` so many a second; what is left takes about `left` seconds.
    """

    account_id: str
    user_id: str
    email_address: str
    count: int
    timestamp: Moment
    type: Type
    epoch: int
    revision: int
    received_at: Moment | None = None
    oldest_received_at: Moment | None = None
    state: str | None = None
    state_reason: str | None = None
    done: int | None = None
    total: int | None = None
    rate: float | None = None
    left: float | None = None
    error: str | None = None


def of_batch(account: Account, stored: Stored, kind: Type, *, announce: bool) -> Event:
    """What to tell of a committed batch.

    Mail that arrived is announced and counts as new; mail that was always there does not.
    """
    return Event(
        account_id=account.id,
        user_id=account.user_id,
        email_address=account.address,
        count=stored.inbound if announce else 0,
        timestamp=stored.stored_at,
        type=kind,
        epoch=stored.epoch,
        revision=stored.revision,
        received_at=stored.received_at if announce else None,
        oldest_received_at=stored.oldest_received_at if announce else None,
    )


def of_progress(
    account: Account, stored: Stored, *, done: int, total: int, rate: float, left: float | None
) -> Event:
    """What to tell of how far a backfill is; it is no change of its own."""
    return Event(
        account_id=account.id,
        user_id=account.user_id,
        email_address=account.address,
        count=0,
        timestamp=stored.stored_at,
        type="progress",
        epoch=stored.epoch,
        revision=stored.revision,
        done=done,
        total=total,
        rate=rate,
        left=left,
    )


def of_state(account: Account) -> Event:
    """What to tell of an account whose state was changed."""
    return Event(
        account_id=account.id,
        user_id=account.user_id,
        email_address=account.address,
        count=0,
        timestamp=account.state_since,
        type="state",
        epoch=account.epoch,
        revision=account.revision,
        state=account.state,
        state_reason=account.state_reason,
    )


def of_failure(account: Account, error: str) -> Event:
    """What to tell of a sync that was given up, with the reason in words."""
    return Event(
        account_id=account.id,
        user_id=account.user_id,
        email_address=account.address,
        count=0,
        timestamp=datetime.now(UTC),
        type="failed",
        epoch=account.epoch,
        revision=account.revision,
        error=error,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """The event as JSON."""
    return _encoder.encode(event)


def decode(data: bytes) -> Event:
    """The event in `data`.

    Raises:
        BadEvent: when it is none, or larger than `MAX_EVENT_BYTES`.
    """
    if len(data) > MAX_EVENT_BYTES:
        raise BadEvent(f"an event of {len(data)} bytes is too large")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEvent(f"an event could not be read: {error}") from None


def account_room(account_id: str) -> str:
    """The room of one account."""
    return f"account:{account_id}"


def user_room(user_id: str) -> str:
    """The room of one user."""
    return f"user:{user_id}"


def score(epoch: int, revision: int) -> int:
    """A position as one number; a later one is higher. Redis keeps it exactly (below 2^53)."""
    return epoch * _REVISIONS + revision


def position(score: float) -> Position:
    """The position that `score` was made of."""
    return Position(*divmod(int(score), _REVISIONS))


def publish(client: redis.Redis, event: Event) -> None:
    """Tell everyone, and keep the account's position; call it after the commit only."""
    # The position first: who joins after the event was relayed must not be given an older one.
    pipeline = client.pipeline(transaction=False)
    pipeline.zadd(POSITIONS, {event.account_id: score(event.epoch, event.revision)}, gt=True)
    pipeline.publish(CHANNEL, encode(event))
    try:
        kept, told = pipeline.execute(raise_on_error=False)
    except redis.RedisError as error:
        kept = told = error
    if isinstance(kept, Exception):
        POSITIONS_FAILED.labels(reason="kept").inc()
    if isinstance(told, Exception):
        EVENTS_DROPPED.labels(reason="redis").inc()
        log.warning("event not told", account=event.account_id, error=type(told).__name__)
    else:
        EVENTS_PUBLISHED.labels(type=event.type).inc()


def forget(client: redis.Redis, account_id: str) -> None:
    """Take out the position of an account that was removed; call it after the commit only."""
    try:
        client.zrem(POSITIONS, account_id)
    except redis.RedisError as error:
        POSITIONS_FAILED.labels(reason="forgotten").inc()
        log.warning("position not forgotten", account=account_id, error=type(error).__name__)
