"""Jobs as their user sees them."""

from __future__ import annotations

import time

import redis
from litestar import Litestar
from litestar.testing import TestClient

from postwire.store import accounts, jobs
from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


def test_jobs_are_listed_newest_first_in_pages_and_by_account_and_state(
    ann: Client, store: Pool
) -> None:
    # Given three accounts with a job each, the oldest of which failed
    accounts = [rows.active(store, "ann", f"{n}@example.com") for n in "abc"]
    ids = []
    for account in accounts:
        with transaction(store) as connection:
            ids.append(jobs.ask(connection, account.id, "ann", "manual").id)
    with transaction(store) as connection:
        job = jobs.claim(connection, ids[0], "worker")
        assert job is not None
        jobs.give_up(connection, job, "worker", "The password is wrong.")
    # When they are read two by two
    page = ann.get("/api/jobs?limit=2").json()
    rest = ann.get(f"/api/jobs?limit=2&cursor={page['nextCursor']}").json()
    # Then the newest comes first, and the pages meet
    assert [one["id"] for one in page["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["nextCursor"] is None
    # And each filter narrows down
    (failed,) = ann.get("/api/jobs?state=failed").json()["jobs"]
    assert failed["error"] == "The password is wrong."
    (one,) = ann.get(f"/api/jobs?accountId={accounts[1].id}").json()["jobs"]
    assert one["id"] == ids[1]
    # And one can be read alone, in the contract's shape
    assert ann.get(f"/api/jobs/{failed['id']}").json() == failed
    assert set(failed) == {
        *("id", "accountId", "reason", "state", "attempts", "found", "error", "position"),
        *("createdAt", "startedAt", "finishedAt"),
    }
    assert failed["attempts"] == 1
    assert failed["finishedAt"] >= failed["startedAt"] >= failed["createdAt"]


def test_what_is_no_job_is_404(ann: Client) -> None:
    for id_ in ["x", "%00", "sync-x-1", "sync-087cf757-e94d-435b-8f58-4799cc8a5e22-1"]:
        assert ann.get(f"/api/jobs/{id_}").status_code == 404, id_


def test_a_cursor_of_messages_is_none_of_jobs(ann: Client, store: Pool) -> None:
    # Given a cursor between two messages
    box = rows.mailbox(store, rows.active(store))
    rows.store_batch(store, rows.batch(box, rows.incoming(1), rows.incoming(2)))
    cursor = ann.get("/api/messages?limit=1").json()["nextCursor"]
    # Then it leads nowhere in the jobs
    assert ann.get(f"/api/jobs?cursor={cursor}").status_code == 400


def test_a_job_is_cancelled_and_tried_again(ann: Client, store: Pool, redis_url: str) -> None:
    # Given a job that waits
    account = rows.active(store, "ann")
    with transaction(store) as connection:
        id_ = jobs.ask(connection, account.id, "ann", "auto").id
    assert ann.get(f"/api/jobs/{id_}").json()["position"] == 1
    # When it is tried again, it has not failed
    assert ann.post(f"/api/jobs/{id_}/retry").status_code == 409
    # When it is cancelled
    cancelled = ann.post(f"/api/jobs/{id_}/cancel")
    # Then it has failed, once
    assert (cancelled.status_code, cancelled.json()["error"]) == (200, "Cancelled.")
    assert ann.post(f"/api/jobs/{id_}/cancel").status_code == 409
    # And when it is tried again, there is another one, on the queue of those who wait
    again = ann.post(f"/api/jobs/{id_}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "waiting")
    assert again.json()["id"] != id_
    assert eventually_queued(redis_url) == 1
    # And the numbers add up
    stats = ann.get("/api/email/sync").json()["queueStats"]
    assert (stats["waiting"], stats["failed"], stats["total"]) == (1, 1, 2)


def test_a_job_of_a_paused_account_is_not_tried_again(ann: Client, store: Pool) -> None:
    account = rows.active(store, "ann")
    with transaction(store) as connection:
        id_ = jobs.ask(connection, account.id, "ann", "auto").id
        jobs.cancel(connection, "ann", id_)
        accounts.pause(connection, "ann", account.id)
    answer = ann.post(f"/api/jobs/{id_}/retry")
    assert answer.status_code == 409
    assert "paused" in answer.json()["detail"]


def eventually_queued(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        deadline = time.monotonic() + 5
        while not (length := int(client.llen("dramatiq:sync.manual"))):  # type: ignore[arg-type]
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
    return length
