"""A message on the Redis channel, and what the gateway does with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from postwire import events
from postwire.errors import BadEvent
from postwire_gateway.handlers import NotAllowed, _rooms, _verified
from postwire_gateway.relay import Relay


class _Rooms:
    """Takes what a Socket.IO server would send."""

    manager: Any = None

    async def emit(self, event: str, data: object, *, to: str) -> None:
        assert event
        assert to.partition(":")[0] in {"account", "user"}
        msgspec.json.encode(data)


def run(data: bytes) -> None:
    """Relay `data`, and take it for what a browser says."""
    with asyncio.Runner() as runner:
        runner.run(Relay("redis://nowhere", _Rooms())._relay(data))
    try:
        event = events.decode(data)
    except BadEvent:
        pass
    else:
        assert events.decode(events.encode(event)) == event
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    try:
        _rooms((said,))
        _verified("a secret that is 32 bytes long..", said)
    except NotAllowed:
        pass


def seeds() -> Iterator[bytes]:
    """An event of each kind, and what browsers say."""
    for kind in ("sync", "push", "flags", "expunged", "reset", "progress", "state", "failed"):
        yield events.encode(
            events.Event(
                account_id="a",
                user_id="u",
                email_address="robin@postwire.example",
                count=2,
                timestamp=datetime(2026, 1, 1, tzinfo=UTC),
                received_at=datetime(2026, 1, 1, tzinfo=UTC),
                type=kind,
                epoch=1,
                revision=2**40,
                done=1,
                total=9,
                rate=2.5,
                left=1e300,
                error="no",
            )
        )
    yield b'{"userId":"u","accountId":"a"}'
    yield b'{"token":"a.b.c"}'
