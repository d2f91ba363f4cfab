from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from postwire.errors import Conflict, NotFound
from postwire.model import AccountId
from postwire.store import inspection, jobs, processes
from postwire.store.pool import Pool, make_pool, transaction
from support import rows


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def test_an_account_is_found_by_id_or_by_an_address_that_is_the_only_one(store: Pool) -> None:
    ann = rows.active(store)
    with transaction(store) as connection:
        assert inspection.find_account(connection, ann.id).id == ann.id
        assert inspection.find_account(connection, "ANN@Example.com").id == ann.id
        with pytest.raises(NotFound):
            inspection.find_account(connection, "' OR true --")
    rows.active(store, "bob")
    with transaction(store) as connection, pytest.raises(Conflict, match=ann.id):
        inspection.find_account(connection, "ann@example.com")


def test_accounts_and_jobs_of_everybody_are_listed(store: Pool) -> None:
    first, second = rows.active(store, "ann"), rows.account(store, "bob")
    with transaction(store) as connection:
        asked = jobs.ask(connection, first.id, "ann", "auto")
        every = inspection.list_accounts(connection, user_id=None, state=None, limit=9)
        assert {one.id for one in every} == {first.id, second.id}
        (one,) = inspection.list_accounts(connection, user_id="ann", state="active", limit=9)
        assert one.id == first.id
        assert len(inspection.list_accounts(connection, user_id=None, state=None, limit=1)) == 1
        (job,) = inspection.list_jobs(connection, limit=9)
        assert (job.id, job.holder) == (asked.id, None)
        old = timedelta(minutes=1)
        assert inspection.list_jobs(connection, older_than=old, limit=9) == []
        assert inspection.list_jobs(connection, state="failed", limit=9) == []
        with pytest.raises(NotFound):
            inspection.get_job(connection, "sync-no")


def test_what_is_alive_is_counted(store: Pool) -> None:
    account = rows.active(store)
    with transaction(store) as connection:
        processes.beat(connection, "w", "watcher")
        processes.beat(connection, "s", "sync-worker")
        jobs.ask(connection, account.id, "ann", "auto")
        connection.execute("UPDATE job SET run_at = now() - interval '90 s'")
        crew = inspection.crew(connection)
        assert (crew.watchers, crew.workers, crew.accounts, crew.due) == (1, 1, 1, 1)
        assert 90 <= crew.oldest < 300
        with pytest.raises(NotFound):
            inspection.standing(connection, AccountId("3f0c2f6e-5d43-4c55-9d0e-2f9f0b0b8a11"))
