"""What it costs to hold many accounts in IDLE, beside aioimaplib and imapflow."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import cost, watchers
from bench.idle_server import IdleServer
from bench.result import Budget, Measurement, Table, alone, percentile, progress
from bench.watchers import Watchers, until
from postwire_demo import node

#: Accounts in IDLE of each program, and those of the watcher alone.
ACCOUNTS, MANY = 1000, 10_000
#: Accounts that are connected at a time; the watcher's own number.
CONNECTING = 16
#: Seconds it is looked at what idling costs.
QUIET = 10.0
#: Accounts that are told of a message.
TOLD = 300


@dataclass(frozen=True, slots=True)
class Telling:
    """So many accounts at once, each so many times, with so many seconds in between."""

    at_once: int
    times: int
    gap: float


#: A message here and there.
SINGLY = Telling(1, 1, 0.025)
#: To the same accounts in the quarter of a second after which the watcher asks for the second job:
#: what the one costs beyond the other is to be told, without the jobs.
TWICE, OFTEN = Telling(20, 2, 0.015), Telling(20, 12, 0.015)
#: Seconds until memory and CPU have come to rest.
_REST = 2.0
#: Tells of each job once it is committed.
_NOTIFY = """
    CREATE FUNCTION tell_of_job() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('job', NEW.account_id::text); RETURN NULL; END $$;
    CREATE TRIGGER tell_of_job AFTER INSERT ON job FOR EACH ROW EXECUTE FUNCTION tell_of_job()
"""


class Holder(ABC):
    """A process that holds accounts in IDLE."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        #: When each user's change was seen first since `forget` (CLOCK_MONOTONIC, nanoseconds).
        self.heard: dict[str, int] = {}

    @abstractmethod
    def begin(self) -> None:
        """Connect them all."""

    def settle(self) -> None:
        """Wait until what connecting brought with it is done."""
        self.forget()

    def forget(self) -> None:
        """Be as if nothing had been heard."""
        self.heard.clear()


class Peer(Holder):
    """A program that says on its output whom it heard of."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(process.pid)
        self._process = process
        self._ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self) -> None:
        """Let it connect."""
        if not self._ready.wait(60):
            raise TimeoutError("the peer does not start")
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        for line in self._process.stdout:
            match line.split():
                case [user, moment]:
                    self.heard.setdefault(user, int(moment))
                case _:
                    self._ready.set()


class Watcher(Holder):
    """The watcher; what it hears of has become a job that is committed."""

    def __init__(self, pid: int, of: Watchers, database: psycopg.Connection) -> None:
        super().__init__(pid)
        self._of = of
        self._database = database

    def begin(self) -> None:
        """Let it have all accounts."""
        self._database.execute("UPDATE account SET state = 'active'")

    def settle(self) -> None:
        """Each account asks for a sync when it gets to IDLE."""
        until(self._all_asked, "a job of each account")
        self.forget()
        self._database.execute(_NOTIFY)
        threading.Thread(target=self._listen, daemon=True).start()

    def forget(self) -> None:
        """Nobody runs the jobs; while there is one, there will be no other of its account."""
        self._database.execute("DELETE FROM job")
        super().forget()

    def _all_asked(self) -> bool:
        row = self._database.execute("SELECT count(*) FROM job").fetchone()
        return row == (len(self._of.users),)

    def _listen(self) -> None:
        # At the end PostgreSQL is stopped.
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(self._of.database_url, autocommit=True) as connection,
        ):
            connection.execute("LISTEN job")
            for notice in connection.notifies():
                self.heard.setdefault(self._of.users[notice.payload], time.monotonic_ns())


@dataclass(frozen=True, slots=True)
class _Figures:
    """What one holder costs."""

    connections: int
    #: Seconds until all are in IDLE, and of CPU a connection.
    seconds: float
    connecting: float
    #: KB a connection.
    memory: float
    #: Cores while nothing happens.
    idling: float
    #: Seconds from the server's EXISTS to having seen it, and of CPU each.
    took: list[float]
    whole: float
    #: Seconds of CPU for one EXISTS more.
    more: float


WORDS = f"""A mail server that knows IDLE and little more, in TLS, the same for all; each program is
one process, connects {CONNECTING} accounts at a time, and shares one TLS context. Postwire is its
watcher as deployed, with PostgreSQL and Valkey of its own, and nobody runs the jobs; the peers only
note when they were told. So not like for like: the watcher takes a lease and a slot for each
account, asks for a first sync of it, and what counts as seen is the job, committed to PostgreSQL
(the peers: their callback); its idling is that of its clocks too, whatever the number of accounts.
CPU of an EXISTS alone is how much more it costs to tell an account {OFTEN.times} times than
{TWICE.times} times, within the quarter of a second in which the watcher asks for no further job.
Memory is PSS. The server, in Python on the same two cores, takes part in what setting up takes.
Not measured: a real server's own delay, which is 500 ms in Dovecot 2.3."""


