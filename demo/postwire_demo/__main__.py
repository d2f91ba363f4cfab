"""The whole of Postwire on one machine: `make demo`, or `python -m postwire_demo VAR WEB`."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from postwire.tokens import sign_bearer
from postwire_demo import keys, letters, mail, page, seed, servers, services
from postwire_demo.errors import DemoError
from postwire_demo.keys import Keys
from postwire_demo.mail import MailAccount
from postwire_demo.processes import HOST, free_port
from postwire_demo.services import Service
from postwire_demo.signals import Stopped, look_no_longer, raise_at_stop

_PUBLISHED = "demo.json"
_RULE = "─" * 78
#: Seconds between looks at the processes and at what was delivered.
_LOOK = 0.3


def main() -> int:
    """Run the demo until it is stopped; returns the exit code."""
    var, web = (Path(argument).resolve() for argument in sys.argv[1:])
    try:
        with ExitStack() as stack:
            raise_at_stop()
            _run_until_stopped(stack, var, web)
    except Stopped:
        _say("Postwire has stopped. `make demo` goes on where it was.")
        return 0
    except DemoError as error:
        print(f"The demo cannot go on. {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        look_no_longer()
    return 0


def _run_until_stopped(stack: ExitStack, var: Path, web: Path) -> None:
    try:
        _run(stack, var, web)
    except Stopped as why:
        _say(f"Stopping ({why}) …")
        raise


def _run(stack: ExitStack, var: Path, web: Path) -> None:
    logs = var / "log"
    logs.mkdir(parents=True, exist_ok=True)
    stack.enter_context(_only_one(var / "demo.lock"))
    secret = keys.load(var / "secrets.json")
    page.build(web, logs / "web.log")
    database, redis, account = _start_servers(stack, var, secret)
    values = _settings(secret, database, redis, web)
    running = _start_services(stack, values, logs)
    _say("Connecting the demo's mail account …")
    api = f"http://{HOST}:{values['api_port']}"
    token = sign_bearer(secret.jwt, seed.USER, seed.LIFETIME)
    known = {
        "api": api,
        "gateway": values["gateway_url"],
        "inbox": seed.inbox(api, token),
        "metrics": {service.name: service.metrics for service in running},
        "imap": dict(account),
        "account": seed.ensure_account(api, token, account),
        "token": token,
    }
    stack.enter_context(_published(var / _PUBLISHED, known))
    running.append(services.start_feeder(account, logs))
    _say_where(seed.inbox(api, token), logs)
    _follow(running)


def _start_servers(stack: ExitStack, var: Path, secret: Keys) -> tuple[str, str, MailAccount]:
    logs = var / "log"
    _say("Starting PostgreSQL …")
    data, log = var / "postgres", logs / "postgres.log"
    database = stack.enter_context(servers.postgres(data, log, secret.database))
    _say("Starting Valkey …")
    redis = stack.enter_context(servers.valkey(var / "valkey", logs / "valkey.log", secret.redis))
    _say("Starting the mail server …")
    account = stack.enter_context(
        servers.imap(var / "mail", logs / "mail.log", seed.ADDRESS, secret.mail)
    )
    mail.fill(account, letters.seeds(letters.now()))
    _say("Bringing the database to the newest schema …")
    services.migrate({"database_url": database}, logs / "migrate.log")
    return database, redis, account


def _settings(secret: Keys, database: str, redis: str, web: Path) -> dict[str, str]:
    api_port, gateway_port = free_port(), free_port()
    return {
        "database_url": database,
        "redis_url": redis,
        "jwt_secret": secret.jwt,
        "realtime_secret": secret.realtime,
        "credential_keys": secret.credential,
        "api_host": HOST,
        "api_port": str(api_port),
        "gateway_host": HOST,
        "gateway_port": str(gateway_port),
        "gateway_url": f"http://{HOST}:{gateway_port}",
        # The page comes from the API's port, which to a browser is another origin.
        "cors_origins": f"http://{HOST}:{api_port},http://localhost:{api_port}",
        "web_dir": str(web / "dist"),
        "ops_host": HOST,
        "allowed_networks": "127.0.0.0/8",
    }


def _start_services(stack: ExitStack, values: dict[str, str], logs: Path) -> list[Service]:
    _say("Starting the API, the sync-workers, the watcher and the gateway …")
    running = stack.enter_context(services.stopping_together())
    for name in services.SERVICES:
        running.append(services.start(name, values, logs))
    services.wait_until_ready(running)
    return running


def _follow(running: list[Service]) -> None:
    """Say what is delivered, until a process ends or we are stopped."""
    with running[-1].log.open() as deliveries:
        deliveries.seek(0, 2)
        while True:
            services.check(running)
            _check_servers(running[-1].log.parent)
            for line in deliveries:
                _say(f"New message from {line.rstrip()}")
            time.sleep(_LOOK)


def _check_servers(logs: Path) -> None:
    # Whoever of our children has ended; those we have stopped ourselves are no longer listed.
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    if sys.platform == "linux" and os.waitid(os.P_ALL, 0, how):
        raise DemoError(f"PostgreSQL, Valkey or the mail server has ended; their logs: {logs}")


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        _take(file)
        # One that was killed could not remove what it had published.
        (lock.parent / _PUBLISHED).unlink(missing_ok=True)
        yield


def _take(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        folder = Path(file.name).parent
        raise DemoError(
            f"One is running already with the data in {folder}; "
            f"its addresses are in {folder / _PUBLISHED}"
        ) from None


@contextmanager
def _published(path: Path, known: Mapping[str, object]) -> Iterator[None]:
    """The addresses and secrets of the running demo, for programs; gone when it stops."""
    keys.write_private(path, json.dumps(known, indent=1))
    try:
        yield
    finally:
        path.unlink()


def _say_where(inbox: str, logs: Path) -> None:
    _say(
        f"\n{_RULE}\n  Postwire is running. Open the inbox:\n\n  {inbox}\n\n"
        f"  A new message arrives every few seconds. Logs: {logs}\n"
        f"  To stop: Ctrl-C\n{_RULE}\n"
    )


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
