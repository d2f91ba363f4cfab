"""An update under load, from an older release to this one: `make update FROM=… MINUTES=…`.

Two processes of each kind of the older release work behind one address. This release migrates
beneath them, takes the place of half of them, gives it back, and then takes the place of all.
It ends with code 1 where anything was lost, stored twice, unequal, stuck or refused.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from chaos import report
from chaos.__main__ import say
from chaos.audit import Audit
from chaos.faults import GRACE
from chaos.ledger import Wave
from chaos.servers import Server
from chaos.storm import Storm
from chaos.world import Size, World, make_world
from postwire.settings import PREFIX
from postwire_demo import services
from postwire_demo.processes import accepts, free_port, spawn, stop, wait_until
from postwire_demo.services import SERVICES, Service
from postwire_demo.signals import Stopped, look_no_longer, raise_at_stop
from support.nginx import configure
from support.system import System, make_values

ROOT = Path(__file__).parents[2]
MIGRATIONS = "shared/postwire/migrations"
#: Who reads what others write comes before them (docs/upgrade.md).
ORDER = ("gateway", "sync-worker", "sync-worker-manual", "watcher", "api")
PLACES = (1, 2)
#: Seconds a process that was started is waited for, and the migrations are.
_READY, _MIGRATED = 60.0, 300.0
#: Seconds between two looks at the locks.
_LOOK = 0.005
_NAMES = """
import json
from postwire import settings
print(json.dumps({kind.__name__: list(kind.model_fields) for kind in settings.ALL}))
"""


@dataclass(frozen=True, slots=True)
class Release:
    """A release that can be run: its Python, and the names of the settings it knows."""

    name: str
    python: str
    settings: Mapping[str, list[str]]

    @classmethod
    def of(cls, name: str, python: str) -> Release:
        """Ask it for its settings."""
        env = services.bare_environment()
        told = subprocess.run([python, "-c", _NAMES], env=env, check=True, stdout=subprocess.PIPE)
        return cls(name, python, json.loads(told.stdout))

    def run(
        self, module: str, kind: str, values: Mapping[str, str], log: Path
    ) -> subprocess.Popen[str]:
        """Run the module with those of `values` that its settings know."""
        known = {
            PREFIX + name.upper(): value
            for name, value in values.items()
            if name in self.settings[kind]
        }
        return spawn([self.python, "-m", module], log, env=services.bare_environment() | known)

    def migrate(self, url: str, log: Path) -> None:
        """Bring the database to its schema."""
        values = {"database_url": f"{url}?application_name=migrate"}
        process = self.run("postwire.store.migrate", "MigrateSettings", values, log)
        if process.wait(_MIGRATED):
            raise RuntimeError(f"the migration of the {self.name} release failed: {log}")

    def start(self, name: str, values: Mapping[str, str], logs: Path) -> Service:
        """Start the process of that name, such as api-1."""
        module, settings, own = SERVICES[name.rpartition("-")[0]]
        port, log = free_port(), logs / f"{name}.log"
        process = self.run(module, settings.__name__, {**values, **own, "ops_port": str(port)}, log)
        return Service(name, process, log, port)


@contextmanager
def checked_out(ref: str) -> Iterator[Release]:
    """The release of that commit, with what it has pinned, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="postwire-update-") as folder:
        packed = subprocess.run(
            ["git", "archive", ref],  # noqa: S607
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
        )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tree:
            tree.extractall(folder, filter="data")
        # Else it would take over what our own make was told.
        env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(["make", "-s", "setup"], cwd=folder, env=env, check=True)  # noqa: S607
        yield Release.of("old", f"{folder}/.venv/bin/python")


@dataclass(frozen=True, slots=True)
class Fleet(System):
    """Two processes of each kind, each of one release or the other, behind one address."""

    #: The release of each process by its name, and the settings that are its own.
    releases: dict[str, Release] = field(default_factory=dict)
    own: dict[str, dict[str, str]] = field(default_factory=dict)

    def start_again(self, name: str) -> None:
        """Start the process that has ended; of the release that is to be there now."""
        ended = self.service(name)
        self.services[self.services.index(ended)] = self._start(name)

    def start(self) -> None:
        """Start all of them."""
        self.services.extend(self._start(name) for name in self.releases)
        services.wait_until_ready(self.services)

    def _start(self, name: str) -> Service:
        values = self._values | self.own.get(name, {})
        return self.releases[name].start(name, values, self._logs)


