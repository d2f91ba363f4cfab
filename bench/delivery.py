"""From delivery to the browser: the whole product, by rate and by distance to the mail server.

What is delivered is told by the first event after which the account's changes hold the message:
the first whose revision is at least the message's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.delivering import ACCOUNTS, Pace, Ran, at
from bench.result import Budget, Measurement, Table, alone, median, percentile
from support.system import run_everything

#: Seconds of a round trip to the mail server, by the name of the distance.
DISTANCES = {"loopback": 0.0, "50 ms": 0.05}
#: By distance, for what is far takes no more samples to be seen.
PACES = {
    "loopback": (Pace(1, 1, 70, shown=True), Pace(20, 4, 50, shown=True), Pace(200, ACCOUNTS, 40)),
    "50 ms": (Pace(1, 1, 30, shown=True), Pace(20, 4, 50, shown=True), Pace(200, ACCOUNTS, 40)),
}
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
    "Mail is delivered by APPEND to a Dovecot (40 accounts; 1/s goes to one of them, 20/s to "
    "four, 200/s to all, five a second each) while all processes of Postwire run as they are "
    "deployed, each with its default settings, thus four syncs at a time. A message counts as "
    "told when a Socket.IO client got the first event after which /changes holds it, and as shown "
    "when Chromium paints the frame with its row. A bare reader in IDLE at four accounts shows "
    "when the server says that there is mail, which Dovecot does up to 500 ms after the delivery "
    "and once for all that came meanwhile; the floor then reads the message by a second "
    "connection that is logged in already, in one round trip, keeps nothing, and tells a "
    "WebSocket. At 50 ms all of Postwire's and the floor's connections to Dovecot go through a "
    "relay that delays each direction by 25 ms; connections are not encrypted, TLS 1.3 would cost "
    "Postwire a round trip more. Messages that a sync which ran already found before their notice "
    "count with 0 ms after it, and show in no hop that is not known of them. The clock of each "
    "hop is this machine's."
)


def measure() -> Measurement:
    """All paces, at each distance."""
    runs: dict[tuple[str, int], Ran] = {}
    with run_everything() as (system, server):
        for distance, round_trip in DISTANCES.items():
            for rate, ran in at(round_trip, PACES[distance], system, server):
                runs[distance, rate] = ran
    return _report(runs)


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
    rows: dict[str, Sequence[float | None]] = {}
    for name, until in ends.items():
        for distance in DISTANCES:
            took = [_milliseconds(runs[distance, rate], since, until) for rate in rates]
            rows[f"{name}, {distance}"] = [figure(some) if some else None for some in took]
    columns = [f"{rate}/s" for rate in rates]
    return Table(title, columns, rows, chart="lines" if chart else None, logarithmic=chart)


def _by_hop(runs: dict[tuple[str, int], Ran]) -> Table:
    near, far = (runs[distance, 1] for distance in DISTANCES)
    rows: dict[str, Sequence[float | None]] = {}
    for name, (since, until) in HOPS.items():
        took = [_milliseconds(ran, since, until) for ran in (near, far)]
        # By the faster ones, whom other work on this machine has disturbed least.
        fast = [percentile(some, 0.1) for some in took]
        further = (fast[1] - fast[0]) / 1000 / DISTANCES["50 ms"]
        rows[name] = [f(some) for some in took for f in (median, _p99)] + [further]
    columns = [
        "loopback, median ms",
        "loopback, p99 ms",
        "50 ms, median ms",
        "50 ms, p99 ms",
        "round trips",
    ]
    return Table(
        "Hop by hop at 1/s", columns, rows, chart="bars", drawn=columns[0], logarithmic=True
    )


def _by_process(runs: dict[tuple[str, int], Ran]) -> Table:
    of = [runs["loopback", rate] for rate in sorted({rate for _, rate in runs})]
    rows: dict[str, Sequence[float | None]] = {
        f"Postwire {name}": [ran.cpu[name] for ran in of] for name in of[0].cpu
    }
    columns = [f"{rate}/s" for rate in sorted({rate for _, rate in runs})]
    return Table("CPU a message on loopback, waiting included, ms", columns, rows)


def _obstacle(ran: Ran, figure: Callable[[Sequence[float]], float]) -> str:
    ours = {name: hop for name, hop in HOPS.items() if hop[0] not in {"delivered", "told"}}
    took = {name: figure(_milliseconds(ran, *hop)) for name, hop in ours.items()}
    return "; ".join(f"{name.removeprefix('Postwire: ')}: {ms:.1f} ms" for name, ms in took.items())


if __name__ == "__main__":
    alone(measure)
