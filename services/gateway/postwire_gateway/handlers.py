"""What a browser may say: connect with a token, join a room, leave it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from socketio import AsyncNamespace
from socketio.exceptions import ConnectionRefusedError as Refused

from postwire import events, tokens
from postwire.errors import TokenRejected
from postwire.metrics import SOCKETS_CONNECTED, SOCKETS_CUT, SOCKETS_REFUSED

#: Characters of the longest id that is looked at.
MAX_ID = 200

Answer = dict[str, Any]


class RoomRefused(Exception):
    """A browser may not join or leave what it asked for; `str()` says why."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        #: "payload" or "room", for the metric.
        self.reason = reason


class Handlers(AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """`on_<event>` answers that event; others are ignored."""

    def __init__(self, secret: str) -> None:
        """`secret` is the one that realtime tokens are signed with."""
        super().__init__("/")
        self._secret = secret
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    async def on_connect(self, sid: str, _environ: object, auth: object = None) -> None:
        """Let a browser in that has a token, as long as the token lasts; it joins no room yet."""
        realtime = _verified(self._secret, auth)
        await self.save_session(sid, {"realtime": realtime})
        self._expiries[sid] = asyncio.get_running_loop().call_later(
            _seconds_left(realtime), self.server.start_background_task, self._expire, sid
        )
        SOCKETS_CONNECTED.inc()

    async def on_disconnect(self, sid: str, _reason: str) -> None:
        """Forget the browser."""
        self._expiries.pop(sid).cancel()
        SOCKETS_CONNECTED.dec()

    async def on_join(self, sid: str, *payload: object) -> Answer:
        """Put the browser into the rooms it names, all or none."""
        try:
            rooms = await self._allowed_rooms(sid, payload)
        except RoomRefused as error:
            return _refusal("joined", error)
        for room in rooms:
            await self.enter_room(sid, room)
        return {"ok": True, "joined": rooms}

    async def on_leave(self, sid: str, *payload: object) -> Answer:
        """Take the browser out of the rooms it names, all or none."""
        try:
            rooms = await self._allowed_rooms(sid, payload)
        except RoomRefused as error:
            return _refusal("left", error)
        for room in rooms:
            await self.leave_room(sid, room)
        return {"ok": True, "left": rooms}

    async def _allowed_rooms(self, sid: str, payload: tuple[object, ...]) -> list[str]:
        realtime: tokens.Realtime = (await self.get_session(sid))["realtime"]
        rooms = _rooms(payload)
        for room in set(rooms) - _rooms_of(realtime):
            whose = room.partition(":")[0]  # the id itself may be anything, so it is not echoed
            raise RoomRefused("room", f"Your token does not open the room of this {whose}.")
        return rooms

    async def _expire(self, sid: str) -> None:
        """Say so, then disconnect: the browser comes back with a new token."""
        SOCKETS_CUT.labels(reason="expired").inc()
        reason = "The realtime token has expired; connect again with a new one."
        await self.emit("token:expired", {"reason": reason}, to=sid)
        await self.disconnect(sid)


def _verified(secret: str, auth: object) -> tokens.Realtime:
    token = auth.get("token") if isinstance(auth, dict) else None
    if not isinstance(token, str):
        SOCKETS_REFUSED.labels(reason="no_token").inc()
        raise Refused("Connect with auth: {token}; POST /api/realtime-token gives one.")
    try:
        return tokens.verify_realtime(secret, token)
    except TokenRejected as error:
        SOCKETS_REFUSED.labels(reason="token").inc()
        raise Refused(str(error)) from None


def _seconds_left(realtime: tokens.Realtime) -> float:
    """Until the token would be refused; the leeway is the one it was accepted with."""
    end = realtime.expires_at + timedelta(seconds=tokens.LEEWAY)
    return (end - datetime.now(UTC)).total_seconds()


def _rooms(payload: tuple[object, ...]) -> list[str]:
    ids = payload[0] if len(payload) == 1 else None
    if not isinstance(ids, dict):
        raise RoomRefused("payload", "Send one object with a userId, an accountId, or both.")
    rooms = [
        room(_id(name, ids[name]))
        for name, room in (("userId", events.user_room), ("accountId", events.account_room))
        if ids.get(name) is not None
    ]
    if not rooms:
        raise RoomRefused("payload", "Name a userId, an accountId, or both.")
    return rooms


def _id(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        raise RoomRefused("payload", f"{name} must be a string of 1 to {MAX_ID} characters.")
    return value


def _rooms_of(realtime: tokens.Realtime) -> set[str]:
    accounts = {events.account_room(account) for account in realtime.accounts}
    return accounts | {events.user_room(realtime.user_id)}


def _refusal(done: str, error: RoomRefused) -> Answer:
    SOCKETS_REFUSED.labels(reason=error.reason).inc()
    return {"ok": False, done: [], "error": str(error)}