def runs(release: Release) -> Callable[..., Iterator[System]]:
    """How all of Postwire is run in that release."""

    @contextmanager
    def run(database: Server, redis: Server, folder: Path) -> Iterator[System]:
        release.migrate(database.direct, folder / "migrate-old.log")
        api, gateway = ([free_port() for _ in PLACES] for _ in range(2))
        with ExitStack() as stack:
            url = stack.enter_context(_nginx(folder, gateway, api))
            values = make_values(database.url, redis.url, url, url)
            running = stack.enter_context(services.stopping_together())
            fleet = Fleet(
                *(url, url, values["jwt_secret"], running, values, folder),
                {f"{kind}-{place}": release for place in PLACES for kind in ORDER},
                {f"api-{n}": {"api_port": str(port)} for n, port in zip(PLACES, api, strict=True)}
                | {
                    f"gateway-{n}": {"gateway_port": str(port)}
                    for n, port in zip(PLACES, gateway, strict=True)
                },
            )
            fleet.start()
            yield fleet

    return run


@contextmanager
def _nginx(folder: Path, gateways: list[int], api: list[int]) -> Iterator[str]:
    port, log = free_port(), folder / "nginx.log"
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = spawn([program, *configure(folder, port, gateways, api)], log)
    try:
        wait_until(lambda: accepts(port), process, "nginx", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process, signal.SIGTERM, 5)


class Locks(threading.Thread):
    """Looks at the locks while migrations run: which they hold, and who waits for them."""

    def __init__(self, url: str) -> None:
        super().__init__(name="locks")
        self._url = url
        self._over = threading.Event()
        #: By number of the migration: when a lock was first and last seen; the longest wait.
        self.held: dict[int, dict[str, tuple[float, float]]] = defaultdict(dict)
        self.waited: dict[int, float] = defaultdict(float)
        self.looks = 0

    def run(self) -> None:
        """Look until `stop`."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(_LOOK):
                self.looks += 1
                for row in connection.execute(_LOCKS).fetchall():
                    self._note(*row)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join(30)

    def _note(self, number: int, lock: str, ours: bool, seconds: float | None) -> None:  # noqa: FBT001
        if ours:
            now = time.monotonic()
            self.held[number][lock] = (self.held[number].get(lock, (now, now))[0], now)
        elif seconds:
            self.waited[number] = max(self.waited[number], seconds)


#: Locks of the migration on tables that were there before, and what others wait for meanwhile.
_LOCKS = r"""
SELECT (SELECT count(*) FROM _yoyo_migration),
       mode || ' on ' || regexp_replace(relname, '_\d$', ''),
       application_name = 'migrate',
       extract(epoch FROM clock_timestamp() - waitstart)::float
  FROM pg_locks
  JOIN pg_class ON pg_class.oid = relation AND relkind IN ('r', 'p') AND relname !~ '^_?yoyo'
  JOIN pg_stat_activity USING (pid)
 WHERE relnamespace = 'public'::regnamespace
   AND CASE application_name
       WHEN 'migrate' THEN granted AND mode IN ('ShareLock', 'ShareRowExclusiveLock',
                                                'ExclusiveLock', 'AccessExclusiveLock')
       ELSE NOT granted END
