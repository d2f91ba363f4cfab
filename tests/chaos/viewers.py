"""Clients that keep a view of their accounts as docs/realtime.md says, and nothing beyond it.

None of them looks again without having been told to: what a lost event would hide stays hidden.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx
import socketio
from socketio.exceptions import SocketIOError

from chaos.ledger import Ledger
from support.system import System

#: Seconds between two tries, of whatever failed.
_AGAIN = 1.0
#: Seconds a request may take.
_PATIENCE = 30.0
#: Seconds between two looks at the jobs, and between two wishes for a sync.
_LOOK, _WISH = 2.0, 5.0
_PAGE = 100

#: What of a message is compared; its summary but for what may differ from one answer to the next.
Shown = tuple[object, ...]


@dataclass(slots=True)
class View:
    """What a viewer has of one account."""

    account_id: str
    epoch: int = 0
    revision: int = 0
    messages: dict[str, Shown] | None = None
    #: The highest revision that an event told of.
    told: int = 0
    stale: asyncio.Event = field(default_factory=asyncio.Event)


class Viewer:
    """A browser, so to speak: one socket, and a view of each account."""

    def __init__(
        self, name: str, system: System, owner: str, ids: Sequence[str], ledger: Ledger
    ) -> None:
        self.name = name
        self.wishes = True
        self._ledger = ledger
        self.views = {id_: View(id_) for id_ in ids}
        headers = {"Authorization": f"Bearer {system.token(owner)}"}
        self._api = httpx.AsyncClient(
            base_url=system.api_url, headers=headers, timeout=_PATIENCE, trust_env=False
        )

    async def run(self) -> None:
        """View until cancelled, and ask for syncs as people do as long as there are `wishes`."""
        async with self._api, asyncio.TaskGroup() as group:
            group.create_task(self._stay_connected())
            for view in self.views.values():
                group.create_task(self._follow(view))
            group.create_task(self._every(_LOOK, "GET"))
            group.create_task(self._every(_WISH, "POST"))

    async def read(self, account_id: str) -> View | None:
        """The account as the API has it now, or None where it does not answer."""
        account = await self._ask("GET", f"/api/accounts/{account_id}")
        if account is None:
            return None
        view = View(account_id, account["epoch"], account["revision"], {})
        cursor = None
        while True:
            wanted = {"accountId": account_id, "limit": _PAGE}
            page = await self._ask(
                "GET", "/api/messages", **wanted, **({"cursor": cursor} if cursor else {})
            )
            if page is None:
                return None
            _put(view, page["messages"])
            if not (cursor := page["nextCursor"]):
                return view

    # The socket

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._connected()
            except (SocketIOError, OSError):
                self._ledger.heard["no connection"] += 1
            await asyncio.sleep(_AGAIN)

    async def _connected(self) -> None:
        answer = await self._ask("POST", "/api/realtime-token")
        if answer is None:
            return
        client = socketio.AsyncClient(reconnection=False)
        client.on("*", self._hear)
        try:
            async with asyncio.timeout(_PATIENCE):
                await client.connect(
                    answer["url"], transports=["websocket"], auth={"token": answer["token"]}
                )
                for account_id in self.views:
                    joined = await client.call("join", {"accountId": account_id})
                    if not joined["ok"]:
                        self._ledger.finds(f"join was refused: {joined['error']}")
            self._ledger.heard["connected"] += 1
            self._look_everywhere()
            await client.wait()
        finally:
            await client.shutdown()

    async def _hear(self, name: str, payload: dict[str, Any]) -> None:
        self._ledger.heard[name] += 1
        if name == "resync":
            self._look_everywhere()
        elif view := self.views.get(payload.get("accountId", "")):
            view.told = max(view.told, payload["revision"])
            if payload["epoch"] != view.epoch or payload["revision"] > view.revision:
                view.stale.set()

    def _look_everywhere(self) -> None:
        for view in self.views.values():
            view.stale.set()

    # The view

    async def _follow(self, view: View) -> None:
        while True:
            await view.stale.wait()
            view.stale.clear()
            while not await (  # noqa: ASYNC110 - what is waited for has no event
                self._load(view) if view.messages is None else self._catch_up(view)
            ):
                await asyncio.sleep(_AGAIN)

    async def _load(self, view: View) -> bool:
        found = await self.read(view.account_id)
        if found is None:
            return False
        view.epoch, view.revision, view.messages = found.epoch, found.revision, found.messages
        self._see(view)
        # It may be newer than the revision; what is told again takes its own place.
        return await self._catch_up(view)

    async def _catch_up(self, view: View) -> bool:
        told, more = view.told, True
        while more:
            path = f"/api/accounts/{view.account_id}/changes"
            answer = await self._ask("GET", path, since=view.revision, epoch=view.epoch)
            if answer is None:
                return False
            if answer["reset"]:
                self._ledger.finds("a viewer was told to load again, though no history changed")
                view.messages = None
                return False
            if answer["revision"] < view.revision:
                self._ledger.finds("a revision went back")
            self._take(view, answer)
            more = answer["more"]
        if view.revision < told:
            self._ledger.finds("an event told of a revision that was not committed")
        self._see(view)
        return True

    def _take(self, view: View, answer: dict[str, Any]) -> None:
        assert view.messages is not None
        _put(view, answer["added"] + answer["changed"])
        for id_ in answer["expunged"]:
            view.messages.pop(id_, None)
        view.revision = answer["revision"]

    def _see(self, view: View) -> None:
        assert view.messages is not None
        self._ledger.sees(self.name, [str(shown[0]) for shown in view.messages.values()])

    # The API

    async def _every(self, seconds: float, method: str) -> None:
        while self.wishes:
            await self._ask(method, "/api/email/sync")
            await asyncio.sleep(seconds)

    async def _ask(self, method: str, path: str, **wanted: object) -> Any:
        """The answer, or None where there is none that could be used; each is counted."""
        request = f"{method} {_pattern(path)}"
        started = time.monotonic()
        try:
            answer = await self._api.request(method, path, params=wanted)
        except httpx.TransportError as error:
            self._ledger.answered(request, type(error).__name__, time.monotonic() - started)
            return None
        self._ledger.answered(request, str(answer.status_code), time.monotonic() - started)
        if answer.status_code not in {200, 503}:
            self._ledger.finds(f"{request} was answered {answer.status_code}: {answer.text[:200]}")
        return answer.json() if answer.is_success else None


def _pattern(path: str) -> str:
    return "/".join("…" if len(part) == 36 else part for part in path.split("/"))


def _put(view: View, messages: list[dict[str, Any]]) -> None:
    assert view.messages is not None
    for one in messages:
        view.messages[one["id"]] = (
            one["subject"],
            tuple(sorted(one["mailboxes"])),
            tuple(sorted(one["flags"])),
            one["unread"],
            one["revision"],
        )


class Crowd(threading.Thread):
    """All viewers, in an event loop of their own."""

    def __init__(self, viewers: Sequence[Viewer], ledger: Ledger) -> None:
        super().__init__(name="crowd")
        self._viewers = viewers
        self._ledger = ledger
        self._loop = asyncio.new_event_loop()
        self._running: list[asyncio.Task[None]] = []

    def run(self) -> None:
        """View until `stop`."""
        try:
            self._loop.run_until_complete(self._view())
        except Exception as error:  # noqa: BLE001 - the storm has to know, whatever it was
            self._ledger.finds(f"a viewer broke off: {error!r}: {error.__cause__!r}")
        finally:
            self._loop.close()

    async def _view(self) -> None:
        self._running = [asyncio.create_task(viewer.run()) for viewer in self._viewers]
        for task in self._running:
            try:
                await task
            except asyncio.CancelledError:
                continue

    def compare(self) -> list[str]:
        """How what each viewer has differs from what the API says now."""
        return self._call(self._compare()).result(60)

    def fewest(self) -> int:
        """Messages in the view that has the fewest."""
        views = [view for viewer in self._viewers for view in viewer.views.values()]
        return min(len(view.messages or ()) for view in views)

    def wish_no_more(self) -> None:
        """Let the system recover by itself."""
        for viewer in self._viewers:
            viewer.wishes = False

    def stop(self) -> None:
        """View no more."""
        for task in self._running:
            self._loop.call_soon_threadsafe(task.cancel)
        self.join(30)

    def _call(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _compare(self) -> list[str]:
        return [
            f"{viewer.name} has another view of {view.account_id}: {difference}"
            for viewer in self._viewers
            for view in viewer.views.values()
            if (difference := await _difference(viewer, view))
        ]


async def _difference(viewer: Viewer, view: View) -> str:
    truth = await viewer.read(view.account_id)
    if truth is None or truth.messages is None:
        return "the API does not answer"
    mine, theirs = view.messages or {}, truth.messages
    differ = [id_ for id_ in mine.keys() | theirs.keys() if mine.get(id_) != theirs.get(id_)]
    if not differ:
        return ""
    first = differ[0]
    return (
        f"{len(differ)} messages, as {mine.get(first)} for {theirs.get(first)}; "
        f"revision {view.revision} for {truth.revision}"
    )
