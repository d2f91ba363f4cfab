"""From delivery to the browser: the whole product, by rate and by distance to the mail server.

What is delivered is told by the first event after which the account's changes hold the message:
the first whose revision is at least the message's own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from bench import cost
from bench.distance import distant
from bench.listening import HOST, Box, Heard, Told, listening, screen
from bench.mailing import Connection, connected
from bench.result import Budget, Measurement, Table, alone, median, percentile, progress
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.system import System, run_everything

#: Seconds of a round trip to the mail server, by the name of the distance.
DISTANCES = {"loopback": 0.0, "50 ms": 0.05}
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


#: What lies between two moments of a message, in its order.
HOPS = {
    "floor: the server tells a bare reader in IDLE": ("delivered", "noticed"),
    "Postwire: the watcher asks for a sync": ("noticed", "asked"),
    "Postwire: a worker's thread has the job": ("asked", "started"),
    "Postwire: it logs in, looks, and fetches": ("started", "stored"),
    "Postwire: it stores, commits and publishes": ("stored", "published"),
    "Postwire: the gateway tells the browser": ("published", "told"),
    "Postwire: the row is on the screen": ("told", "shown"),
}
_WORDS = (
    "Mail is delivered by APPEND to a Dovecot (40 accounts; 1/s goes to one of them, 20/s to four, "
    "200/s to all, five a second each) while all processes of Postwire run as they are deployed, "
    "each with its default settings. A message counts as told when a Socket.IO client got the "
    "first event after which /changes holds it, and as shown when Chromium paints the frame with "
    "its row. A bare reader in IDLE at four accounts shows when the server says that there is "
    "mail, which Dovecot does up to 500 ms after the delivery and once for all that came "
    "meanwhile; the floor then reads the message by a second connection that is logged in already, "
    "in one round trip, keeps nothing, and tells a WebSocket. At 50 ms all of Postwire's and the "
    "floor's connections to Dovecot go through a relay that delays each direction by 25 ms; "
    "connections are not encrypted, TLS 1.3 would cost Postwire a round trip more. Messages that a "
    "sync which ran already found before their notice count with 0 ms after it, and show in no "
    "hop that is not known of them. The clock of each hop is this machine's."
)

#: By distance, for what is far takes no more samples to be seen.
PACES = {
    "loopback": (Pace(1, 1, 80, shown=True), Pace(20, 4, 50, shown=True), Pace(200, ACCOUNTS, 40)),
    "50 ms": (Pace(1, 1, 40, shown=True), Pace(20, 4, 50, shown=True), Pace(200, ACCOUNTS, 40)),
}


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


def measure() -> Measurement:
    """All paces, at each distance."""
    runs: dict[tuple[str, int], Ran] = {}
    with run_everything() as (system, server):
        for distance in DISTANCES:
            for rate, ran in _at(distance, system, server):
                runs[distance, rate] = ran
    return _report(runs)


def _at(distance: str, system: System, server: Dovecot) -> Iterator[tuple[int, Ran]]:
    with ExitStack() as stack:
        port = server.port
        if DISTANCES[distance]:
            port = stack.enter_context(distant(port, DISTANCES[distance]))
        progress(f"{distance}: {ACCOUNTS} accounts get ready")
        boxes = [_box(system, server, port) for _ in range(ACCOUNTS)]
        stack.callback(system.remove_accounts)
        system.wait_until_watched(ACCOUNTS)
        heard, ran = asyncio.run(_paces(distance, system, boxes))
        with system.api("robin") as api:
            for box in boxes:
                of_box = [one for some in ran.values() for one in some.messages if one.box is box]
                _resolve(api, box, of_box, heard)
        yield from ran.items()


def _box(system: System, server: Dovecot, port: int) -> Box:
    user = MailUser(server, server.new_user())
    account_id = system.add_account(MailUser(replace(server, port=port), user.name))
    return Box(user, account_id, port)


async def _paces(distance: str, system: System, boxes: list[Box]) -> tuple[Heard, dict[int, Ran]]:
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
        return heard, {pace.rate: await desk.shown(distance, pace) for pace in PACES[distance]}


@dataclass(slots=True)
class _Desk:
    system: System
    heard: Heard
    boxes: list[tuple[Box, Connection]]
    delivered: int = 0

    async def shown(self, distance: str, pace: Pace) -> Ran:
        """Run it with the inbox open, if wanted."""
        progress(f"{distance}: {pace.rate} messages a second to {pace.accounts} accounts")
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
        async with asyncio.timeout(PATIENCE):
            while self.heard.count < self.delivered:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)  # the jobs come to their end, and the floor does
        used = {one.name: cost.cpu(one.process.pid) for one in self.system.services}
        cpu = {name: (used[name] - before[name]) / len(messages) * 1000 for name in used}
        for message in messages:
            message.hops |= self._heard(message)
        return Ran(messages, cpu)

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
        run = max((one for one in jobs if one[1] <= message.hops["stored"]), key=_started)
        # One that was asked to look again was asked before; when it was so is kept by nobody.
        if run[0] >= message.hops["delivered"]:
            message.hops |= {"asked": run[0], "started": run[1]}


def _first(events: Iterable[Told], revision: int) -> Told:
    return next(one for one in events if one.revision >= revision)


def _revisions(api: httpx.Client, box: Box) -> dict[str, int]:
    """The revision of each message, by its subject."""
    epoch = api.get(f"/api/accounts/{box.account_id}").json()["epoch"]
    found: dict[str, int] = {}
    since, more = 0, True
    while more:
        asked = {"since": since, "epoch": epoch, "limit": 200}
        page = api.get(f"/api/accounts/{box.account_id}/changes", params=asked).json()
        found |= {one["subject"]: one["revision"] for one in page["added"] + page["changed"]}
        since, more = page["revision"], page["more"]
    return found


def _jobs(api: httpx.Client, box: Box) -> list[tuple[float, float]]:
    """When each job was asked for, and when it first began."""
    asked = {"accountId": box.account_id, "limit": 200}
    return [
        (_seconds(one["createdAt"]), _seconds(one["startedAt"]))
        for one in api.get("/api/jobs", params=asked).json()["jobs"]
        if one["startedAt"]
    ]


def _started(job: tuple[float, float]) -> float:
    return job[1]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _report(runs: dict[tuple[str, int], Ran]) -> Measurement:
    after = _milliseconds(runs["loopback", 1], "noticed", "told")
    return Measurement(
        title="From delivery to the browser",
        words=_WORDS,
        tables=[
            _by_rate("From the end of APPEND, median ms", runs, median, chart=True),
            _by_rate("From the end of APPEND, p99 ms", runs, _p99),
            _by_rate("After the server's notice, median ms", runs, median, since="noticed"),
            _by_rate("After the server's notice, p99 ms", runs, _p99, since="noticed"),
            _by_hop(runs),
            _by_process(runs),
        ],
        budgets=[
            Budget(
                "Loopback, 1/s: median from the server's notice to the browser",
                median(after),
                "ms",
                at_most=10,
                obstacle=_obstacle(runs["loopback", 1], median),
            ),
            Budget(
                "Loopback, 1/s: p99 from the server's notice to the browser",
                _p99(after),
                "ms",
                at_most=30,
                obstacle=_obstacle(runs["loopback", 1], _p99),
            ),
        ],
    )


def _milliseconds(ran: Ran, since: str, until: str) -> list[float]:
    """How long it took those messages that are known to have been at both hops, in that order.

    What a sync that ran already has found before it was the message's turn took no time.
    """
    return [
        max(0.0, one.hops[until] - one.hops[since]) * 1000
        for one in ran.messages
        if {since, until} <= one.hops.keys()
    ]


def _p99(values: Sequence[float]) -> float:
    return percentile(values, 0.99)


def _by_rate(
    title: str,
    runs: dict[tuple[str, int], Ran],
    figure: Callable[[Sequence[float]], float],
    *,
    since: str = "delivered",
    chart: bool = False,
) -> Table:
    rates = sorted({rate for _, rate in runs})
    ends = {"Postwire": "told", "Postwire, row on the screen": "shown", "floor": "floor"}
    rows = {}
    for name, until in ends.items():
        for distance in DISTANCES:
            took = [_milliseconds(runs[distance, rate], since, until) for rate in rates]
            rows[f"{name}, {distance}"] = [figure(some) if some else None for some in took]
    columns = [f"{rate}/s" for rate in rates]
    return Table(title, columns, rows, chart="lines" if chart else None, logarithmic=chart)


def _by_hop(runs: dict[tuple[str, int], Ran]) -> Table:
    near, far = (runs[distance, 1] for distance in DISTANCES)
    rows = {}
    for name, (since, until) in HOPS.items():
        took = [_milliseconds(ran, since, until) for ran in (near, far)]
        further = (median(took[1]) - median(took[0])) / 1000 / DISTANCES["50 ms"]
        rows[name] = [f(some) for some in took for f in (median, _p99)] + [further]
    columns = ["loopback, median ms", "p99 ms", "50 ms, median ms", "p99 ms ", "round trips"]
    return Table(
        "Hop by hop at 1/s", columns, rows, chart="bars", drawn=columns[0], logarithmic=True
    )


def _by_process(runs: dict[tuple[str, int], Ran]) -> Table:
    of = [runs["loopback", rate] for rate in sorted({rate for _, rate in runs})]
    rows = {f"Postwire {name}": [ran.cpu[name] for ran in of] for name in of[0].cpu}
    columns = [f"{rate}/s" for rate in sorted({rate for _, rate in runs})]
    return Table("CPU a message on loopback, waiting included, ms", columns, rows)


def _obstacle(ran: Ran, figure: Callable[[Sequence[float]], float]) -> str:
    ours = {name: hop for name, hop in HOPS.items() if hop[0] not in {"delivered", "told"}}
    took = {name: figure(_milliseconds(ran, *hop)) for name, hop in ours.items()}
    return "; ".join(f"{name.removeprefix('Postwire: ')}: {ms:.1f} ms" for name, ms in took.items())


if __name__ == "__main__":
    alone(measure)
