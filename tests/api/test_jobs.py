"""Jobs as their user sees them."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

from postwire.store import jobs
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
        *("id", "accountId", "reason", "state", "attempts", "found", "error"),
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
