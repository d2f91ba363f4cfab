"""Postwire's own processes, each with the settings it knows and a log of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic_settings import BaseSettings

from postwire.settings import (
    PREFIX,
    ApiSettings,
    GatewaySettings,
    MigrateSettings,
    WatcherSettings,
    WorkerSettings,
)
from postwire_demo.errors import DemoError
from postwire_demo.feeder import FeederSettings
from postwire_demo.mail import MailAccount
from postwire_demo.processes import HOST, START_TIMEOUT, free_port, spawn

#: Name of each process: its module, the settings it reads, and those that are its own.
SERVICES: dict[str, tuple[str, type[BaseSettings], dict[str, str]]] = {
    "gateway": ("postwire_gateway", GatewaySettings, {}),
    "api": ("postwire_api", ApiSettings, {}),
    "sync-worker": ("postwire_worker", WorkerSettings, {"worker_queues": "sync"}),
    "sync-worker-manual": ("postwire_worker", WorkerSettings, {"worker_queues": "sync.manual"}),
    "watcher": ("postwire_worker.watcher", WatcherSettings, {}),
}
#: Straight to the loopback, whatever proxy the environment names.
_CLIENT = httpx.Client(trust_env=False, timeout=2)
#: Seconds all of them have together to stop by themselves.
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """A process that runs."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    #: Port of /metrics and /health; None for a process that has none.
    ops_port: int | None = None

    @property
    def metrics(self) -> str:
        """Where Prometheus would ask."""
        return f"http://{HOST}:{self.ops_port}/metrics"

    def find_trouble(self) -> str | None:
        """Why it does not do its work yet, by its own account."""
        try:
            ready = _CLIENT.get(f"http://{HOST}:{self.ops_port}/health/ready")
        except httpx.TransportError as error:
            return str(error)
        return None if ready.is_success else ready.text


def migrate(values: Mapping[str, str], log: Path) -> None:
    """Bring the database to the newest schema.

    Raises:
        DemoError: a migration failed.
    """
    process = spawn(
        [sys.executable, "-m", "postwire.store.migrate"], log, env=_env(MigrateSettings, values)
    )
    if process.wait(START_TIMEOUT):
        raise DemoError(f"A migration failed; its log says why: {log}")


def start(name: str, values: Mapping[str, str], logs: Path) -> Service:
    """Start the process `name` of SERVICES with those of `values` that it knows."""
    module, settings, own = SERVICES[name]
    port = free_port()
    log = logs / f"{name}.log"
    env = _env(settings, {**values, **own, "ops_port": str(port)})
    return Service(name, spawn([sys.executable, "-m", module], log, env=env), log, port)


def start_feeder(account: MailAccount, logs: Path) -> Service:
    """Start the process that delivers mail; it has none of Postwire's settings."""
    prefix = FeederSettings.model_config["env_prefix"] + "IMAP_"
    own = {prefix + name.upper(): str(value) for name, value in account}
    log = logs / "feeder.log"
    command = [sys.executable, "-m", "postwire_demo.feeder"]
    return Service("feeder", spawn(command, log, env=bare_environment() | own), log)


@contextmanager
def stopping_together() -> Iterator[list[Service]]:
    """A list to put processes into; at the end all of them are stopped at the same time."""
    running: list[Service] = []
    try:
        yield running
    finally:
        for service in running:
            service.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for service in running:
            try:
                service.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()


def wait_until_ready(services: list[Service]) -> None:
    """Wait until all of them say that they are.

    Raises:
        DemoError: one ended, or took too long.
    """
    deadline = time.monotonic() + START_TIMEOUT
    for service in services:
        while trouble := service.find_trouble():
            check(services)
            if time.monotonic() > deadline:
                why = f"{trouble}; its log: {service.log}"
                raise DemoError(f"The {service.name} does not get ready: {why}")
            time.sleep(0.1)


def check(services: list[Service]) -> None:
    """Raise unless all of them run.

    Raises:
        DemoError: one has ended; the message names its log.
    """
    for service in services:
        if service.process.poll() is not None:
            code = service.process.returncode
            raise DemoError(f"The {service.name} has ended ({code}); its log: {service.log}")


def _env(settings: type[BaseSettings], values: Mapping[str, str]) -> dict[str, str]:
    known = settings.model_fields.keys() & values.keys()
    return bare_environment() | {PREFIX + name.upper(): values[name] for name in known}


def bare_environment() -> dict[str, str]:
    """Ours, without what somebody exported for another Postwire."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
