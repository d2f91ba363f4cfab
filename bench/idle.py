"""What it costs to hold many accounts in IDLE, and how watchers take over from each other.

    PYTHONPATH=tests python bench/idle.py [ACCOUNTS]

The watcher's process, PostgreSQL and Valkey are real; the mail server says just enough, in TLS, and
nobody runs the jobs. Scheduled syncs are off: they cost the same without IDLE.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import re
import resource
import secrets
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import psycopg

from postwire.credentials import make_keyring
from postwire.model import AccountId
from postwire.store import accounts
from postwire.store.pool import make_pool, transaction
from postwire_demo import services
from postwire_demo.processes import HOST
from postwire_demo.servers import postgres, valkey
from postwire_demo.services import Service
from support.dovecot import write_certificate

#: Seconds it is looked at what idling costs.
QUIET = 30.0
#: Seconds that all accounts have to get to IDLE, and one change to become a job.
PATIENCE = 300.0
TOLD = 50
PASSWORD = "secret"  # noqa: S105 - the server takes any
_ANSWERS = {
    "LOGIN": "{tag} OK [CAPABILITY IMAP4rev1 IDLE] done",
    "CAPABILITY": "* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done",
    "EXAMINE": "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 1] x\r\n{tag} OK done",
    "LOGOUT": "* BYE\r\n{tag} OK done",
}


class Server:
    """A mail server that knows IDLE and hardly more; `idling` are its users that are in it."""

    def __init__(self, folder: Path) -> None:
        write_certificate(folder)
        self.ca_file = folder / "server.pem"
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(self.ca_file, folder / "server.key")
        self.idling: dict[str, asyncio.StreamWriter] = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._there = threading.Event()

    def tell(self, user: str) -> None:
        """Say that there is mail."""
        self._loop.call_soon_threadsafe(self.idling[user].write, b"* 1 EXISTS\r\n")

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Serve in a thread."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        self._there.wait(10)
        yield self
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(10)

    def _run(self) -> None:
        listening = asyncio.start_server(self._serve, HOST, 0, ssl=self._tls, backlog=1024)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._there.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user = idle = ""
        writer.write(b"* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n")
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            name, _, rest = command.partition(" ")
            if name == "LOGIN":
                user = rest.split(" ")[0].strip('"')
            if name == "IDLE":
                idle, self.idling[user] = tag, writer
                writer.write(b"+ idling\r\n")
            elif tag == "DONE":
                writer.write(f"{idle} OK done\r\n".encode())
            else:
                answer = _ANSWERS.get(name, "{tag} BAD what?")
                writer.write(f"{answer.format(tag=tag)}\r\n".encode())
        if self.idling.get(user) is writer:
            del self.idling[user]


def main() -> None:
    """Print what it costs."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    # The watcher sees to itself; the server has as many.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-bench-")))
        folder.chmod(0o755)
        server = stack.enter_context(Server(folder).running())
        values = prepare(stack, server, number, folder)
        watchers = stack.enter_context(services.stopping_together())
        watcher = start(watchers, values, folder)
        time.sleep(3)
        admin = stack.enter_context(psycopg.connect(values["database_url"], autocommit=True))
        process = psutil.Process(watcher.process.pid)
        before = process.memory_info().rss
        connect(server, watcher, admin, number)
        grown = process.memory_info().rss - before
        print(f"memory: {before / 2**20:.0f} MB and {grown / 2**20:.0f} MB more,"
              f" {grown / 2**20 / number * 1000:.0f} MB for 1,000 accounts")  # fmt: skip
        rest(process, admin)
        deliver(server, admin)
        change(server, watchers, number, lambda: start(watchers, values, folder))


def prepare(stack: ExitStack, server: Server, number: int, folder: Path) -> dict[str, str]:
    """Servers with so many accounts that are still connecting; the settings of a watcher."""
    pg = postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8))
    redis = valkey(folder / "valkey", folder / "valkey.log", secrets.token_hex(8))
    values = {
        "database_url": stack.enter_context(pg),
        "redis_url": stack.enter_context(redis),
        "credential_keys": f"k1:{base64.b64encode(os.urandom(32)).decode()}",
        "imap_ca_file": str(server.ca_file),
        "allowed_networks": "127.0.0.0/8",
        "watch_accounts": str(number),
        "ops_host": HOST,
    }
    services.migrate(values, folder / "migrate.log")
    add(values, server, number)
    return values


def start(watchers: list[Service], values: dict[str, str], folder: Path) -> Service:
    """Another watcher."""
    watcher = services.start("watcher", values, folder)
    watchers.append(watcher)
    services.wait_until_ready([watcher])
    return watcher