def measure() -> Measurement:
    """Measure them one after the other, on one server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found: dict[str, _Figures] = {}
    with tempfile.TemporaryDirectory(prefix="postwire-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for row, start, number in (
            ("Postwire", _watcher, ACCOUNTS),
            ("aioimaplib", _aioimaplib, ACCOUNTS),
            ("imapflow", _imapflow, ACCOUNTS),
            ("Postwire", _watcher, MANY),
        ):
            progress(f"{row}: {number:,} accounts")
            with _server(folder) as server, start(server, number, folder) as holder:
                found[f"{row}, {number:,}"] = _measure(server, holder, number)
    many = found[f"Postwire, {MANY:,}"]
    few = found[f"Postwire, {ACCOUNTS:,}"]
    return Measurement(
        "IDLE at scale", " ".join(WORDS.split()), (_held(found), _told(found)), _budgets(few, many)
    )


def _measure(server: IdleServer, holder: Holder, number: int) -> _Figures:
    time.sleep(_REST)
    memory, cpu, began = cost.memory(holder.pid), cost.cpu(holder.pid), time.monotonic()
    holder.begin()
    until(lambda: len(server.idling) == number, f"{number} accounts in IDLE")
    seconds = time.monotonic() - began
    holder.settle()
    time.sleep(_REST)
    connecting = (cost.cpu(holder.pid) - cpu) / number
    memory = (cost.memory(holder.pid) - memory) * 1024 / number
    cpu = cost.cpu(holder.pid)
    time.sleep(QUIET)
    idling = (cost.cpu(holder.pid) - cpu) / QUIET
    told = list(server.idling)[:TOLD]
    whole = _told_of(server, holder, told, SINGLY, idling)
    took = [(holder.heard[user] - server.told[user]) / 1e9 for user in told]
    twice, often = (_told_of(server, holder, told, how, idling) for how in (TWICE, OFTEN))
    more = (often - twice) / (OFTEN.times - TWICE.times)
    return _Figures(number, seconds, connecting, memory, idling, took, whole, more)


def _told_of(
    server: IdleServer, holder: Holder, users: list[str], how: Telling, idling: float
) -> float:
    """Tell users of messages; seconds of CPU for each, beyond idling."""
    holder.forget()
    cpu, began = cost.cpu(holder.pid), time.monotonic()
    for first in range(0, len(users), how.at_once):
        for _ in range(how.times):
            for user in users[first : first + how.at_once]:
                server.tell(user)
            time.sleep(how.gap)
    until(lambda: len(holder.heard) == len(users), "all to be heard of")
    time.sleep(1)
    used = cost.cpu(holder.pid) - cpu - idling * (time.monotonic() - began)
    return used / len(users)


def _held(found: dict[str, _Figures]) -> Table:
    columns = (
        "s to set up",
        "CPU ms a connection",
        "KB a connection",
        "% of a core for 1,000 idle",
    )
    rows = {
        name: (
            of.seconds,
            of.connecting * 1000,
            of.memory,
            of.idling * 100 / of.connections * 1000,
        )
        for name, of in found.items()
    }
    return Table("Connections in IDLE", columns, rows, chart="bars", drawn="KB a connection")


def _told(found: dict[str, _Figures]) -> Table:
    columns = ("p50 ms", "p99 ms", "CPU ms an event", "CPU ms an EXISTS alone")
    rows = {
        name: (
            percentile(of.took, 0.5) * 1000,
            percentile(of.took, 0.99) * 1000,
            of.whole * 1000,
            of.more * 1000,
        )
        for name, of in found.items()
    }
    return Table("From the server's EXISTS to having seen it", columns, rows)


def _budgets(few: _Figures, many: _Figures) -> tuple[Budget, ...]:
    return (
        Budget(f"Memory of {MANY:,}, in TLS", many.memory, "KB a connection", at_most=45),
        Budget("CPU of one EXISTS, without the job", few.more * 1000, "ms", at_most=0.2),
        Budget(
            "Connections of one process",
            many.connections,
            at_least=10_000,
            obstacle=f"Not measured: {MANY:,} were held, in the time that there is; by the table "
            "the cost of one hardly changes with their number.",
        ),
    )


@contextmanager
def _server(folder: Path) -> Iterator[IdleServer]:
    with tempfile.TemporaryDirectory(dir=folder) as own, IdleServer(Path(own)).running() as server:
        yield server


@contextmanager
def _watcher(server: IdleServer, number: int, folder: Path) -> Iterator[Holder]:
    with ExitStack() as stack:
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        own.chmod(0o755)
        of = watchers.prepare(stack, server, number, own)
        pid = of.start().process.pid
        yield Watcher(
            pid, of, stack.enter_context(psycopg.connect(of.database_url, autocommit=True))
        )


@contextmanager
def _aioimaplib(server: IdleServer, number: int, _folder: Path) -> Iterator[Holder]:
    with _peer([sys.executable, "-m", "bench.aioimaplib_idle"], server, number) as holder:
        yield holder


@contextmanager
def _imapflow(server: IdleServer, number: int, _folder: Path) -> Iterator[Holder]:
    script = Path(__file__).with_name("peers") / "idle.mjs"
    with _peer([node.node(), str(script)], server, number) as holder:
        yield holder


@contextmanager
def _peer(command: list[str], server: IdleServer, number: int) -> Iterator[Holder]:
    arguments = [str(server.port), str(server.ca_file), str(number), str(CONNECTING)]
    with subprocess.Popen(  # noqa: S603
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Peer(process)
        finally:
            process.kill()


if __name__ == "__main__":
    alone(measure)
