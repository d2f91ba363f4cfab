"""Connections to a mail server, counted by the server: never more than the budget allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from worker.conftest import KEYS, Accounts, unsaved
from worker.test_actors import ask, job_of, queued
from worker.test_watch import active, watching

from postwire.errors import NoFreeConnection, StoreUnavailable
from postwire.jobs import MANUAL_QUEUE, enqueue
from postwire.model import Account, JobId, MessageId
from postwire.store import contents, jobs, processes
from postwire.store.pool import Pool, make_pool, transaction
from postwire_worker import actors, attachments
from postwire_worker.budget import Budget, account_limit
from postwire_worker.runtime import Runtime
from support import rows
from support.fake_imap import FakeImap, Wire, capabilities, fake_imap
from support.mailbox import MailUser
from support.processes import eventually
from support.service import Process, process


def keep_alive(runtime: Runtime) -> None:
    with transaction(runtime.pool) as connection:
        processes.beat(connection, runtime.holder, "sync-worker")


def refused(scope: str) -> float:
    return REGISTRY.get_sample_value("postwire_connections_refused_total", {"scope": scope}) or 0


def held(pool: Pool) -> list[str]:
    """What the connections of all processes are for."""
    with transaction(pool) as connection:
        found = connection.execute("SELECT purpose FROM imap_connection ORDER BY 1")
        return [purpose for (purpose,) in found]


def add(runtime: Runtime, add_account: Accounts, server: FakeImap, number: int) -> list[Account]:
    users = [MailUser(add_account.dovecot, f"u{n}@x.example") for n in range(number)]
    return [
        active(runtime, add_account.add(user, host=server.host, port=server.port)) for user in users
    ]


def idling(wire: Wire, _tag: str) -> None:
    wire.send(b"+ idling\r\n")
    wire.hang()


IDLE = {**capabilities("IMAP4rev1", "IDLE"), "IDLE": idling}


@pytest.mark.parametrize(
    ("host", "limit"),
    [("imap.example.com", 3), ("imap.gmail.com", 9), ("imap.mail.yahoo.com", 3)],
)
def test_an_account_leaves_some_connections_to_the_users_own_programs(
    host: str, limit: int
) -> None:
    assert account_limit(unsaved(host, 993)) == limit


def test_a_slot_lasts_as_long_as_its_block_whatever_happens_in_it(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given room for one connection
    keep_alive(runtime)
    account = add_account.add(user)
    budget = replace(runtime.budget, host_limit=1)
    before = refused("host")
    # When somebody has it
    with budget.slot(account, "sync"):
        # Then nobody else gets it, which is counted
        assert not claimed(budget, account)
        assert refused("host") == before + 1
    # And it is free afterwards, also if what it was for has failed
    with suppress(ZeroDivisionError), budget.slot(account, "sync"):
        raise ZeroDivisionError
    assert claimed(budget, account)
    assert held(runtime.pool) == []


def test_what_could_not_be_given_back_is_so_later(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a connection that is closed while the database does not answer
    account = add_account.add(user)
    pool = make_pool(runtime.pool.conninfo, 1)
    away = replace(runtime.budget, pool=pool)
    slot = away.claim(account, "idle")
    pool.close()
    away.give_back(slot)
    with pytest.raises(StoreUnavailable):
        away.settle()
    assert held(runtime.pool) == ["idle"]
    # When it answers again
    back = replace(away, pool=runtime.pool)
    back.settle()
    # Then nothing is held
    assert held(runtime.pool) == []


def test_a_job_waits_for_a_connection_without_having_failed(
    runtime: Runtime, add_account: Accounts
) -> None:
    # Given a host whose only connection is taken
    keep_alive(runtime)
    runtime = replace(runtime, budget=replace(runtime.budget, host_limit=1))
    with fake_imap() as server:
        account, other = add(runtime, add_account, server, 2)
        job_id = ask(runtime, account)
        with runtime.budget.slot(other, "manual"):
            for _ in range(jobs.ATTEMPTS + 1):
                # When the job is run, more often than it could fail
                run_now(runtime, job_id)
                # Then it says what it waits for, and nothing has failed
                job = job_of(runtime, job_id)
                assert job is not None
                assert (job.state, job.attempts) == ("delayed", 0)
                assert job.error == "Waiting for a free connection to 127.0.0.1."
        assert not server.connected
        assert job_id in queued(runtime)
        assert add_account.get(account).state == "active"
        # And it is done once there is one
        run_now(runtime, job_id)
        job = job_of(runtime, job_id)
        assert job is not None
        assert (job.state, job.error) == ("completed", None)


def run_now(runtime: Runtime, job_id: JobId) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE job SET run_at = now() WHERE id = %s", [job_id])
    actors.run(runtime, job_id)


def test_a_person_may_use_what_the_machine_may_not(runtime: Runtime, add_account: Accounts) -> None:
    # Given a host with two connections, one of them taken
    keep_alive(runtime)
    runtime = replace(runtime, budget=replace(runtime.budget, host_limit=2))
    with fake_imap() as server:
        first, second, third = add(runtime, add_account, server, 3)
        by_machine, by_person = ask(runtime, second, "auto"), ask(runtime, third, "manual")
        with runtime.budget.slot(first, "sync"):
            # When the machine and a person want the other
            run_now(runtime, by_machine)
            run_now(runtime, by_person)
    # Then it is the person's
    done, waiting = job_of(runtime, by_person), job_of(runtime, by_machine)
    assert done is not None
    assert done.state == "completed"
    assert waiting is not None
    assert waiting.state == "delayed"


@pytest.fixture
def with_attachments(runtime: Runtime, add_account: Accounts) -> Callable[[FakeImap], Account]:
    """An account on that server, with a message of which two attachments are asked for."""

    def made(server: FakeImap) -> Account:
        (account,) = add(runtime, add_account, server, 1)
        parts = tuple(rows.attachment(section=str(n)) for n in (1, 2))
        message = replace(rows.incoming(1), attachments=parts)
        mailbox = rows.mailbox(runtime.pool, account)
        rows.store_batch(runtime.pool, rows.batch(mailbox, message))
        with transaction(runtime.pool) as connection:
            for n in (1, 2):
                wanted = contents.get_wanted(connection, account.user_id, MessageId(1), n)
                contents.ask(connection, wanted)
        return account

    return made


def test_an_account_has_three_connections_whatever_they_are_for(
    runtime: Runtime, with_attachments: Callable[[FakeImap], Account]
) -> None:
    # Given an account whose server takes its time with all that is asked of it
    keep_alive(runtime)
    go_on = threading.Event()

    def slow(answer: bytes) -> Callable[[Wire, str], None]:
        def answered(wire: Wire, tag: str) -> None:
            go_on.wait(20)
            wire.send(answer.replace(b"TAG", tag.encode()))

        return answered

    listed = slow(b'* LIST () "/" INBOX\r\nTAG OK done\r\n')
    fetched = slow(b"TAG OK done\r\n")
    with fake_imap({**IDLE, "LIST": listed, "UID FETCH": fetched}) as server:
        account = with_attachments(server)
        job_id = ask(runtime, account, "manual")
        with watching(runtime, account, poll_seconds=1) as first, ThreadPoolExecutor(3) as threads:
            assert eventually(lambda: first.watch.idling)
            # When it is watched, synced, and asked for two attachments, all at the same time
            syncing = threads.submit(actors.run, runtime, job_id)
            assert eventually(lambda: server.heard("LIST"))
            with watching(runtime, account, poll_seconds=1) as second:
                fetching = threads.submit(attachments.run, runtime, account.id, 1000)
                assert eventually(lambda: server.heard("UID FETCH"))
                attachments.run(runtime, account.id, 1000)

                # Then three of these have a connection
                assert held(runtime.pool) == ["attachment", "idle", "manual"]
                assert server.most == 3
                assert not second.watch.idling
                # And the second attachment waits, nor has it failed
                assert requests(runtime.pool) == [("active", 1), ("waiting", 0)]
                assert queued(runtime, MANUAL_QUEUE) == [account.id]

                # And when they have ended, the others have their turn
                go_on.set()
                fetching.result(10)
                syncing.result(10)
                assert eventually(lambda: second.watch.idling)
                attachments.run(runtime, account.id, 1000)
                assert [state for state, _ in requests(runtime.pool)] == ["failed", "failed"]
        assert eventually(lambda: held(runtime.pool) == [])
        assert server.most == 3


def requests(pool: Pool) -> list[tuple[str, int]]:
    """State and attempts of the requests for attachments."""
    with transaction(pool) as connection:
        found = connection.execute("SELECT state, attempts FROM attachment_request ORDER BY n")
        return [(state, attempts) for state, attempts in found]


@pytest.fixture
def given(runtime: Runtime, redis_url: str) -> dict[str, str]:
    """The settings of processes whose hosts have four connections."""
    return {
        "database_url": runtime.pool.conninfo,
        "redis_url": redis_url,
        "credential_keys": KEYS,
        "ops_host": "127.0.0.1",
        "ops_port": "0",
        "host_connections": "4",
    }


@contextmanager
def running(modules: Sequence[str], given: dict[str, str], folder: Path) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        yield [stack.enter_context(process(module, given, folder)) for module in modules]


def metric(process: Process, name: str) -> float:
    lines = process.get("/metrics")[1].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_all_processes_together_keep_to_the_hosts_limit_and_all_accounts_are_synced(
    runtime: Runtime, add_account: Accounts, given: dict[str, str], tmp_path: Path
) -> None:
    # Given a slow server that has four connections, and eight accounts there
    def slow(wire: Wire, tag: str) -> None:
        time.sleep(0.3)
        wire.send(f'* LIST () "/" INBOX\r\n{tag} OK done\r\n'.encode())

    modules = ["postwire_worker", "postwire_worker", "postwire_worker.watcher"]
    with fake_imap({**IDLE, "LIST": slow}) as server:
        those = add(runtime, add_account, server, 8)
        # When two workers and a watcher see to them, and people want some synced besides
        with running(modules, given, tmp_path) as (one, two, watcher):
            for account in those[:4]:
                enqueue(runtime.broker, ask(runtime, account, "manual"), MANUAL_QUEUE)

            # Then each is synced
            assert eventually(lambda: all(add_account.get(a).last_synced_at for a in those), 60)
            # And as many are watched in IDLE as there is room for beside the syncs
            assert eventually(lambda: metric(watcher, "postwire_idle_connections") == 2, 20)
            # And the limit was in the way, but the server never had more
            refused = [metric(p, "postwire_connections_refused_total{") for p in (one, two)]
            assert sum(refused) > 0
            assert metric(watcher, "postwire_connections_refused_total{") > 0
            assert 3 <= server.most <= 4
            assert [add_account.get(a).state for a in those] == ["active"] * 8
            # And who ends in order holds nothing any more
            assert [p.stop()[0] for p in (watcher, one, two)] == [0, 0, 0]
        assert living(runtime) == 0


def test_a_watcher_that_ends_hands_its_connections_over_within_the_limit(
    runtime: Runtime, add_account: Accounts, given: dict[str, str], tmp_path: Path
) -> None:
    # Given a server that has one connection for IDLE, and a watcher that has it
    given = given | {"host_connections": "3"}
    module = "postwire_worker.watcher"
    with fake_imap(IDLE) as server:
        add(runtime, add_account, server, 1)
        with process(module, given, tmp_path) as one:
            assert eventually(lambda: metric(one, "postwire_idle_connections") == 1, 20)
            with process(module, given, tmp_path) as two:
                # When another takes over from it
                assert one.stop()[0] == 0
                # Then that has a connection in the end, and there were never both
                assert eventually(lambda: metric(two, "postwire_idle_connections") == 1, 20)
                assert len(server.connected) == 2
                assert server.most == 1


def living(runtime: Runtime) -> int:
    """How many connections count."""
    with transaction(runtime.pool) as connection:
        row = connection.execute(
            "SELECT count(*) FROM imap_connection JOIN live_process USING (holder)"
        ).fetchone()
    return int(row[0]) if row else 0


def test_what_a_killed_worker_held_is_free_once_it_counts_as_dead(
    runtime: Runtime, add_account: Accounts, given: dict[str, str], tmp_path: Path
) -> None:
    # Given a worker that has the host's only connection, in a sync that hangs
    with fake_imap({"LIST": Wire.hang}) as server:
        (account,) = add(runtime, add_account, server, 1)
        with process("postwire_worker", given, tmp_path) as worker:
            enqueue(runtime.broker, ask(runtime, account, "manual"), MANUAL_QUEUE)
            assert eventually(lambda: server.heard("LIST"))
            ours = replace(runtime.budget, host_limit=1)
            assert not claimed(ours, account)
            # When it is killed
            worker.popen.kill()
            worker.popen.wait()
            # Then its connection is free as soon as it counts as dead
            assert eventually(lambda: claimed(ours, account), processes.LEASE + 2)


def claimed(budget: Budget, account: Account) -> bool:
    try:
        with budget.slot(account, "manual"):
            return True
    except NoFreeConnection:
        return False
