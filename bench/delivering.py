"""Deliver mail at some pace, and find out when each message was where."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from bench import cost
from bench.distance import distant
from bench.listening import HOST, Box, Heard, Told, listening, screen
from bench.mailing import Connection, connected
from bench.result import progress
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.system import System

#: Accounts in all, and those with a bare reader and a floor; more would take more of inotify than
#: Linux gives one user.
ACCOUNTS = 40
SAMPLED = 4
#: Seconds until all that was delivered must have been told.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """So many messages to each of the first accounts, at `rate` messages a second in all."""

    rate: int
    accounts: int
    messages: int
    #: Whether the inbox is open in Chromium.
    shown: bool = False


@dataclass(slots=True)
class Message:
    """One that was delivered, and when it was at each hop; seconds since 1970."""

    name: str
    box: Box
    uid: int
    hops: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ran:
    """All messages of one pace, and milliseconds of CPU for each by process."""

    messages: list[Message]
    cpu: dict[str, float]


def at(
    round_trip: float, paces: Iterable[Pace], system: System, server: Dovecot
) -> Iterator[tuple[int, Ran]]:
    """What ran at each pace, by its rate, with Dovecot so many seconds away."""
    with ExitStack() as stack:
        port = server.port
        if round_trip:
            port = stack.enter_context(distant(port, round_trip))
        progress(f"{ACCOUNTS} accounts get ready, {round_trip * 1000:.0f} ms from their server")
        boxes = [_box(system, server, port) for _ in range(ACCOUNTS)]
        stack.callback(system.remove_accounts)
        system.wait_until_watched(ACCOUNTS)
        heard, ran = asyncio.run(_paces(paces, system, boxes))
        with system.api("robin") as api:
            for box in boxes:
                of_box = [one for some in ran.values() for one in some.messages if one.box is box]
                _resolve(api, box, of_box, heard)
        yield from ran.items()


def _box(system: System, server: Dovecot, port: int) -> Box:
    user = MailUser(server, server.new_user())
    account_id = system.add_account(MailUser(replace(server, port=port), user.name))
    return Box(user, account_id, port)


async def _paces(
    paces: Iterable[Pace], system: System, boxes: list[Box]
) -> tuple[Heard, dict[int, Ran]]:
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(listening(system, boxes, boxes[:SAMPLED]))
        senders = [
            await stack.enter_async_context(
                connected(
                    HOST,
                    box.user.server.port,
                    box.user.name,
                    box.user.server.password,
                    selects=False,
                )
            )
            for box in boxes
        ]
        desk = _Desk(system, heard, list(zip(boxes, senders, strict=True)))
        await desk.run(Pace(20, ACCOUNTS, 1))  # what happens once happens now
        if not all(heard.noticed[box.account_id] for box in boxes[:SAMPLED]):
            raise RuntimeError("Dovecot told no reader in IDLE: is fs.inotify used up?")
        return heard, {pace.rate: await desk.shown(pace) for pace in paces}


@dataclass(slots=True)
class _Desk:
    system: System
    heard: Heard
    boxes: list[tuple[Box, Connection]]
    delivered: int = 0

    async def shown(self, pace: Pace) -> Ran:
        """Run it with the inbox open, if wanted."""
        progress(f"{pace.rate} messages a second to {pace.accounts} accounts")
        if not pace.shown:
            return await self.run(pace)
        async with screen(self.system) as painted:
            ran = await self.run(pace)
            await asyncio.sleep(1)
            rows = await painted()
        for message in ran.messages:
            if message.name in rows:
                message.hops["shown"] = rows[message.name]
        return ran

    async def run(self, pace: Pace) -> Ran:
        """Deliver at this pace until all is told."""
        before = {one.name: cost.cpu(one.process.pid) for one in self.system.services}
        began = time.monotonic()
        messages = [
            message
            for some in await asyncio.gather(
                *(self._deliver(n, pace, began) for n in range(pace.accounts))
            )
            for message in some
        ]
        await self._all_told()
        await asyncio.sleep(1)  # the jobs come to their end, and the floor does
        used = {one.name: cost.cpu(one.process.pid) for one in self.system.services}
        cpu = {name: (used[name] - before[name]) / len(messages) * 1000 for name in used}
        for message in messages:
            message.hops |= self._heard(message)
        return Ran(messages, cpu)

    async def _all_told(self) -> None:
        until = time.monotonic() + PATIENCE
        while self.heard.count < self.delivered:
            if time.monotonic() > until:
                words = f"{self.heard.count} of {self.delivered} messages were told"
                raise TimeoutError(f"{words} within {PATIENCE:.0f} s")
            await asyncio.sleep(0.05)

    async def _deliver(self, n: int, pace: Pace, began: float) -> list[Message]:
        """Deliver to the n-th account; no two moments are alike, or all would meet our clocks."""
        box, sender = self.boxes[n]
        messages = []
        every = pace.accounts / pace.rate
        for number in range(pace.messages):
            at = began + every * (number + 0.4 * random.random())  # noqa: S311 - nothing is secret
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            self.delivered += 1
            name = f"delivery-{self.delivered}"
            uid = await sender.append(letter(name))
            messages.append(Message(name, box, uid, {"delivered": time.time()}))
        return messages

    def _heard(self, message: Message) -> dict[str, float]:
        """When the bare readers knew; nothing was ever expunged, so a UID is a number, too."""
        account_id = message.box.account_id
        both = (("noticed", self.heard.noticed), ("floor", self.heard.floor))
        return {
            hop: at
            for hop, lists in both
            if (at := next((at for at, exists in lists[account_id] if exists >= message.uid), 0.0))
        }


def _resolve(api: httpx.Client, box: Box, messages: Sequence[Message], heard: Heard) -> None:
    """Note when those who were told heard of each message, and when its job was where."""
    revisions = _revisions(api, box)
    for message in messages:
        revision = revisions[message.name]
        told = _first(heard.told[box.account_id], revision)
        published = _first(heard.published[box.account_id], revision)
        message.hops |= {"stored": told.began, "published": published.at, "told": told.at}
    jobs = _jobs(api, box)
    for message in messages:
        begun = [job for job in jobs if job[1] <= message.hops["stored"]]
        # An account's first jobs are forgotten after a hundred more.
        asked, started = max(begun, key=_started, default=(0.0, 0.0))
        # One that was asked to look again was asked before; when it was so is kept by nobody.
        if asked >= message.hops["delivered"]:
            message.hops |= {"asked": asked, "started": started}


def _first(events: Iterable[Told], revision: int) -> Told:
    return next(one for one in events if one.revision >= revision)


def _revisions(api: httpx.Client, box: Box) -> dict[str, int]:
    """The revision of each message, by its subject."""
    epoch = api.get(f"/api/accounts/{box.account_id}").json()["epoch"]
    found: dict[str, int] = {}
    since, more = 0, True
    while more:
        asked = f"since={since}&epoch={epoch}&limit=200"
        page = api.get(f"/api/accounts/{box.account_id}/changes?{asked}").json()
        found |= {one["subject"]: one["revision"] for one in page["added"] + page["changed"]}
        since, more = page["revision"], page["more"]
    return found


def _jobs(api: httpx.Client, box: Box) -> list[tuple[float, float]]:
    """When each job was asked for, and when it first began."""
    asked = f"accountId={box.account_id}&limit=200"
    return [
        (_seconds(one["createdAt"]), _seconds(one["startedAt"]))
        for one in api.get(f"/api/jobs?{asked}").json()["jobs"]
        if one["startedAt"]
    ]


def _started(job: tuple[float, float]) -> float:
    return job[1]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
