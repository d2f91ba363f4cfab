"""What common queries take as mail and accounts grow; their plans go to bench/plans."""

from __future__ import annotations

import itertools
import re
import secrets
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, TypeAlias

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from bench import filling, no_change, queries
from bench.queries import HELD, WATCHER, Query
from bench.result import Budget, Measurement, Table, alone, median, percentile, progress
from postwire.model import Account, AccountId, Incoming
from postwire.store import accounts, messages, processes
from postwire.store.pool import Pool, make_pool, transaction
from postwire_demo import services
from postwire_demo.servers import postgres
from support import many, rows

#: Messages of the account that is looked at.
SIZES = {"10,000": 10_000, "100,000": 100_000, "1,000,000": 1_000_000}
#: Accounts in all.
ACCOUNTS = {"10 accounts": 10, "10,000 accounts": 10_000}
#: Runs of each query, and seconds after which there are no more of them.
RUNS, SECONDS = 30, 4.0
#: Before them: PostgreSQL and the driver settle for a plan after ten.
WARM = 11
#: Messages that are stored at once.
BATCH = 100
STORED = "store a batch of 100"
UNCHANGED = "sync: nothing new, with Dovecot"
PLANS = Path(__file__).parent / "plans"
#: How many times as much ten times ten the mail may take.
MOST = 3
#: Let the session's pages be counted at the end of its transaction, and not some time later.
_TELL: LiteralString = "SELECT pg_stat_force_next_flush()"
#: A whole table, or partition, that grows with mail or accounts.
_SCAN = re.compile(
    r"Seq Scan on (?:message|body|attachment|placement|search|thread|thread_reference"
    r"|thread_mailbox|account|mailbox|job|lease)(?:_n)? .*\(actual rows=(\d+).*"
    r"(?:\n +(?!->).*)*?(?:\n +Rows Removed by Filter: (\d+))?"
)
#: Rows of one that is read whole, from which on that is a finding.
MANY_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one query takes."""

    ms: float
    p99: float
    #: Pages of 8 kB that PostgreSQL looked at.
    buffers: float
    #: KB that the reading process needed at most.
    peak: float


#: By the size, then by the query.
Costs: TypeAlias = dict[str, dict[str, Cost]]


def measure() -> Measurement:
    """Fill and ask, by turns."""
    mail: Costs = {}
    crowd: Costs = {}
    backend: list[float] = []
    with database() as url:
        for size, number in SIZES.items():
            with make_pool(url, 1) as pool:
                account = filled(url, pool, number, size)
                mail[size] = syncing(url, pool, account) | look_at_mail(url, pool, account)
                backend.append(backend_memory(pool))
        for size, number in ACCOUNTS.items():
            progress(f"{size}: filling")
            filling.add_accounts(url, number)
            with make_pool(url, 1) as pool:
                crowd[size] = look_at_accounts(url, pool, account.id)
        with make_pool(url, 1) as pool:
            beside = look_at_mail(url, pool, account)
            explain(pool, account)
    return Measurement(
        "Growth",
        words(backend),
        [*mail_tables(mail, beside), crowd_table(crowd)],
        budgets(mail, crowd, backend),
    )


@contextmanager
def database() -> Iterator[str]:
    """A migrated database that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="postwire-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8), durable=False) as url:
            services.migrate({"database_url": url}, folder / "migrate.log")
            filling.prepare(url)
            yield url


def filled(url: str, pool: Pool, number: int, size: str) -> Account:
    """An account of that many messages, which the tables had not before."""
    progress(f"{size} messages: filling")
    began = time.monotonic()
    account = rows.active(pool, "ann", f"{number}@example.com")
    filling.fill(url, account.id, number)
    progress(f"{size} messages: filled in {time.monotonic() - began:.0f} s")
    with transaction(pool) as connection:
        # The others are somebody else's, so that a user has one of them at a time.
        connection.execute(
            "UPDATE account SET user_id = address WHERE user_id = 'ann' AND id <> %s", [account.id]
        )
        return accounts.get(connection, account.id)


