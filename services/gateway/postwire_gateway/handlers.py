"""What a browser may say: connect with a token, renew it, join a room, leave it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from socketio import AsyncNamespace
from socketio.exceptions import ConnectionRefusedError as Refused

from postwire import events, tokens
from postwire.errors import TokenRejected
from postwire.metrics import SOCKETS_CONNECTED, SOCKETS_CUT, SOCKETS_REFUSED
from postwire_gateway.positions import Positions

#: Characters of the longest id that is looked at.
MAX_ID = 200

Answer = dict[str, Any]


class NotAllowed(Exception):
    """A browser may not have what it asked for; `str()` says why."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        #: One word, for the metric.
        self.reason = reason


@dataclass(slots=True)
class Session:
    """A browser that is connected: what its token allows, and the end of that."""

    realtime: tokens.Realtime
    timer: asyncio.TimerHandle


class Handlers(AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """`on_<event>` answers that event; others are ignored."""

    def __init__(self, secret: str, positions: Positions, user_connections: int) -> None:
        """`secret` is the one that realtime tokens are signed with."""
        super().__init__("/")
        self._secret = secret
        self._positions = positions
        self._user_connections = user_connections
        self._sessions: dict[str, Session] = {}
        self._connections: Counter[str] = Counter()

    async def on_connect(self, sid: str, _environ: object, auth: object = None) -> None:
        """Let a browser in that has a token, as long as the token lasts; it joins no room yet."""
        try:
            realtime = _verified(self._secret, auth)
            self._count_in(realtime.user_id)
        except NotAllowed as error:
            SOCKETS_REFUSED.labels(reason=error.reason).inc()
            raise Refused(str(error)) from None
        self._sessions[sid] = Session(realtime, self._timer(sid, realtime))
        SOCKETS_CONNECTED.inc()

    async def on_disconnect(self, sid: str, _reason: str) -> None:
        """Forget the browser."""
        session = self._sessions.pop(sid)
        session.timer.cancel()
        user = session.realtime.user_id
        self._connections[user] -= 1
        if not self._connections[user]:
            del self._connections[user]
        SOCKETS_CONNECTED.dec()

    async def on_token(self, sid: str, *payload: object) -> Answer:
        """Let a new token take the old one's place; leave the rooms that it does not open."""
        session = self._sessions[sid]
        try:
            realtime = self._renewed(session, payload)
        except NotAllowed as error:
            return _refusal(error)
        session.timer.cancel()
        lost = _rooms_of(session.realtime) - _rooms_of(realtime)
        session.realtime, session.timer = realtime, self._timer(sid, realtime)
        for room in lost:
            await self.leave_room(sid, room)
        return {"ok": True, "expiresAt": realtime.expires_at}

    async def on_join(self, sid: str, *payload: object) -> Answer:
        """Put the browser into the rooms it names, all or none; say how far the account is."""
        try:
            rooms = self._allowed_rooms(sid, payload)
        except NotAllowed as error:
            return _refusal(error, joined=[])
        for room in rooms:
            await self.enter_room(sid, room)
        answer: Answer = {"ok": True, "joined": list(rooms)}
        for account_id in filter(None, rooms.values()):
            # Only now: what is told from here on arrives by itself.
            known = await self._positions.newest(account_id)
            answer["position"] = known and known._asdict()
        return answer

    async def on_leave(self, sid: str, *payload: object) -> Answer:
        """Take the browser out of the rooms it names, all or none."""
        try:
            rooms = self._allowed_rooms(sid, payload)
        except NotAllowed as error:
            return _refusal(error, left=[])
        for room in rooms:
            await self.leave_room(sid, room)
        return {"ok": True, "left": list(rooms)}

    def _count_in(self, user_id: str) -> None:
        if self._connections[user_id] >= self._user_connections:
            words = f"Too many connections of this user: {self._user_connections} are open."
            raise NotAllowed("connections", words)
        self._connections[user_id] += 1

    def _renewed(self, session: Session, payload: tuple[object, ...]) -> tokens.Realtime:
        realtime = _verified(self._secret, _only(payload))
        if realtime.user_id != session.realtime.user_id:
            raise NotAllowed("user", "This token is of another user; connect anew with it.")
        return realtime

    def _allowed_rooms(self, sid: str, payload: tuple[object, ...]) -> dict[str, str | None]:
        rooms = _rooms(payload)
        for room in rooms.keys() - _rooms_of(self._sessions[sid].realtime):
            whose = room.partition(":")[0]  # the id itself may be anything, so it is not echoed
            raise NotAllowed("room", f"Your token does not open the room of this {whose}.")
        return rooms

    def _timer(self, sid: str, realtime: tokens.Realtime) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(
            _seconds_left(realtime), self.server.start_background_task, self._expire, sid
        )

    async def _expire(self, sid: str) -> None:
        """Say so, then disconnect: the browser comes back with a new token."""
        SOCKETS_CUT.labels(reason="expired").inc()
        reason = "The realtime token has expired; connect again with a new one."
        await self.emit("token:expired", {"reason": reason}, to=sid)
        await self.disconnect(sid)


def _verified(secret: str, auth: object) -> tokens.Realtime:
    token = auth.get("token") if isinstance(auth, dict) else None
    if not isinstance(token, str):
        raise NotAllowed("no_token", "Send {token}; POST /api/realtime-token gives one.")
    try:
        return tokens.verify_realtime(secret, token)
    except TokenRejected as error:
        raise NotAllowed("token", str(error)) from None


def _seconds_left(realtime: tokens.Realtime) -> float:
    """Until the token would be refused; the leeway is the one it was accepted with."""
    end = realtime.expires_at + timedelta(seconds=tokens.LEEWAY)
    return (end - datetime.now(UTC)).total_seconds()


def _only(payload: tuple[object, ...]) -> object:
    return payload[0] if len(payload) == 1 else None


def _rooms(payload: tuple[object, ...]) -> dict[str, str | None]:
    """The rooms that are named, each with its account's id where it is an account's."""
    ids = _only(payload)
    if not isinstance(ids, dict):
        raise NotAllowed("payload", "Send one object with a userId, an accountId, or both.")
    rooms: dict[str, str | None] = {}
    if ids.get("userId") is not None:
        rooms[events.user_room(_id("userId", ids["userId"]))] = None
    if ids.get("accountId") is not None:
        account_id = _id("accountId", ids["accountId"])
        rooms[events.account_room(account_id)] = account_id
    if not rooms:
        raise NotAllowed("payload", "Name a userId, an accountId, or both.")
    return rooms


def _id(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        raise NotAllowed("payload", f"{name} must be a string of 1 to {MAX_ID} characters.")
    return value


def _rooms_of(realtime: tokens.Realtime) -> set[str]:
    accounts = {events.account_room(account) for account in realtime.accounts}
    return accounts | {events.user_room(realtime.user_id)}


def _refusal(error: NotAllowed, **done: list[str]) -> Answer:
    SOCKETS_REFUSED.labels(reason=error.reason).inc()
    return {"ok": False, **done, "error": str(error)}
