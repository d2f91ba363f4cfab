"""A sync of a mailbox in which nothing has changed, and of one in which little has.

PYTHONPATH=tests python -m bench.unchanged
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from imapclient import IMAPClient

from bench import corpus, direct, programs, wire
from bench.cost import Ran
from bench.result import Budget, Measurement, Table, alone, progress
from bench.tap import Said, Tap, tapping
from postwire.model import Account
from postwire.store.pool import Pool
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter

#: Messages in INBOX; Sent and Archive have none.
MESSAGES = 10_000
MAILBOXES = 3
#: Messages the predecessor fetches again: of 10,000 it would take minutes.
REFETCHED = 500
#: Times each check is done.
TIMES = 100
#: Seconds until any of them must be done.
PATIENCE = 300.0
COLUMNS = ("commands", "bytes sent", "bytes read", "client CPU ms", "milliseconds")
SYNC = "Postwire, a sync with a login of its own"
KEPT = "Postwire, IDLE renewed on a kept connection"
FLOOR = "floor: login and logout, by imapclient"
REFETCH = f"the predecessor's way, of {REFETCHED} messages"

WORDS = (
    "INBOX has 10,000 messages, Sent and Archive have none; all of it was synced, and nothing has "
    "changed since. Postwire's sync is what a worker does for a job, without the queue around it: "
    "connect, log in, ask for the state of all mailboxes, compare, log out ({said}). Between "
    "syncs a watcher is told of changes by IDLE and asks nothing; every nine minutes it renews "
    "IDLE, which is the second row, and tells of INBOX alone. The predecessor fetches and parses "
    "all of INBOX again and asks the database for each message: measured with {refetched} "
    "messages that it had stored before, without the start of the program; for the budgets it is "
    "taken as growing with the messages. imapflow asks for the STATUS of all mailboxes by one "
    "LIST, over a connection of its own, in a program that has warmed up. mbsync is a whole "
    "program each time, as cron starts it. What a client asks that remembers nothing of the "
    "server's state is all UIDs and all flags. Commands and bytes are counted once by a proxy, "
    "the predecessor's bytes by Dovecot; time and CPU without the proxy: medians and means of "
    "{times} times, fewer where it takes long. All of it goes over the loopback without TLS. The "
    "second table is what a sync says that finds something to do, login and logout included."
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What doing it once takes, in milliseconds."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Bench:
    """Where all of it happens."""

    pool: Pool
    user: MailUser
    account: Account
    tap: Tap
    folder: Path

    @property
    def tapped(self) -> Account:
        """The account, with a server that is reached through the tap."""
        return replace(self.account, port=self.tap.port)

    def sync(self, *, audited: bool = False) -> Said:
        """A sync through the tap."""
        return self.tap.count(lambda: direct.run(self.pool, self.tapped, audited=audited))


def measure() -> Measurement:
    """Each way to find out that nothing has changed, and then what little changes cost."""
    with (
        direct.servers() as (database, server),
        direct.pooled(database) as pool,
        tapping(server.port) as tap,
        tempfile.TemporaryDirectory(prefix="postwire-bench-") as folder,
    ):
        user = _fill(server)
        bench = _Bench(pool, user, direct.add_account(pool, user), tap, Path(folder))
        progress("first sync")
        direct.run(pool, bench.account)
        progress("nothing changed")
        said, rows = _unchanged(bench)
        progress(f"{REFETCHED} messages are fetched again")
        rows[REFETCH] = _refetch(server, database)
        progress("little changed")
        changes = Table("What a sync says that finds something", COLUMNS[:3], _changes(bench))
    words = WORDS.format(said=", ".join(said.commands), refetched=REFETCHED, times=TIMES)
    unchanged = Table(
        "Nothing has changed",
        COLUMNS,
        rows,
        chart="bars",
        drawn=COLUMNS[-1],
        logarithmic=True,
    )
    return Measurement("Nothing new", words, [unchanged, changes], _budgets(rows))


def _fill(server: Dovecot) -> MailUser:
    user = MailUser(server, server.new_user())
    with user.session() as mail:
        mail.create_folder("Archive")
    progress(f"{MESSAGES:,} messages, {corpus.fill(user, MESSAGES) / 1e6:,.0f} MB")
    return user


def _unchanged(bench: _Bench) -> tuple[Said, dict[str, tuple[float | None, ...]]]:
    said = bench.sync()
    spent = _timed(lambda: direct.run(bench.pool, bench.account))
    rows = {
        SYNC: _row(said, spent),
        KEPT: _kept(bench),
        "imapflow, LIST with STATUS": _imapflow(bench),
        "mbsync": _mbsync(bench),
        "all UIDs and all flags, by imapclient": _of(bench, _ask_all, times=5),
        FLOOR: _of(bench, _log_in, times=TIMES),
    }
    return said, rows


def _row(said: Said, spent: Spent) -> tuple[float | None, ...]:
    return (*said.row, spent.cpu, spent.wall)


def _timed(work: Callable[[], object], times: int = TIMES) -> Spent:
    """Of this thread, which does all of it; the first time warms up."""
    work()
    took = []
    cpu = time.thread_time()
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return Spent(1000 * (time.thread_time() - cpu) / times, 1000 * statistics.median(took))


def _kept(bench: _Bench) -> tuple[float | None, ...]:
    with direct.idling(bench.tapped) as renew:
        said = bench.tap.count(renew)
    with direct.idling(bench.account) as renew:
        return _row(said, _timed(renew))


def _imapflow(bench: _Bench) -> tuple[float | None, ...]:
    def check(times: int, port: int) -> Ran:
        return programs.node("imapflow_check", bench.user, PATIENCE, port, TIMES=str(times))

    said = bench.tap.count(lambda: check(1, bench.tap.port))
    spent = msgspec.json.decode(check(TIMES, bench.user.server.port).stdout, type=Spent)
    return _row(said, spent)


def _mbsync(bench: _Bench) -> tuple[float | None, ...]:
    programs.mbsync(bench.user, bench.folder, PATIENCE)()
    said = bench.tap.count(programs.mbsync(bench.user, bench.folder, PATIENCE, bench.tap.port))
    again = programs.mbsync(bench.user, bench.folder, PATIENCE)
    ran = [again() for _ in range(5)]
    cpu, wall = statistics.mean(one.cpu for one in ran), statistics.median(r.seconds for r in ran)
    return _row(said, Spent(1000 * cpu, 1000 * wall))


def _of(
    bench: _Bench, ask: Callable[[MailUser, int], None], times: int
) -> tuple[float | None, ...]:
    user = bench.user
    said = bench.tap.count(lambda: ask(user, bench.tap.port))
    return _row(said, _timed(lambda: ask(user, user.server.port), times))


def _log_in(user: MailUser, port: int) -> None:
    with IMAPClient(user.server.host, port, ssl=False, timeout=30) as client:
        client.login(user.name, user.server.password)


def _ask_all(user: MailUser, port: int) -> None:
    with IMAPClient(user.server.host, port, ssl=False, timeout=60) as client:
        client.login(user.name, user.server.password)
        client.select_folder("INBOX", readonly=True)
        client.fetch(client.search("ALL"), ["FLAGS"])


def _refetch(server: Dovecot, database: str) -> tuple[float | None, ...]:
    user = MailUser(server, server.new_user())
    corpus.fill(user, REFETCHED)

    def refetch() -> Ran:
        return programs.node("refetch", user, PATIENCE, DATABASE_URL=database, TABLE="refetched")

    refetch()
    sessions = wire.sessions(user)
    spent = msgspec.json.decode(refetch().stdout, type=Spent)
    return (None, None, wire.carried(user, sessions), spent.cpu, spent.wall)


def _changes(bench: _Bench) -> dict[str, tuple[float, ...]]:
    rows = {}
    with bench.user.session() as mail:
        mail.append("INBOX", letter("new"))
        rows["Postwire, one new message"] = bench.sync().row
        mail.select_folder("INBOX")
        mail.add_flags([MESSAGES // 2], [r"\Flagged"])
        rows["Postwire, one flag"] = bench.sync().row
        mail.delete_messages([1])
        mail.expunge([1])
        rows["Postwire, one expunged"] = bench.sync().row
        mail.move([2], "Archive")
        rows["Postwire, one moved"] = bench.sync().row
    direct.let_audit_be_due(bench.pool, bench.account)
    rows["Postwire, audit of all"] = bench.sync(audited=True).row
    direct.lose_one_in_a_thousand(bench.pool)
    direct.let_audit_be_due(bench.pool, bench.account)
    rows["Postwire, audit, one in 1,000 was lost"] = bench.sync(audited=True).row
    return rows


def _budgets(rows: dict[str, tuple[float | None, ...]]) -> list[Budget]:
    _, sent, read, cpu, wall = (figure or 0 for figure in rows[SYNC])
    *_, floor_cpu, floor_wall = (figure or 0 for figure in rows[FLOOR])
    *_, kept_cpu, kept_wall = (figure or 0 for figure in rows[KEPT])
    refetch = (rows[REFETCH][-1] or 0) * MESSAGES / REFETCHED
    login = (
        f"A login and logout alone take {floor_wall:.1f} ms and {floor_cpu:.2f} ms of CPU by "
        f"imapclient; where the connection is kept it is {kept_wall:.2f} and {kept_cpu:.2f} ms. Of "
        "our CPU 29 % connect and log in, 23 % read the LIST, 19 % look for messages set aside "
        "(cProfile): a sync asks PostgreSQL nine times."
    )
    return [
        Budget(
            "time, fetching 10,000 again over a sync with a login",
            refetch / wall,
            at_least=100_000,
            obstacle=login,
        ),
        Budget(
            "time, fetching 10,000 again over renewing IDLE",
            refetch / kept_wall,
            at_least=100_000,
            obstacle="Leaving IDLE and entering it again are two round trips to Dovecot.",
        ),
        Budget("bytes of a mailbox", (sent + read) / MAILBOXES, "B", at_most=500),
        Budget("client CPU of a mailbox", cpu / MAILBOXES, "ms", at_most=0.1, obstacle=login),
    ]


if __name__ == "__main__":
    alone(measure)
