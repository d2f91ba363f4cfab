"""Watchers as they are deployed, on servers of their own, with accounts that nobody syncs."""

from __future__ import annotations

import base64
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from bench.idle_server import IdleServer
from postwire.credentials import make_keyring
from postwire.model import AccountId
from postwire.store import accounts
from postwire.store.pool import make_pool, transaction
from postwire_demo import services
from postwire_demo.processes import HOST
from postwire_demo.servers import postgres, valkey
from postwire_demo.services import Service

#: Seconds that whatever is waited for has.
PATIENCE = 240.0
PASSWORD = "secret"  # noqa: S105 - the server takes any


@dataclass(frozen=True, slots=True)
class Watchers:
    """Those that run, on one database."""

    database_url: str
    #: Users of the mail server by their accounts' ids; the accounts are still to connect.
    users: dict[str, str]
    running: list[Service]
    _values: dict[str, str]
    _folder: Path

    def start(self) -> Service:
        """Another one."""
        watcher = services.start("watcher", self._values, self._folder)
        self.running.append(watcher)
        services.wait_until_ready([watcher])
        return watcher


def prepare(stack: ExitStack, server: IdleServer, number: int, folder: Path) -> Watchers:
    """So many accounts, which are not watched before their state is `active`; no watcher yet."""
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
    users = _add(values, server, number)
    running = stack.enter_context(services.stopping_together())
    return Watchers(values["database_url"], users, running, values, folder)


def _add(values: dict[str, str], server: IdleServer, number: int) -> dict[str, str]:
    keyring = make_keyring(values["credential_keys"])
    pool = make_pool(values["database_url"], 1)
    users = {str(uuid4()): f"u{n}" for n in range(number)}
    with transaction(pool) as connection:
        for account, user in users.items():
            id_ = AccountId(account)
            accounts.add(
                connection, id_, user_id="robin", address=f"{user}@x.example", host=HOST,
                port=server.port, security="tls", username=user,
                credential=keyring.seal(id_, PASSWORD), window_days=30,
            )  # fmt: skip
        connection.execute("UPDATE account SET sync_every = NULL")
    pool.close()
    return users


def idling(watcher: Service) -> int:
    """How many accounts the watcher has in IDLE."""
    text = httpx.get(watcher.metrics, timeout=10).text
    found = re.search(r"^postwire_idle_connections (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it.

    Raises:
        TimeoutError: it took longer than PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {PATIENCE:.0f} s: {what}")
        time.sleep(0.05)