def look_at_mail(url: str, pool: Pool, account: Account) -> dict[str, Cost]:
    """What each query of mail takes, and what storing does."""
    filling.number(url, account.id)
    with transaction(pool) as connection:
        asked = queries.of_mail(connection, account)
    found = {name: cost_of(url, pool, query) for name, query in asked.items()}
    return found | {STORED: store(url, pool, account)}


def syncing(url: str, pool: Pool, account: Account) -> dict[str, Cost]:
    """What a sync takes that finds nothing new."""
    with no_change.prepared(pool, account) as run:
        return {UNCHANGED: repeated(url, lambda: timed(pool, run))}


def look_at_accounts(url: str, pool: Pool, mine: AccountId) -> dict[str, Cost]:
    """What each query takes that knows all accounts; nothing of it is kept."""
    progress("clock, jobs and watchers")
    with transaction(pool) as connection:
        processes.beat(connection, "another", "watcher")
        processes.beat(connection, WATCHER, "watcher")
        connection.execute("UPDATE process SET expires_at = now() + interval '50 seconds'")
        connection.execute(
            "UPDATE lease SET holder = %s WHERE account_id IN "
            "(SELECT account_id FROM lease ORDER BY account_id LIMIT %s)",
            [WATCHER, HELD],
        )
        connection.execute(
            "INSERT INTO job (id, account_id, user_id, reason, state)"
            " VALUES (%s, %s, 'ann', 'auto', 'waiting') ON CONFLICT DO NOTHING",
            [f"sync-{mine}-0", mine],
        )
    asked = queries.of_accounts(mine)
    return {name: cost_of(url, pool, query) for name, query in asked.items()}


def cost_of(url: str, pool: Pool, query: Query) -> Cost:
    """Run it a few times, in transactions that are rolled back."""
    return repeated(url, lambda: once(pool, query))


def repeated(url: str, run: Callable[[], float]) -> Cost:
    """Run what returns its milliseconds a few times."""
    end = time.monotonic() + SECONDS
    for _ in range(WARM):
        run()
        if time.monotonic() > end:
            break
    with psycopg.connect(url, autocommit=True) as admin:
        before, took = touched(admin), [run()]
        end = time.monotonic() + SECONDS
        while len(took) < RUNS and time.monotonic() < end:
            took.append(run())
        buffers = (touched(admin) - before) / len(took)
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Cost(median(took), percentile(took, 0.99), buffers, peak / 1024)


def once(pool: Pool, query: Query) -> float:
    """The milliseconds of a query."""
    with transaction(pool) as connection:
        began = time.perf_counter()
        query(connection)
        took = 1000 * (time.perf_counter() - began)
        connection.execute(_TELL)
        connection.execute("ROLLBACK")
    return took


def timed(pool: Pool, run: Callable[[], None]) -> float:
    """The milliseconds of what has transactions of its own."""
    began = time.perf_counter()
    run()
    took = 1000 * (time.perf_counter() - began)
    with transaction(pool) as connection:
        connection.execute(_TELL)
    return took


