"""What watchers ask of PostgreSQL when nothing happens, and how they take over from each other.

PYTHONPATH=tests python -m bench.handover [ACCOUNTS]

Beside `bench.idle`, which says what a connection costs; `make bench` does not run this one.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from bench import watchers
from bench.idle_server import IdleServer
from bench.watchers import Watchers, idling, until

#: Seconds it is looked at what idling costs PostgreSQL, which notes what was done some seconds
#: later.
QUIET, NOTED = 30.0, 12.0


def main() -> None:
    """Print both."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-bench-")))
        folder.chmod(0o755)
        server = stack.enter_context(IdleServer(folder).running())
        of = watchers.prepare(stack, server, number, folder)
        first = of.start()
        admin = stack.enter_context(psycopg.connect(of.database_url, autocommit=True))
        admin.execute("UPDATE account SET state = 'active'")
        until(lambda: idling(first) == number, f"{number} accounts in IDLE")
        print(f"{number} accounts in IDLE")
        rest(admin)
        change(server, of, number)


def rest(admin: psycopg.Connection) -> None:
    """Nothing happens for a while."""
    admin.execute("DELETE FROM job")
    admin.execute("VACUUM ANALYZE")
    time.sleep(NOTED)
    before = counted(admin)
    time.sleep(QUIET)
    for name, value in counted(admin).items():
        print(f"PostgreSQL, {name}: {(value - before[name]) / QUIET:.1f}/s")


def counted(admin: psycopg.Connection) -> dict[str, int]:
    """What PostgreSQL has done so far, as far as it has noted it."""
    row = admin.execute(
        "SELECT xact_commit, tup_updated, tup_inserted, tup_deleted, tup_returned"
        " FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    names = ("transactions", "rows updated", "rows inserted", "rows deleted", "rows read")
    return dict(zip(names, row or (), strict=True))


def change(server: IdleServer, of: Watchers, number: int) -> None:
    """A second watcher comes, the first is killed, a third comes, the second is told to end."""
    (first,), half = of.running, number // 2
    with fewest(server, "a second watcher gets its part"):
        second = of.start()
        until(lambda: idling(second) >= half and idling(first) <= number - half, "halves")
    with fewest(server, "one of two is killed, until all are in IDLE again"):
        of.running.remove(first)
        first.process.kill()
        first.process.wait()
        until(lambda: idling(second) == number, "all with the second")
    third = of.start()
    until(lambda: idling(third) >= half and idling(second) <= number - half, "halves again")
    with fewest(server, "one of two is told to end, until it has"):
        of.running.remove(second)
        second.process.terminate()
        until(lambda: second.process.poll() is not None, "the end of the second")
    until(lambda: idling(third) == number, "all with the third")


@contextmanager
def fewest(server: IdleServer, what: str) -> Iterator[None]:
    """Print how long the block took, and how many accounts were in IDLE when they were fewest."""
    seen = [len(server.idling)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(len(server.idling))

    thread = threading.Thread(target=look)
    thread.start()
    began = time.monotonic()
    try:
        yield
    finally:
        over.set()
        thread.join()
    print(f"{what}: {time.monotonic() - began:.1f} s, never fewer than {min(seen)} in IDLE")


if __name__ == "__main__":
    main()
