"""What happens by the clock: due accounts, stranded jobs, and how much waits."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from prometheus_client import REGISTRY
from worker.conftest import Accounts
from worker.test_actors import ask, queued, state_of

from postwire.credentials import Keyring
from postwire.errors import NotFound
from postwire.jobs import QUEUE, enqueue, make_broker, make_redis
from postwire.model import Account, AccountId, JobId, MessageId
from postwire.store import accounts, contents, jobs, processes
from postwire.store.contents import Failed, Wanted
from postwire.store.pool import transaction
from postwire_demo.processes import free_port
from postwire_worker import clock
from postwire_worker.runtime import Runtime
from support import rows
from support.mailbox import MailUser
from support.told import listening


@pytest.fixture
def account(runtime: Runtime, add_account: Accounts, user: MailUser) -> Account:
    """An account whose time has come."""
    account = add_account.add(user)
    runtime.move(account, "active")
    return due(runtime, account)


def due(runtime: Runtime, account: Account) -> Account:
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET next_sync_at = now() WHERE id = %s", [account.id])
        return accounts.get(connection, account.id)


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"postwire_{name}", labels)


def test_an_account_whose_time_has_come_is_asked_for_once(
    runtime: Runtime, account: Account, add_account: Accounts
) -> None:
    # Given several watchers that look at the same time
    lookers = [threading.Thread(target=clock.ask_due, args=[runtime]) for _ in range(4)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()

    # Then there is one job, on the machine's queue, and the account's next time is later
    (job_id,) = queued(runtime)
    assert state_of(runtime, job_id) == "waiting"
    seconds = (add_account.get(account).next_sync_at - account.next_sync_at).total_seconds()
    assert 25 < seconds < 35


@pytest.mark.parametrize("state", ["paused", "auth_failed", "connecting"])
def test_an_account_that_is_not_to_be_tried_is_not_asked_for(
    runtime: Runtime, account: Account, state: str
) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET state = %s WHERE id = %s", [state, account.id])
    clock.ask_due(runtime)
    assert queued(runtime) == []


def test_a_push_is_asked_for_whatever_the_schedule_says(runtime: Runtime, account: Account) -> None:
    clock.ask_for(runtime, account.id, account.user_id, "push")
    clock.ask_for(runtime, account.id, account.user_id, "push")
    assert len(queued(runtime)) == 1


def test_an_account_that_was_removed_meanwhile_is_not_found(runtime: Runtime) -> None:
    with pytest.raises(NotFound):
        clock.ask_for(runtime, AccountId("00000000-0000-0000-0000-000000000000"), "owner", "push")


def strand(runtime: Runtime, job_id: JobId) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute(
            "UPDATE job SET run_at = now() - interval '1 minute' WHERE id = %s", [job_id]
        )


def test_a_job_that_redis_has_forgotten_is_queued_again(runtime: Runtime, account: Account) -> None:
    # Given a job whose message is gone
    job_id = ask(runtime, account)
    strand(runtime, job_id)
    swept = metric("jobs_swept_total") or 0

    # When the sweep comes by
    clock.sweep(runtime)

    # Then it is on its queue again, and counted
    assert queued(runtime) == [job_id]
    assert metric("jobs_swept_total") == swept + 1


def test_a_job_whose_holder_died_is_queued_again(runtime: Runtime, account: Account) -> None:
    job_id = ask(runtime, account, "manual")
    with transaction(runtime.pool) as connection:
        assert jobs.claim(connection, job_id, "somebody who dies")
        connection.execute("UPDATE job SET held_until = now() - interval '1 second'")
    clock.sweep(runtime)
    assert queued(runtime, "sync.manual") == [job_id]
    assert state_of(runtime, job_id) == "waiting"


def test_what_a_worker_committed_before_it_died_is_told(
    runtime: Runtime, account: Account, redis_url: str
) -> None:
    # Given a worker that died between a commit and its event
    job_id = ask(runtime, account)
    with transaction(runtime.pool) as connection:
        assert jobs.claim(connection, job_id, "somebody who dies")
        connection.execute("UPDATE job SET held_until = now() - interval '1 second'")
        connection.execute("UPDATE account SET revision = 7 WHERE id = %s", [account.id])
    with listening(redis_url) as told:
        # When the sweep comes by
        clock.sweep(runtime)

        # Then whoever looks on learns of the revision, and asks for the changes
        (event,) = told.until(lambda events: events)
    assert (event.type, event.account_id, event.revision) == ("state", account.id, 7)


def test_what_only_waits_for_a_worker_is_not_queued_twice(
    runtime: Runtime, account: Account
) -> None:
    # Given a job that is due for long, and is on its queue
    job_id = ask(runtime, account)
    enqueue(runtime.broker, job_id, QUEUE)
    strand(runtime, job_id)

    # When the sweep comes by, it is left there
    clock.sweep(runtime)
    assert queued(runtime) == [job_id]

    # And when Redis was wiped, it is queued again
    runtime.redis.flushall()
    clock.sweep(runtime)
    assert queued(runtime) == [job_id]


def test_a_wiped_queue_is_filled_again_at_once(runtime: Runtime, add_account: Accounts) -> None:
    # Given more jobs than are swept at a time, none of which Redis knows
    users = [MailUser(add_account.dovecot, f"user{n}@example.com") for n in range(120)]
    ids = [ask(runtime, add_account.add(one)) for one in users]
    for job_id in ids:
        strand(runtime, job_id)
    # When the sweep comes by once
    clock.sweep(runtime)
    # Then all are queued
    assert sorted(queued(runtime)) == sorted(ids)


def test_a_job_that_its_workers_die_of_fails_and_says_so(
    runtime: Runtime, account: Account, redis_url: str
) -> None:
    # Given a job whose last attempt ended with its worker
    job_id = ask(runtime, account)
    with transaction(runtime.pool) as connection:
        assert jobs.claim(connection, job_id, "somebody who dies")
        connection.execute("UPDATE job SET attempts = 2, held_until = now() - interval '1 second'")
    with listening(redis_url) as told:
        # When the sweep comes by
        clock.sweep(runtime)
        # Then it is not queued again, and its user hears of it
        assert queued(runtime) == []
        assert state_of(runtime, job_id) == "failed"
        told.until(lambda heard: [event.type for event in heard] == ["failed"])


def asked_for(runtime: Runtime) -> tuple[Account, Wanted]:
    """An attachment that was asked for a minute ago."""
    account = rows.active(runtime.pool)
    message = replace(rows.incoming(1), attachments=(rows.attachment(),))
    rows.store_batch(runtime.pool, rows.batch(rows.mailbox(runtime.pool, account), message))
    wanted = Wanted(account.id, MessageId(1), 1, None, "", "active")
    with transaction(runtime.pool) as connection:
        contents.ask(connection, wanted)
        connection.execute("UPDATE attachment_request SET asked_at = now() - interval '1 minute'")
    return account, wanted


def test_an_attachment_that_redis_has_forgotten_is_queued_again(runtime: Runtime) -> None:
    account, _ = asked_for(runtime)
    swept = metric("attachments_swept_total") or 0
    clock.sweep_attachments(runtime)
    assert queued(runtime, "sync.manual") == [account.id]
    assert metric("attachments_swept_total") == swept + 1


def test_an_attachment_that_worker_after_worker_died_with_is_given_up(runtime: Runtime) -> None:
    # Given a request that is fetched for the last time, by somebody who dies
    account, wanted = asked_for(runtime)
    given_up = metric("attachment_fetches_total", outcome="given_up") or 0
    with transaction(runtime.pool) as connection:
        assert contents.claim(connection, account.id, "somebody who dies")
        connection.execute(
            "UPDATE attachment_request SET attempts = 3, held_until = now() - interval '1 second'"
        )
    # When the sweep comes by
    clock.sweep_attachments(runtime)
    # Then nobody fetches it any more, and that is counted
    assert queued(runtime, "sync.manual") == []
    assert metric("attachment_fetches_total", outcome="given_up") == given_up + 1
    with transaction(runtime.pool) as connection:
        assert isinstance(contents.find(connection, wanted), Failed)


def test_connections_of_processes_that_died_are_forgotten(
    runtime: Runtime, account: Account
) -> None:
    # Given a connection of a process that lives, and one of a process long dead
    with transaction(runtime.pool) as connection:
        processes.beat(connection, "alive", "sync-worker")
    for holder in ("alive", "dead"):
        replace(runtime.budget, holder=holder).claim(account, "sync")
    # When the watcher looks
    clock.forget_connections(runtime)
    # Then the living one's is left
    with transaction(runtime.pool) as connection:
        rest = connection.execute("SELECT holder FROM imap_connection").fetchall()
    assert rest == [("alive",)]


def test_a_job_that_is_held_is_left_alone(runtime: Runtime, account: Account) -> None:
    job_id = ask(runtime, account)
    with transaction(runtime.pool) as connection:
        assert jobs.claim(connection, job_id, "somebody who lives")
    clock.sweep(runtime)
    assert queued(runtime) == []


@pytest.mark.usefixtures("account")
def test_without_redis_the_rows_are_there_for_the_next_sweep(runtime: Runtime) -> None:
    # Given a Redis that is down
    deaf = replace(runtime, broker=make_broker(make_redis(f"redis://127.0.0.1:{free_port()}/0")))

    # When due accounts and stranded jobs are looked for
    started = time.monotonic()
    clock.ask_due(deaf)
    clock.sweep(deaf)

    # Then that does not take long, and the job is queued when Redis is back
    assert time.monotonic() - started < 5
    with transaction(runtime.pool) as connection:
        (job,) = jobs.list_of_user(
            connection, "owner", account_id=None, state="waiting", before=None, limit=9
        )
    strand(runtime, job.id)
    clock.sweep(runtime)
    assert queued(runtime) == [job.id]
    deaf.broker.close()


def test_how_much_waits_is_measured_and_how_long(runtime: Runtime, account: Account) -> None:
    # Given a job of a person that has waited for a minute
    job_id = ask(runtime, account, "manual")
    strand(runtime, job_id)

    # When it is measured, and again after it has gone
    clock.measure(runtime)
    waiting = metric("queue_depth", queue="sync.manual", state="waiting")
    oldest = metric("queue_oldest_job_seconds", queue="sync.manual")
    with transaction(runtime.pool) as connection:
        connection.execute("DELETE FROM job")
    clock.measure(runtime)

    # Then the numbers were those, and are none
    assert waiting == 1
    assert oldest is not None
    assert 55 < oldest < 120
    assert metric("queue_depth", queue="sync.manual", state="waiting") == 0
    assert metric("queue_oldest_job_seconds", queue="sync.manual") == 0


def test_accounts_and_live_processes_are_measured(runtime: Runtime, account: Account) -> None:
    # Given one account and one watcher that are alive, and a worker that has died
    with transaction(runtime.pool) as connection:
        processes.beat(connection, "a watcher", "watcher")
        processes.beat(connection, "a worker", "sync-worker")
        connection.execute("UPDATE process SET expires_at = now() WHERE holder = 'a worker'")
    # When they are measured, and again after the account was refused
    clock.measure(runtime)
    active = metric("accounts", state="active")
    alive = {kind: metric("live_processes", kind=kind) for kind in ("watcher", "sync-worker")}
    runtime.move(account, "auth_failed", "no")
    clock.measure(runtime)
    # Then the numbers were those, and are
    assert (active, alive) == (1, {"watcher": 1, "sync-worker": 0})
    assert metric("accounts", state="active") == 0
    assert metric("accounts", state="auth_failed") == 1


@pytest.mark.usefixtures("account")
def test_what_is_sealed_is_measured_by_whether_its_key_is_set(runtime: Runtime) -> None:
    # Given one account, measured by who has its key, has it as an old one, and has it not
    new = {"new": AESGCM(os.urandom(32))}
    for keyring, key in (
        (runtime.keyring, "current"),
        (Keyring("new", new | runtime.keyring.keys), "older"),
        (Keyring("new", new), "unknown"),
    ):
        clock.measure_keys(replace(runtime, keyring=keyring))
        # Then its password counts once, and there
        found = {one: metric("sealed_secrets", key=one) for one in ("current", "older", "unknown")}
        assert found == dict.fromkeys(found, 0) | {key: 1}


def test_a_clock_that_was_set_back_keeps_no_job_waiting(runtime: Runtime, account: Account) -> None:
    # Given a job that is due in an hour, by a clock that then was set back by an hour
    clock.ask_for(runtime, account.id, account.user_id, "auto")
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE job SET run_at = now() + interval '1 hour'")
        connection.execute("UPDATE wall_clock SET seen = now() + interval '1 hour'")
    before = metric("clock_set_back_total") or 0
    # When the watcher looks at it, twice
    clock.mind_the_clock(runtime)
    clock.mind_the_clock(runtime)
    # Then that was seen once, and the job is due
    assert metric("clock_set_back_total") == before + 1
    with transaction(runtime.pool) as connection:
        assert jobs.count_due(connection, QUEUE) == 1