def touched(admin: Connection[TupleRow]) -> int:
    """Pages that all of the database's sessions have looked at so far."""
    row = admin.execute(
        "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    return int(row[0]) if row else 0


def store(url: str, pool: Pool, account: Account) -> Cost:
    """Batches of new mail, into a mailbox of their own; these are kept."""
    box = rows.mailbox(pool, account, f"New {time.monotonic_ns()}")
    batches = []
    cursor = rows.START
    for first in range(1, 1 + 20 * BATCH, BATCH):
        batch = rows.batch(box, *map(letter, range(first, first + BATCH)), before=cursor)
        batches.append(batch)
        cursor = batch.after
    took = []
    with psycopg.connect(url, autocommit=True) as admin:
        for n, batch in enumerate(batches):
            if n == len(batches) // 2:
                before, took = touched(admin), []
            with transaction(pool) as connection:
                began = time.perf_counter()
                messages.store(connection, batch)
                took.append(1000 * (time.perf_counter() - began))
                connection.execute(_TELL)
        buffers = (touched(admin) - before) / len(took)
    return Cost(median(took), percentile(took, 0.99), buffers, 0)


def letter(uid: int) -> Incoming:
    """Each third one begins a thread, and the two that follow answer it."""
    first = uid - uid % 3
    return rows.incoming(
        uid, subject=f"New {uid} {time.monotonic_ns()}", references=(f"<{first}@new.example.com>",),
        message_id=f"<{uid}@new.example.com>",
    )  # fmt: skip


def backend_memory(pool: Pool) -> float:
    """MB that the session which was asked has to itself by now."""
    with transaction(pool) as connection:
        status = Path(f"/proc/{connection.info.backend_pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0


def explain(pool: Pool, account: Account) -> None:
    """Write what PostgreSQL does for each query."""
    PLANS.mkdir(exist_ok=True)
    with transaction(pool) as connection:
        asked = queries.of_mail(connection, account) | queries.of_accounts(account.id)
    for name, query in asked.items():
        told: list[str] = []
        with transaction(pool) as connection:
            many.explain(connection, told.append)
            query(connection)
            connection.execute("ROLLBACK")
        text = "\n\n".join(map(settled, told))
        (PLANS / f"{slug(name)}.txt").write_text(f"{name}\n\n{text}\n")


def slug(name: str) -> str:
    """The name of a query's file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def settled(plan: str) -> str:
    """The plan without what differs from run to run: times, costs, ids, which partition it was."""
    plan = re.sub(r"\Aduration: .*plan:\n", "", plan)
    plan = re.sub(r" +\(cost=\S+ rows=\d+ width=\d+\)", "", plan)
    plan = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=@)[0-9a-f]{32}", "…", plan)
    plan = re.sub(
        r"\b((?:message|body|attachment|placement|search|thread\w*)_)[0-7]\b", r"\1n", plan
    )
    plan = re.sub(r"(_)[0-7](_\w+_idx|_pkey)", r"\1n\2", plan)
    plan = re.sub(r"shared .*", _pages, plan)
    return "\n".join(line.rstrip() for line in executed(plan.splitlines()))


def _pages(buffers: re.Match[str]) -> str:
    """Whether a page was at hand is chance."""
    return f"{sum(map(int, re.findall(r'(?:hit|read)=([0-9]+)', buffers[0])))} pages"


def executed(lines: list[str]) -> Iterator[str]:
    """The lines without the nodes that were never executed, unless something below them was."""
    depths = [len(line) - len(line.lstrip()) for line in lines]
    upto = 0
    for n, line in enumerate(lines):
        if n < upto:
            continue
        below = itertools.takewhile(lambda m: depths[m] > depths[n], range(n + 1, len(lines)))  # noqa: B023
        tree = [n, *below]
        if "(never executed)" in line and not any("(actual" in lines[m] for m in tree):
            upto = tree[-1] + 1
        else:
            yield line


def scans() -> list[str]:
    """Queries whose plan reads the whole of a table that grows."""
    return [
        file.stem
        for file in sorted(PLANS.glob("*.txt"))
        if any(
            sum(int(rows_ or 0) for rows_ in found.groups()) >= MANY_ROWS
            for found in _SCAN.finditer(file.read_text())
        )
    ]


def mail_tables(mail: Costs, beside: Mapping[str, Cost]) -> list[Table]:
    """What was found of mail."""
    first, *_, last = mail.values()
    more = {
        name: [
            last[name].ms / first[name].ms,
            grown(first[name], last[name]),
            last[name].p99,
            first[name].peak,
            last[name].peak,
            beside[name].ms if name in beside else None,
            beside[name].buffers if name in beside else None,
        ]
        for name in last
    }
    columns = ("times the ms", "times the pages", "p99 ms", "reader's KB at 10,000", "reader's KB",
               "ms beside 10,000 accounts", "pages beside 10,000 accounts")  # fmt: skip
    return [
        lines("Milliseconds (median) by messages of the account", mail, lambda cost: cost.ms),
        lines("Pages of PostgreSQL by messages of the account", mail, lambda cost: cost.buffers),
        Table("A million messages beside ten thousand", columns, ours(more)),
    ]


def lines(title: str, costs: Costs, figure: Callable[[Cost], float]) -> Table:
    """A line for each query."""
    last = list(costs.values())[-1]
    drawn = {name: [figure(each[name]) for each in costs.values()] for name in last}
    return Table(title, list(costs), ours(drawn), "lines", logarithmic=True)


def ours(found: Mapping[str, Sequence[float | None]]) -> dict[str, Sequence[float | None]]:
    """Rows by their names."""
    return {f"Postwire, {name}": row for name, row in found.items()}


def crowd_table(crowd: Costs) -> Table:
    """What was found of accounts."""
    few, most = crowd.values()
    columns = [f"{what}, {size}" for what in ("ms", "pages") for size in crowd]
    return Table(
        "What the clock, workers and watchers ask",
        [*columns, "times the pages"],
        ours({
            name: [few[name].ms, cost.ms, few[name].buffers, cost.buffers, grown(few[name], cost)]
            for name, cost in most.items()
        }),
    )  # fmt: skip


def grown(before: Cost, after: Cost) -> float:
    """How many times the pages; a dozen more or less are none."""
    return (after.buffers + 10) / (before.buffers + 10)


def budgets(mail: Costs, crowd: Costs, backend: Sequence[float]) -> list[Budget]:
    """What is promised."""
    first, *_, last = mail.values()
    few, most = crowd.values()
    whole = scans()
    return [
        most_of("Pages at a million messages beside ten thousand", first, last),
        most_of("Pages at 10,000 accounts beside 10", few, most),
        Budget("Memory of PostgreSQL's session at a million messages beside ten thousand",
               backend[-1] / backend[0], "x", at_most=1.5),
        Budget("Queries that read the whole of a table that grows", len(whole), at_most=0,
               obstacle=f"These do: {', '.join(whole)}."),
    ]  # fmt: skip


def most_of(promise: str, before: Mapping[str, Cost], after: Mapping[str, Cost]) -> Budget:
    """What grows most; where that is too much, all that do are named."""
    factors = {name: grown(before[name], after[name]) for name in after}
    worst = max(factors, key=lambda name: factors[name])
    growing = ", ".join(f"{name} {n:.0f} x" for name, n in factors.items() if n > MOST)
    return Budget(f"{promise}, the worst of {len(factors)} ({worst})", factors[worst], "x",
                  at_most=MOST, obstacle=f"These grow: {growing}.")  # fmt: skip


def words(backend: Sequence[float]) -> str:
    """What was done."""
    kept = ", ".join(f"{size:.0f}" for size in backend)
    return (
        "The store's own functions, as the API, syncs and watchers call them, on an embedded "
        "PostgreSQL with 64 MB of shared buffers: one account of ten thousand, a hundred thousand, "
        "then a million messages (one every 13 minutes, so that more of them reach further back), "
        "then the same beside 10,000 accounts. Milliseconds are noisy; pages, which are 8 kB each "
        "that PostgreSQL looked at, at hand or not, with all that triggers did, are the same on "
        "each machine, and the budgets go by them (ten pages more or less count for nothing). "
        f"PostgreSQL's session had {kept} MB to itself after all queries of a size; the reader's "
        "KB are what Python's objects took at most. *Nothing new* is a whole sync of all "
        "mailboxes, with a real Dovecot whose mailboxes are empty and rows that say so, too. "
        "[bench/plans](../bench/plans) has the plan of each query at a million messages and 10,000 "
        "accounts."
    )


if __name__ == "__main__":
    alone(measure)
