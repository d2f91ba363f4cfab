"""Many accounts that all have new mail at once: by Postwire, by BullMQ, by Dramatiq as it comes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
from dramatiq.brokers.redis import RedisBroker

from bench import bullmq, cost, stock
from bench.queue_alone import dramatiq, until
from bench.result import median, percentile
from postwire_demo.services import Service
from support.dovecot import Dovecot
from support.proc import peak_memory
from support.system import System

#: Seconds until all of them must be done.
PATIENCE = 240.0
#: Seconds between a person's requests.
PAUSE = 0.3
PROCESSES, THREADS = 2, 4
#: What the peers write into, as one would.
TABLE = """
    CREATE TABLE peer_message (
        account text NOT NULL, uid bigint NOT NULL, message_id text, subject text, sender text,
        receivers text, date timestamptz, flags text, size integer, text text, html text,
        attachments jsonb, PRIMARY KEY (account, uid))
"""
Database = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it; seconds count from when the accounts were asked for."""

    messages: int
    #: When each account was done.
    ended: list[float]
    #: Seconds of CPU of the workers, and of all processes, servers and who asks among them.
    cpu: float
    cpu_of_all: float
    #: MB that the workers had at most, all together.
    memory: float
    #: Seconds from a person's request until its job began, and until it ended.
    begun_after: list[float] = field(default_factory=list)
    ended_after: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / max(self.ended)

    @property
    def figures(self) -> list[float]:
        """Messages a second, ms of CPU for each by the workers and by all, MB."""
        each = [cpu / self.messages * 1000 for cpu in (self.cpu, self.cpu_of_all)]
        return [self.rate, *each, self.memory]

    @property
    def fairness(self) -> list[float]:
        """When the first, the middle and the last account was done, and how far they spread."""
        last = max(self.ended)
        spread = (percentile(self.ended, 0.95) - percentile(self.ended, 0.05)) / last
        return [min(self.ended), median(self.ended), last, spread]

    @property
    def person(self) -> list[float]:
        """Milliseconds a person waits: until it begins, and until it is done."""
        waits = [self.begun_after, self.ended_after]
        return [of(wait) * 1000 for wait in waits for of in (median, max)]


@dataclass(frozen=True, slots=True)
class Postwire:
    """The product, whose person at `person`, an account, asks again and again."""

    system: System
    database: Database
    person: str

    def sync(self, accounts: list[str], large: Sequence[str] = ()) -> Run:
        """Have all due at once; the watcher's clock asks for them, as it always does.

        Those that are `large` are asked for first; it does not matter when they are done.
        """
        workers = [one for one in self.system.services if one.name.startswith("sync-worker")]
        began, before = self._clock(), self._stored()
        used, used_by_all = _cpu(workers), cost.cpu(os.getpid())
        self.database.execute(
            """
            UPDATE account SET next_sync_at = now() - (id = ANY(%s))::integer * interval '1 second'
             WHERE id = ANY(%s)
            """,
            [list(large), [*accounts, *large]],
        )
        waits = []
        with self.system.api("robin") as api:
            deadline = time.monotonic() + PATIENCE
            while len(ended := self._ended(accounts, began)) < len(accounts):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(ended)} of {len(accounts)} accounts are done")
                waits.append(self._ask(api))
                time.sleep(PAUSE)
        first = self._first(accounts, began)
        return Run(
            messages=self._stored() - before,
            ended=[at - first for at in ended],
            cpu=_cpu(workers) - used,
            cpu_of_all=cost.cpu(os.getpid()) - used_by_all,
            memory=sum(peak_memory(one.process.pid) for one in workers),
            begun_after=[begun for begun, _ in waits],
            ended_after=[done for _, done in waits],
        )

    def _ask(self, api: httpx.Client) -> tuple[float, float]:
        """Seconds from a request to the begin and to the end of the run, by one clock."""
        asked = self._clock()
        job = api.post("/api/email/sync", json={"accountId": self.person}).json()["jobId"]
        ended = "SELECT state IN ('completed', 'failed') FROM job WHERE id = %s"
        until(lambda: bool(_one(self.database, ended, job)))
        begun, done = self.database.execute(
            "SELECT extract(epoch FROM started_at)::float8,"
            "       extract(epoch FROM finished_at)::float8 FROM job WHERE id = %s",
            [job],
        ).fetchone() or (0, 0)
        return begun - asked, done - asked

    def _ended(self, accounts: list[str], since: float) -> list[float]:
        rows = self.database.execute(
            "SELECT extract(epoch FROM finished_at)::float8 FROM job"
            " WHERE account_id = ANY(%s) AND state = 'completed' AND created_at > to_timestamp(%s)",
            [accounts, since],
        )
        return [at for (at,) in rows]

    def _first(self, accounts: list[str], since: float) -> float:
        first = (
            "SELECT extract(epoch FROM min(created_at))::float8 FROM job"
            " WHERE account_id = ANY(%s) AND created_at > to_timestamp(%s)"
        )
        return float(_one(self.database, first, accounts, since))

    def _clock(self) -> float:
        return float(_one(self.database, "SELECT extract(epoch FROM clock_timestamp())::float8"))

    def _stored(self) -> int:
        return int(_one(self.database, "SELECT count(*) FROM message"))