"""


class Update(Storm):
    """The update of a world from one release to another, step by step."""

    def __init__(self, world: World, old: Release, new: Release) -> None:
        super().__init__(world, random.Random(0), say)  # noqa: S311 - nothing is drawn
        assert isinstance(world.system, Fleet)
        self._fleet = world.system
        self._old, self._new = old, new
        self._locks = Locks(world.postgres.direct)

    def roll(self, seconds: float) -> Audit:
        """Rest `seconds` in all between the steps; the last audit."""
        rest = seconds / 4
        half = [f"{kind}-1" for kind in ORDER]
        rest_of_it = [f"{kind}-{place}" for kind in ORDER for place in PLACES]
        self._world.load.start()
        self._step("the old release", rest)
        self._migrate()
        self._step("the old release on the new schema", rest)
        self._replace(half, self._new)
        self._step("half of each", rest)
        self._replace(half[::-1], self._old)
        self._step("back to the old release", rest)
        self._replace(rest_of_it, self._new)
        self._step("the new release", 0)
        self._world.load.stop()
        self._world.crowd.wish_no_more()
        found = self._recovered()
        self._look_back()
        return found

    def measured(self) -> Iterator[str]:
        """How long each migration took, which locks it held, and who waited."""
        log = self._world.folder / "migrate-new.log"
        told = [json.loads(line) for line in log.read_text().splitlines()]
        migrated = [one for one in told if one["event"] == "migrated"]
        first = len(list((ROOT / MIGRATIONS).glob("*.sql"))) - len(migrated)
        yield f"migrations           {len(migrated)}, looked at {self._locks.looks} times"
        for number, one in enumerate(migrated, first):
            held = self._locks.held[number].items()
            locks = ", ".join(f"{lock} {1000 * (to - since):.0f} ms" for lock, (since, to) in held)
            yield (
                f"  {one['migration']:30}{one['seconds']:6.3f} s; others waited "
                f"{1000 * self._locks.waited[number]:.0f} ms at most; {locks or 'no lock seen'}"
            )

    def _step(self, name: str, seconds: float) -> None:
        self._wait(time.monotonic() + seconds)
        self._world.ledger.waves.append(Wave((name,), time.monotonic()))
        self._say(f"over: {name}")
        self._calm()

    def _migrate(self) -> None:
        self._locks.start()
        try:
            self._new.migrate(self._world.postgres.direct, self._world.folder / "migrate-new.log")
        finally:
            self._locks.stop()
        self._step("migrations", 0)

    def _replace(self, names: list[str], release: Release) -> None:
        for name in names:
            self._fleet.releases[name] = release
            with self._world.down(name) as process:
                since = time.monotonic()
                process.terminate()
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    self._world.ledger.finds(f"the {name} did not stop within {GRACE:.0f} s")
                    process.kill()
                    process.wait(GRACE)
                stopped = time.monotonic() - since
                self._fleet.start_again(name)
            self._wait_until_ready(name)
            passed = time.monotonic() - since
            self._say(
                f"{name}: {release.name}, stopped after {stopped:.1f} s, ready {passed:.1f} s"
            )

    def _wait_until_ready(self, name: str) -> None:
        until = time.monotonic() + _READY
        while trouble := self._fleet.service(name).find_trouble():
            if time.monotonic() > until:
                self._world.ledger.finds(f"the {name} did not get ready: {trouble}")
                return
            self._wait(time.monotonic() + 0.2)

    def _look_back(self) -> None:
        """No job may have failed, and no process have written an error down."""
        with psycopg.connect(self._world.postgres.direct) as database:
            for state, count, error in database.execute(
                "SELECT state, count(*), max(error) FROM job GROUP BY state ORDER BY state"
            ).fetchall():
                self._say(f"{count} jobs {state}")
                if state != "completed":
                    self._world.ledger.finds(f"{count} jobs {state}: {error}")
        for name in self._fleet.releases:
            text = (self._world.folder / f"{name}.log").read_text()
            for line in text.splitlines():
                if '"level": "error"' in line or line.startswith("Traceback"):
                    self._world.ledger.finds(f"the {name} wrote: {line[:300]}")


def main() -> int:
    """Update from the release that was asked for; the exit code."""
    wanted = _arguments()
    raise_at_stop()
    shutil.rmtree(wanted.logs, ignore_errors=True)
    say(f"from {_name(wanted.ref)}")
    try:
        with checked_out(wanted.ref) as old:
            size = Size(wanted.accounts, wanted.viewers, wanted.rate)
            with make_world(size, "update", wanted.logs, runs(old)) as world:
                update = Update(world, old, Release.of("new", sys.executable))
                audit = update.roll(wanted.minutes * 60)
                lines = [*update.measured(), *_delays(world), _refused(world.folder / "error.log")]
                lines += report.outcome(world.ledger, audit)
    except Stopped as why:
        say(f"stopped: {why}")
        return 130
    finally:
        look_no_longer()
    say(f"\nFrom {_name(wanted.ref)}")
    for line in lines:
        say(line)
    if report.troubles(world.ledger, audit):
        say(f"the logs of all processes: {wanted.logs.resolve()}")
        return 1
    shutil.rmtree(wanted.logs)
    return 0


def _delays(world: World) -> Iterator[str]:
    for step, seconds in world.ledger.recoveries().items():
        yield f"  {step:36} all mail seen {seconds:4.1f} s later"


def _refused(log: Path) -> str:
    """What nginx gave to the other process, and what it had nobody for."""
    text = log.read_text()
    passed_on, nobody = text.count("(111: Connection refused)"), text.count("no live upstreams")
    return f"refused              {passed_on} and passed on, {nobody} where nobody was left"


def _name(ref: str) -> str:
    return _git("log", "-1", "--format=%h %s", ref)


def _newest() -> str:
    """The newest tag; without one, the commit before the last migration was added."""
    tags = _git("tag", "--sort=-creatordate", "--merged").split()
    return (
        tags[0] if tags else _git("log", "-1", "--diff-filter=A", "--format=%H^", "--", MIGRATIONS)
    )


def _git(*arguments: str) -> str:
    told = subprocess.run(
        ["git", *arguments],  # noqa: S607
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return told.stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="update", description="An update under load.")
    parser.add_argument("--from", dest="ref", default=None, help="commit of the older release")
    parser.add_argument("--minutes", type=float, default=2, help="of rest between the steps")
    parser.add_argument("--accounts", type=int, default=6)
    parser.add_argument("--viewers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2, help="changes a second")
    parser.add_argument("--logs", type=Path, default=Path("var/update"))
    wanted = parser.parse_args()
    wanted.ref = wanted.ref or _newest()
    return wanted


if __name__ == "__main__":
    logging.disable()
    sys.exit(main())
