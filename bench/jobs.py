"""How soon a job begins: when all is well, behind a backlog, and after what Dramatiq alone minds.

    PYTHONPATH=tests python bench/jobs.py [BACKLOG]

Everything is real and runs on this machine. The peer is a Dramatiq worker with its defaults, on the
same Redis and in the same run.
"""

from __future__ import annotations

import random
import signal
import socket
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import httpx
import psycopg
import redis
from dramatiq.brokers.redis import RedisBroker

from postwire.credentials import make_keyring
from postwire_demo.processes import HOST
from support.mailbox import MailUser
from support.system import System, run_everything

#: Jobs of each measurement, and seconds between two: a worker that has just had one looks sooner.
MANY = 30
PAUSE = 0.6, 1.4
#: Seconds until each step must have come to its end.
PATIENCE = 120.0


def main() -> None:
    """Print how long jobs waited."""
    backlog = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    with run_everything() as (system, server), system.api("robin") as api, database(system) as db:
        account = system.add_account(MailUser(server, server.new_user()))
        show("Dramatiq alone, by default", peer(system))
        show("a person asks, nothing waits", asked(api, db, account))
        with black_hole() as port:
            queue_up(system, db, port, backlog)
            show(f"a person asks, {waiting(db)} of the machine wait", asked(api, db, account))
            db.execute("DELETE FROM account WHERE port = %s", [port])
        print(f"run again after its worker was killed: {killed(system, db):.1f} s")
        print(
            f"begun after Redis forgot it while it was put off: {forgotten(system, db):.1f} s late"
        )


@contextmanager
def database(system: System) -> Iterator[psycopg.Connection[Any]]:
    """A connection of our own."""
    with psycopg.connect(system.setting("database_url"), autocommit=True) as connection:
        yield connection


def show(what: str, seconds: list[float]) -> None:
    """Print the median and the longest of the waits."""
    median, longest = statistics.median(seconds) * 1000, max(seconds) * 1000
    print(
        f"{what}: median {median:.0f} ms, longest {longest:.0f} ms, of {len(seconds)}", flush=True
    )


def peer(system: System) -> list[float]:
    """Seconds from `send` to the actor, with one worker that has nothing else to do."""
    broker = RedisBroker(url=system.setting("redis_url"), namespace="peer")
    begun: list[float] = []

    @dramatiq.actor(broker=broker, queue_name="peer")
    def note(sent: float) -> None:
        begun.append(time.monotonic() - sent)

    worker = dramatiq.Worker(broker, worker_threads=4)
    worker.start()
    for n in range(MANY):
        note.send(time.monotonic())
        until(lambda n=n: len(begun) > n)  # type: ignore[misc]
        time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret
    worker.stop()
    broker.close()
    return begun


def asked(api: httpx.Client, db: psycopg.Connection[Any], account: str) -> list[float]:
    """Seconds from the request to the run, by the database's clock.

    Not from the job's row: that may be one the schedule made a moment ago, which the request puts
    ahead of the machine's.
    """
    waits = []
    for _ in range(MANY):
        before = db.execute("SELECT clock_timestamp()").fetchone()
        job = api.post("/api/email/sync", json={"accountId": account}).json()["jobId"]
        until(lambda job=job: ended(db, job))  # type: ignore[misc]
        row = db.execute(
            "SELECT extract(epoch FROM started_at - %s)::float8 FROM job WHERE id = %s",
            [*(before or ()), job],
        ).fetchone()
        waits += [row[0]] if row else []
        time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret
    return waits


def ended(db: psycopg.Connection[Any], job: str) -> bool:
    """Whether the job has ended."""
    row = db.execute("SELECT state FROM job WHERE id = %s", [job]).fetchone()
    return row is None or row[0] in {"completed", "failed"}


@contextmanager
def black_hole() -> Iterator[int]:
    """The port of a mail server that takes connections and says nothing."""
    with socket.create_server((HOST, 0), backlog=4096) as listener:
        yield int(listener.getsockname()[1])


def queue_up(system: System, db: psycopg.Connection[Any], port: int, many: int) -> None:
    """Have so many accounts due whose server is at `port`, and wait until they are queued."""
    add(system, db, port, many)
    until(lambda: waiting(db) > many * 0.95)


def add(system: System, db: psycopg.Connection[Any], port: int, many: int = 1) -> list[str]:
    """Accounts that are due now; their ids."""
    keyring = make_keyring(system.setting("credential_keys"))
    ids = [str(uuid.uuid4()) for _ in range(many)]
    with db.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO account (id, user_id, address, host, port, security, username, credential,
                                 state, sync_every)
            VALUES (%s, 'many', %s, %s, %s, 'none', 'x', %s, 'unreachable', 3600)
            """,
            [[id_, f"{id_}@postwire.example", HOST, port, keyring.seal(id_, "x")] for id_ in ids],
        )
    return ids


def waiting(db: psycopg.Connection[Any]) -> int:
    """Jobs that wait."""
    row = db.execute("SELECT count(*) FROM job WHERE state = 'waiting'").fetchone()
    return int(row[0]) if row else 0


def killed(system: System, db: psycopg.Connection[Any]) -> float:
    """Seconds from the death of a worker until its job runs again."""
    with black_hole() as port:
        (account,) = add(system, db, port)
        until(lambda: holder(db, account) is not None)
        before, worker = holder(db, account), system.service("sync-worker").process
        worker.send_signal(signal.SIGKILL)
        died = time.monotonic()
        worker.wait()
        system.start_again("sync-worker")
        until(lambda: holder(db, account) not in {None, before})
        return time.monotonic() - died


def holder(db: psycopg.Connection[Any], account: str) -> str | None:
    """The run that has the account's job."""
    row = db.execute("SELECT holder FROM job WHERE account_id = %s", [account]).fetchone()
    return row[0] if row else None


def forgotten(system: System, db: psycopg.Connection[Any]) -> float:
    """Seconds from when a job was due until it ran, where Redis has lost everything meanwhile."""
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    (account,) = add(system, db, port)
    until(lambda: state(db, account) == ("delayed", 1))
    with redis.Redis.from_url(system.setting("redis_url")) as client:
        client.flushall()
    row = db.execute(
        "SELECT extract(epoch FROM run_at - now())::float8 FROM job WHERE account_id = %s",
        [account],
    ).fetchone()
    due = time.monotonic() + (row[0] if row else 0)
    until(lambda: state(db, account) != ("delayed", 1))
    return time.monotonic() - due


def state(db: psycopg.Connection[Any], account: str) -> tuple[str, int] | None:
    """State and failed attempts of the account's job."""
    return db.execute("SELECT state, attempts FROM job WHERE account_id = %s", [account]).fetchone()


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