def add(values: dict[str, str], server: Server, number: int) -> None:
    """Add accounts that nobody syncs by the clock."""
    keyring = make_keyring(values["credential_keys"])
    pool = make_pool(values["database_url"], 1)
    with transaction(pool) as connection:
        for n in range(number):
            id_ = AccountId(str(uuid4()))
            accounts.add(
                connection, id_, user_id="robin", address=f"u{n}@x.example", host=HOST,
                port=server.port, security="tls", username=f"u{n}",
                credential=keyring.seal(id_, PASSWORD), window_days=30,
            )  # fmt: skip
        connection.execute("UPDATE account SET sync_every = NULL")
    pool.close()


def connect(server: Server, watcher: Service, admin: psycopg.Connection, number: int) -> None:
    """Let the watcher have all accounts, and wait until they are in IDLE."""
    began = time.monotonic()
    admin.execute("UPDATE account SET state = 'active'")
    while len(server.idling) < number:
        if time.monotonic() - began > PATIENCE:
            sys.exit(f"only {len(server.idling)} accounts got to IDLE\n{watcher.log.read_text()}")
        time.sleep(0.05)
    print(f"{number} accounts in IDLE after {time.monotonic() - began:.1f} s")
    # Each asked for a sync, which takes a moment more.
    while admin.execute("SELECT count(*) FROM job").fetchone() != (number,):
        time.sleep(0.1)
    print(f"all of them asked for after {time.monotonic() - began:.1f} s")
    until(lambda: idling(watcher) == number)


def rest(process: psutil.Process, admin: psycopg.Connection) -> None:
    """Nothing happens for a while."""
    admin.execute("DELETE FROM job")
    admin.execute("VACUUM ANALYZE")
    # PostgreSQL notes what was done some seconds later.
    time.sleep(12)
    before, cpu = counted(admin), sum(process.cpu_times()[:2])
    time.sleep(QUIET)
    used, after = sum(process.cpu_times()[:2]) - cpu, counted(admin)
    print(f"idle for {QUIET:.0f} s: {used / QUIET * 100:.1f} % of a core")
    for name, value in after.items():
        print(f"  PostgreSQL, {name}: {(value - before[name]) / QUIET:.1f}/s")


def counted(admin: psycopg.Connection) -> dict[str, int]:
    """What PostgreSQL has done so far, as far as it has noted it."""
    row = admin.execute(
        "SELECT xact_commit, tup_updated, tup_inserted, tup_deleted, tup_returned"
        " FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    names = ("transactions", "rows updated", "rows inserted", "rows deleted", "rows read")
    return dict(zip(names, row or (), strict=True))


def deliver(server: Server, admin: psycopg.Connection) -> None:
    """Tell of mail for one account after the other; from there to the job's row."""
    took = []
    for user in random.sample(sorted(server.idling), min(TOLD, len(server.idling))):
        admin.execute("DELETE FROM job")
        began = time.monotonic()
        server.tell(user)
        while not admin.execute("SELECT FROM job").fetchall():
            if time.monotonic() - began > PATIENCE:
                sys.exit(f"{user} was not asked for")
            time.sleep(0.0005)
        took.append((time.monotonic() - began) * 1000)
        time.sleep(0.1)
    p99 = sorted(took)[int(len(took) * 0.99) - 1]
    print(
        f"from EXISTS to the job's row: median {statistics.median(took):.1f} ms, p99 {p99:.1f} ms"
    )


def change(
    server: Server, watchers: list[Service], number: int, another: Callable[[], Service]
) -> None:
    """A second watcher comes, the first is killed, a third comes, the second is told to end."""
    first = watchers[0]
    with fewest(server, "a second watcher gets its part"):
        second = another()
        until(lambda: idling(second) >= number // 2 and idling(first) <= number - number // 2)
    with fewest(server, "one of two is killed, until all are in IDLE again"):
        watchers.remove(first)
        first.process.kill()
        until(lambda: first.process.poll() is not None and idling(second) == number)
    third = another()
    until(lambda: idling(third) >= number // 2 and idling(second) <= number - number // 2)
    with fewest(server, "one of two is told to end, until it has"):
        watchers.remove(second)
        second.process.terminate()
        until(lambda: second.process.poll() is not None)
    until(lambda: idling(third) == number)


@contextmanager
def fewest(server: Server, what: str) -> Iterator[None]:
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


def idling(watcher: Service) -> int:
    """How many accounts the watcher has in IDLE."""
    text = httpx.get(watcher.metrics, timeout=10).text
    found = re.search(r"^postwire_idle_connections (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def until(holds: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            sys.exit("this takes too long")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
