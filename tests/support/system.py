"""All of Postwire as it is deployed: a process each, on servers that run already."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx

from postwire.tokens import sign_bearer
from postwire_demo import page, services
from postwire_demo.processes import HOST, free_port
from postwire_demo.servers import postgres, valkey
from postwire_demo.services import Service
from support.dovecot import Dovecot, dovecot
from support.local import LOOPBACK
from support.mailbox import MailUser

WEB = Path(__file__).parents[2] / "web"


@dataclass(frozen=True, slots=True)
class System:
    """Where the processes of one Postwire are."""

    api_url: str
    gateway_url: str
    jwt_secret: str
    services: list[Service]
    _values: dict[str, str] = field(repr=False)
    _logs: Path = field(repr=False)

    def setting(self, name: str) -> str:
        """What the processes were started with."""
        return self._values[name]

    def service(self, name: str) -> Service:
        """The process of that name."""
        (found,) = [service for service in self.services if service.name == name]
        return found

    def start_again(self, name: str) -> None:
        """Start the process anew, which has ended; on the same ports, and with the same log."""
        ended = self.service(name)
        self.services[self.services.index(ended)] = services.start(name, self._values, self._logs)

    def start_another(self, name: str) -> Service:
        """Start one more process of that name, on ports of its own."""
        another = services.start(name, self._values, self._logs)
        self.services.append(another)
        services.wait_until_ready([another])
        return another

    def token(self, user: str) -> str:
        """A bearer token, as the platform around Postwire makes them."""
        return sign_bearer(self.jwt_secret, user, timedelta(hours=1))

    def api(self, user: str) -> httpx.Client:
        """A client of the REST API."""
        headers = {"Authorization": f"Bearer {self.token(user)}"}
        return httpx.Client(base_url=self.api_url, headers=headers, timeout=30)

    def add_account(self, user: MailUser, owner: str = "robin") -> str:
        """Add the mail user's account by the API; return its id."""
        with self.api(owner) as api:
            answer = api.post(
                "/api/accounts",
                json={
                    "address": user.name,
                    "password": user.server.password,
                    "host": user.server.host,
                    "port": user.server.port,
                    "security": "none",
                },
            )
        assert answer.status_code == 201, answer.text
        account_id: str = answer.json()["id"]
        return account_id

    def remove_accounts(self, owner: str = "robin") -> None:
        """Remove all accounts of the owner, and wait until nobody is busy with them."""
        with self.api(owner) as api:
            for account in api.get("/api/accounts").json()["accounts"]:
                assert api.delete(f"/api/accounts/{account['id']}").is_success
        self._wait_for_idle(0)

    def wait_until_watched(self, accounts: int = 1) -> None:
        """Wait until the watcher has an IDLE connection for each of so many accounts."""
        self._wait_for_idle(accounts)

    def _wait_for_idle(self, connections: int) -> None:
        deadline = time.monotonic() + 20
        while f"postwire_idle_connections {connections}.0" not in self.metrics("watcher"):
            assert time.monotonic() < deadline, f"not {connections} accounts are watched"
            time.sleep(0.1)

    def metrics(self, name: str) -> str:
        """What Prometheus would read from the process."""
        return httpx.get(self.service(name).metrics, timeout=10).text


@contextmanager
def run_system(database_url: str, redis_url: str, logs: Path, **further: str) -> Iterator[System]:
    """Run Postwire on a migrated database without rows; `further` are settings by their names."""
    page.build(WEB, logs / "web.log")
    api_port, gateway_port = free_port(), free_port()
    api_url, gateway_url = f"http://{HOST}:{api_port}", f"http://{HOST}:{gateway_port}"
    values = make_values(database_url, redis_url, api_url, gateway_url) | {
        "api_port": str(api_port),
        "gateway_port": str(gateway_port),
        "web_dir": str(WEB / "dist"),
        **further,
    }
    with services.stopping_together() as running:
        running += [services.start(name, values, logs) for name in services.SERVICES]
        services.wait_until_ready(running)
        yield System(api_url, gateway_url, values["jwt_secret"], running, values, logs)


def make_values(
    database_url: str, redis_url: str, api_url: str, gateway_url: str
) -> dict[str, str]:
    """Settings of processes on this machine, with secrets that are drawn."""
    return {
        "database_url": database_url,
        "redis_url": redis_url,
        "jwt_secret": secrets.token_urlsafe(32),
        "realtime_secret": secrets.token_urlsafe(32),
        "credential_keys": f"k1:{base64.b64encode(os.urandom(32)).decode()}",
        "api_host": HOST,
        "gateway_host": HOST,
        "gateway_url": gateway_url,
        "cors_origins": api_url,
        "ops_host": HOST,
        "allowed_networks": LOOPBACK,
    }


@contextmanager
def run_everything(**further: str) -> Iterator[tuple[System, Dovecot]]:
    """Run Postwire, and every server it needs, with nothing in them; for the benchmarks.

    `further` are settings by their names.
    """
    with (
        run_stores() as (folder, database, server),
        valkey(folder / "valkey", folder / "valkey.log", secrets.token_hex(8)) as redis,
        run_system(database, redis, folder, **further) as system,
    ):
        yield system, server


@contextmanager
def run_stores() -> Iterator[tuple[Path, str, Dovecot]]:
    """A folder for whatever else is run, the URL of a migrated PostgreSQL in it, and Dovecot."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-bench-")))
        folder.chmod(0o755)
        mail = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-dovecot-")))
        database = stack.enter_context(
            postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8))
        )
        services.migrate({"database_url": database}, folder / "migrate.log")
        binary = shutil.which("dovecot") or "/usr/sbin/dovecot"
        yield folder, database, stack.enter_context(dovecot(binary, mail))