def _one(database: Database, query: str, *values: object) -> Any:
    return (database.execute(query, values).fetchone() or (None,))[0]  # type: ignore[call-overload]


def _cpu(workers: list[Service]) -> float:
    return sum(cost.cpu(one.process.pid) for one in workers)


@dataclass(frozen=True, slots=True)
class Peers:
    """Who does the same on the same servers."""

    redis_url: str
    database_url: str
    server: Dovecot
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """What they are told."""
        return os.environ | {
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "IMAP_HOST": self.server.host,
            "IMAP_PORT": str(self.server.port),
            "IMAP_PASSWORD": self.server.password,
        }

    def bullmq(self, accounts: list[str], person: str) -> Run:
        """BullMQ, ImapFlow, mailparser and pg; a person's job goes first."""
        with ExitStack() as stack:
            logs = [self.folder / f"bullmq-{n}.log" for n in range(PROCESSES)]
            workers = [
                stack.enter_context(bullmq.worker("work", THREADS, self.env, log)) for log in logs
            ]
            asker = stack.enter_context(bullmq.asker(self.env))
            used = sum(cost.cpu(one.pid) for one in workers)
            used_by_all = cost.cpu(os.getpid())
            began = asker.ask("sync", accounts=accounts)

            def told(*, person: bool) -> list[dict[str, Any]]:
                lines = [one for log in logs for one in bullmq.told(log) if "ready" not in one]
                if failed := [one for one in lines if "failed" in one]:
                    raise RuntimeError(str(failed[0]))
                return [one for one in lines if one.get("person", False) == person]

            deadline, asked = time.monotonic() + PATIENCE, 0
            while len(told(person=False)) < len(accounts):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(told(person=False))} accounts are done")
                asker.ask("sync", accounts=[person], person=True)
                asked += 1
                until(lambda: len(told(person=True)) == asked)  # noqa: B023
                time.sleep(PAUSE)
            return Run(
                messages=self._stored(),
                ended=[one["finished"] / 1000 - began for one in told(person=False)],
                cpu=sum(cost.cpu(one.pid) for one in workers) - used,
                cpu_of_all=cost.cpu(os.getpid()) - used_by_all,
                memory=sum(peak_memory(one.pid) for one in workers),
                begun_after=[(one["started"] - one["asked"]) / 1000 for one in told(person=True)],
                ended_after=[(one["finished"] - one["asked"]) / 1000 for one in told(person=True)],
            )

    def naive(self, accounts: list[str]) -> Run:
        """Dramatiq as it comes, IMAPClient, and the parser of the standard library."""
        before = self._stored()
        client = redis.Redis.from_url(self.redis_url)
        client.delete(stock.ENDED)
        broker = RedisBroker(client=client, namespace=stock.NAMESPACE)  # type: ignore[no-untyped-call]
        with dramatiq(self.env, self.folder, "sync", PROCESSES, THREADS) as workers:
            until(lambda: len(client.keys(f"{stock.NAMESPACE}:__heartbeats__")) > 0)
            used, used_by_all = cost.cpu(workers.pid), cost.cpu(os.getpid())
            began = time.time()
            for account in accounts:
                broker.enqueue(stock.sync.message(account))
            until(lambda: int(client.llen(stock.ENDED)) == len(accounts), PATIENCE)
            return Run(
                messages=self._stored() - before,
                ended=[float(at) - began for at in client.lrange(stock.ENDED, 0, -1)],
                cpu=cost.cpu(workers.pid) - used,
                cpu_of_all=cost.cpu(os.getpid()) - used_by_all,
                memory=cost.memory(workers.pid),
            )

    def _stored(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            return int(_one(connection, "SELECT count(*) FROM peer_message"))
