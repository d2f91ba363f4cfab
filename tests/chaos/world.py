"""The system under the storm: each server behind a relay, all of Postwire, accounts and viewers."""

from __future__ import annotations

import random
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaos.ledger import Ledger
from chaos.load import Load, Watched, log_in
from chaos.servers import Clock, Server, behind_relay
from chaos.viewers import Crowd, Viewer
from postwire_demo import services
from postwire_demo.servers import postgres, valkey
from support.dovecot import dovecot
from support.mailbox import MailUser, letter
from support.relay import Relay, relay
from support.system import System, run_system

USERS = ("robin", "kim")
#: Messages that an account has from the beginning.
_BEFORE = 5
#: Seconds until all accounts are synced for the first time, on a machine that has other work too.
_FIRST = 90.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything."""

    accounts: int
    viewers: int
    #: Changes a second that are made on the mail server.
    rate: float


@dataclass(slots=True)
class World:
    """What faults hit, and what is looked at in the end."""

    system: System
    postgres: Server
    #: PostgreSQL's.
    clock: Clock
    redis: Server
    imap: Relay
    accounts: list[Watched]
    ledger: Ledger
    load: Load
    crowd: Crowd
    #: Where the logs are.
    folder: Path
    #: Processes that a fault has ended, and those that ended by themselves and when to start them.
    _down: set[str] = field(default_factory=set)
    _fallen: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def down(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """Whoever ends the process here starts it again as well."""
        self._down.add(name)
        try:
            yield self.system.service(name).process
        finally:
            self._down.discard(name)

    def retry_set_aside(self) -> None:
        """Ask for what was set aside, as a person does who sees it listed."""
        for account in self.accounts:
            with self.system.api(account.owner) as api:
                api.post(f"/api/accounts/{account.id}/set-aside/retry")

    def look_after(self, draw: random.Random) -> None:
        """Start processes again that ended by themselves, as Kubernetes does; each is a finding."""
        now = time.monotonic()
        for service in list(self.system.services):
            if service.name in self._down or service.process.poll() is None:
                continue
            if service.name not in self._fallen:
                code = service.process.returncode
                self.ledger.finds(f"the {service.name} ended by itself ({code})")
                self._fallen[service.name] = now + draw.uniform(1, 3)
            elif self._fallen[service.name] < now:
                del self._fallen[service.name]
                self.system.start_again(service.name)


@contextmanager
def _run_system(database: Server, redis: Server, folder: Path) -> Iterator[System]:
    services.migrate({"database_url": database.direct}, folder / "migrate.log")
    with run_system(database.url, redis.url, folder) as system:
        yield system


@contextmanager
def make_world(
    size: Size,
    seed: str,
    logs: Path,
    run: Callable[[Server, Server, Path], AbstractContextManager[System]] = _run_system,
) -> Iterator[World]:
    """Everything, with mail in it and viewers that look at it; the load has not begun.

    `run` runs Postwire on an empty database. The logs of all processes are moved to `logs` at the
    end.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-chaos-")))
        folder.chmod(0o755)
        mail = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-dovecot-")))
        stack.callback(_keep_logs, (folder, mail), logs)
        clock = Clock(folder)
        database, redis = _servers(stack, folder, clock)
        server = stack.enter_context(dovecot(shutil.which("dovecot") or "/usr/sbin/dovecot", mail))
        imap = stack.enter_context(relay(server.port))
        system = stack.enter_context(run(database, redis, folder))
        relayed = replace(server, port=imap.port)
        accounts = []
        for number in range(size.accounts):
            user = MailUser(server, server.new_user())
            user.append(*(letter(f"before-{n}") for n in range(_BEFORE)))
            owner = USERS[number % len(USERS)]
            id_ = system.add_account(MailUser(relayed, user.name), owner)
            with system.api(owner) as api:
                api.patch(f"/api/accounts/{id_}", json={"mailboxes": ["*"]}).raise_for_status()
            accounts.append(Watched(id_, owner, user, log_in(stack, user)))
        ledger, crowd = _crowd(size, system, accounts)
        load = Load(accounts, ledger, seed, size.rate)
        world = World(system, database, clock, redis, imap, accounts, ledger, load, crowd, folder)
        crowd.start()
        stack.callback(crowd.stop)
        _wait_until_seen(crowd)
        stack.callback(load.stop)
        yield world


def _servers(stack: ExitStack, folder: Path, clock: Clock) -> tuple[Server, Server]:
    password, log = secrets.token_hex(8), folder / "postgres.log"
    return (
        stack.enter_context(
            behind_relay(lambda: postgres(folder / "pg", log, password, env=clock.env))
        ),
        stack.enter_context(
            behind_relay(lambda: valkey(folder / "valkey", folder / "valkey.log", password))
        ),
    )


def _crowd(size: Size, system: System, accounts: list[Watched]) -> tuple[Ledger, Crowd]:
    mine = {owner: [one.id for one in accounts if one.owner == owner] for owner in USERS}
    owners = {f"viewer-{n}": USERS[n % len(USERS)] for n in range(size.viewers)}
    ledger = Ledger({name: set(mine[owner]) for name, owner in owners.items()})
    viewers = [Viewer(name, system, owner, mine[owner], ledger) for name, owner in owners.items()]
    return ledger, Crowd(viewers, ledger)


def _wait_until_seen(crowd: Crowd) -> None:
    deadline = time.monotonic() + _FIRST
    while crowd.fewest() < _BEFORE:
        if time.monotonic() > deadline:
            raise TimeoutError("the viewers do not see the mail that was there before")
        time.sleep(0.2)


def _keep_logs(folders: tuple[Path, ...], logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for log in folder.glob("*.log"):
            shutil.copyfile(log, logs / log.name)
