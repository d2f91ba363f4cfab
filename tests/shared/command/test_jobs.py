"""`postwire job`, run as a process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from postwire.jobs import MANUAL_QUEUE, count_queued, make_broker, make_redis
from postwire.model import Account, JobId
from postwire.store import accounts, jobs
from postwire.store.pool import Pool, make_pool, transaction
from support import rows
from support.command import postwire


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def failed(store: Pool, account: Account) -> JobId:
    """A job that ended so."""
    with transaction(store) as connection:
        asked = jobs.ask(connection, account.id, account.user_id, "auto")
        job = jobs.claim(connection, asked.id, "worker")
        assert job
        jobs.give_up(connection, job, "worker", "The mail server has no such mailbox.")
    return asked.id


def queued(redis_url: str) -> int:
    client = make_redis(redis_url)
    broker = make_broker(client)
    try:
        return count_queued(broker, MANUAL_QUEUE)
    finally:
        broker.close()
        client.close()


def test_jobs_are_listed_and_shown(store: Pool) -> None:
    # Given a job that failed, and one that waits
    ann, bob = rows.active(store, "ann"), rows.active(store, "bob", "bob@example.com")
    ended = failed(store, ann)
    with transaction(store) as connection:
        waiting = jobs.ask(connection, bob.id, "bob", "push").id
        connection.execute("UPDATE job SET created_at = now() - interval '1 hour'")
    url = store.conninfo

    def listed(*arguments: str) -> set[str]:
        said = postwire("job", "list", "--json", *arguments, database_url=url)
        assert said.code == 0, said.stderr
        return {one["id"] for one in json.loads(said.stdout)}

    # Then each is found by what it is
    assert listed("--state", "failed") == {ended}
    assert listed("--account", "bob@example.com", "--older-than", "30m") == {waiting}
    assert listed("--older-than", "2h") == set()
    lines = postwire("job", "list", database_url=url).stdout.splitlines()
    assert [line.split()[0] for line in lines[:1]] == ["JOB"]
    assert {line.split()[0] for line in lines if line.startswith("sync-")} == {ended, waiting}
    assert "    The mail server has no such mailbox." in lines
    shown = postwire("job", "show", ended, database_url=url)
    assert "error The mail server has no such mailbox." in shown.out
    assert "asked for" in shown.out
    assert postwire("job", "list", "--older-than", "soon", database_url=url).code == 2


def test_a_failed_one_is_tried_again_at_once(store: Pool, redis_url: str) -> None:
    account = rows.active(store)
    ended = failed(store, account)
    said = postwire("job", "retry", ended, database_url=store.conninfo, redis_url=redis_url)
    assert said.code == 0, said.stderr
    with transaction(store) as connection:
        job = jobs.get_of_user(connection, account.user_id, JobId(said.stdout.strip()))
    assert (job.state, job.queue, queued(redis_url)) == ("waiting", MANUAL_QUEUE, 1)
    # And that one has not failed
    again = postwire("job", "retry", job.id, database_url=store.conninfo, redis_url=redis_url)
    assert again.code == 1
    assert "The job has not failed, it is waiting." in again.said


@pytest.mark.parametrize("settings", [{}, {"redis_url": "redis://127.0.0.1:1/0"}])
def test_without_redis_it_is_a_row_that_the_sweep_finds(
    store: Pool, settings: dict[str, str]
) -> None:
    account = rows.active(store)
    ended = failed(store, account)
    said = postwire("job", "retry", ended, database_url=store.conninfo, **settings)
    assert said.code == 0
    assert "a watcher queues it" in said.said
    with transaction(store) as connection:
        assert jobs.get_of_user(connection, account.user_id, JobId(said.stdout.strip()))


def test_an_account_that_was_refused_is_not_tried(store: Pool) -> None:
    account = rows.active(store)
    ended = failed(store, account)
    with transaction(store) as connection:
        accounts.set_state(connection, account, "auth_failed", "No.")
    said = postwire("job", "retry", ended, database_url=store.conninfo)
    assert (said.code, said.stdout) == (1, "")
    assert "No login is tried: the account is auth_failed." in said.said
    none = postwire("job", "show", "sync-no", database_url=store.conninfo)
    assert (none.code, none.said) == (
        1,
        "postwire: There is no such job, or its history was pruned.",
    )
