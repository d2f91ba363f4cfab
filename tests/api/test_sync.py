"""Sync on demand and by schedule."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
import redis
from litestar import Litestar
from litestar.testing import TestClient

from postwire.jobs import MANUAL_QUEUE
from postwire.settings import ApiSettings
from postwire.store import accounts, jobs
from postwire.store.pool import Pool, transaction
from postwire_api.app import create_app
from support import rows
from support.jwt import bearer

Client = TestClient[Litestar]


def queued(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.llen(f"dramatiq:{MANUAL_QUEUE}"))  # type: ignore[arg-type]


def test_a_sync_of_one_account_is_answered_in_the_predecessors_shape(
    ann: Client, store: Pool, redis_url: str
) -> None:
    # Given an account
    account = rows.active(store)
    # When its user asks for a sync
    answer = ann.post("/api/email/sync", json={"accountId": account.id})
    # Then the answer has the shape that clients know
    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == ["success", "jobId", "jobIds", "message", "queueStats"]
    assert body["success"] is True
    assert body["jobId"].startswith(f"sync-{account.id}-")
    assert body["jobIds"] == [body["jobId"]]
    assert body["message"] == "Sync queued successfully"
    assert body["queueStats"] == {"waiting": 1, "active": 0, "completed": 0, "failed": 0}
    # And the job is on the queue of those who wait for it
    assert queued(redis_url) == 1


@pytest.mark.parametrize("body", [None, {}, {"accountId": None}])
def test_a_sync_without_an_account_is_one_of_all_that_can_be_synced(
    ann: Client, store: Pool, body: object
) -> None:
    # Given two accounts that work, one that is paused and one whose password is wrong
    first, second = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    paused = rows.active(store, "ann", "c@example.com")
    refused = rows.active(store, "ann", "d@example.com")
    rows.active(store, "bob", "bob@example.com")
    with transaction(store) as connection:
        accounts.pause(connection, "ann", paused.id)
        accounts.set_state(connection, refused, "auth_failed", "The password is wrong.")
    # When a sync is asked for, without saying of what
    answer = ann.post("/api/email/sync", **({} if body is None else {"json": body})).json()
    # Then the two have a job each, in the order of the accounts
    assert [job[5:41] for job in answer["jobIds"]] == [first.id, second.id]
    assert answer["jobId"] == answer["jobIds"][0]


def test_a_sync_of_no_account_at_all_succeeds_with_no_job(ann: Client) -> None:
    # When somebody without accounts asks for a sync
    answer = ann.post("/api/email/sync")
    # Then that is no error, and no job either
    assert answer.status_code == 200
    assert answer.json()["jobId"] is None
    assert answer.json()["jobIds"] == []
    assert answer.json()["message"] == "There is no account to sync"


def test_asking_twice_gives_the_same_job(ann: Client, store: Pool) -> None:
    # Given an account
    rows.active(store)
    # When its sync is asked for twice
    first, second = (ann.post("/api/email/sync").json()["jobId"] for _ in range(2))
    # Then there is one job
    assert first == second
    assert ann.get("/api/email/sync").json()["queueStats"]["total"] == 1


def test_an_account_that_no_login_is_tried_for_is_409_and_says_what_to_do(
    ann: Client, store: Pool
) -> None:
    # Given a paused account, and one whose password is wrong
    paused = rows.active(store, "ann", "a@example.com")
    refused = rows.active(store, "ann", "b@example.com")
    with transaction(store) as connection:
        accounts.pause(connection, "ann", paused.id)
        accounts.set_state(connection, refused, "auth_failed", "The password is wrong.")
    for account, words in ((paused, "resume"), (refused, "password")):
        # When its sync is asked for
        answer = ann.post("/api/email/sync", json={"accountId": account.id})
        # Then the answer says what to do, and there is no job
        assert answer.status_code == 409
        assert words in answer.json()["detail"]
    assert ann.get("/api/email/sync").json()["queueStats"]["total"] == 0


def test_the_statistics_count_each_state(ann: Client, store: Pool) -> None:
    # Given a job that runs and one that waits
    running, waiting = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    with transaction(store) as connection:
        asked = jobs.ask(connection, running.id, "ann", "manual")
        jobs.claim(connection, asked.id, "worker")
        jobs.ask(connection, waiting.id, "ann", "auto")
    # When the statistics are read
    answer = ann.get("/api/email/sync").json()
    # Then they say so, delayed and total included
    assert answer == {
        "success": True,
        "queueStats": {
            "waiting": 1,
            "active": 1,
            "completed": 0,
            "failed": 0,
            "delayed": 0,
            "total": 2,
        },
    }


def test_a_paused_redis_delays_the_answer_by_half_a_second_and_loses_nothing(
    ann: Client, store: Pool, redis_url: str
) -> None:
    # Given an account, and a Redis that takes commands and answers none
    account = rows.active(store)
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(1500)
        # When its sync is asked for
        began = time.monotonic()
        answer = ann.post("/api/email/sync", json={"accountId": account.id})
        took = time.monotonic() - began
        # Then the answer comes soon, and says that the job starts later
        assert took < 1
        assert answer.status_code == 200
        assert answer.json()["message"] == "Sync queued; it starts as soon as the queue answers"
        # And reads do not notice
        began = time.monotonic()
        job = ann.get(f"/api/jobs/{answer.json()['jobId']}").json()
        assert time.monotonic() - began < 0.3
        assert job["state"] == "waiting"


def test_a_redis_that_is_gone_does_not_keep_a_job_from_being_stored(
    settings: ApiSettings,
) -> None:
    # Given an application whose Redis is not there
    nowhere = settings.model_copy(
        update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:1/0")}
    )
    with TestClient(create_app(nowhere)) as client:
        account = rows.active(client.app.state.store)
        # When a sync is asked for
        began = time.monotonic()
        answer = client.post("/api/email/sync", headers=bearer())
        # Then it is stored, and the answer says that it starts later
        assert time.monotonic() - began < 1
        assert answer.json()["message"] == "Sync queued; it starts as soon as the queue answers"
        with transaction(client.app.state.store) as connection:
            (job,) = jobs.list_of_user(
                connection, "ann", account_id=account.id, state=None, before=None, limit=9
            )
        assert job.id == answer.json()["jobId"]


def test_a_schedule_is_set_listed_and_removed_for_all_accounts(ann: Client, store: Pool) -> None:
    # Given two accounts
    both = [rows.active(store, "ann", f"{n}@example.com").id for n in "ab"]
    # When automatic sync is turned on without saying more
    answer = ann.post("/api/email/sync/schedule")
    # Then both are synced every 30 s, as the predecessor did
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["message"] == "Automatic sync every 30 s"
    assert [one["accountId"] for one in answer.json()["schedules"]] == both
    assert {one["every"] for one in answer.json()["schedules"]} == {30}
    for one in answer.json()["schedules"]:
        assert datetime.fromisoformat(one["nextSyncAt"]).tzinfo is not None
    # And the list agrees, until it is turned off
    assert ann.get("/api/email/sync/schedule").json()["schedules"] == answer.json()["schedules"]
    off = ann.delete("/api/email/sync/schedule")
    assert off.status_code == 200
    assert off.json() == {"success": True, "message": "Automatic sync is off", "schedules": []}
    assert ann.get("/api/email/sync/schedule").json() == {"success": True, "schedules": []}


def test_a_schedule_of_one_account_leaves_the_others_alone(ann: Client, store: Pool) -> None:
    # Given two accounts
    first, second = (rows.active(store, "ann", f"{n}@example.com").id for n in "ab")
    # When one of them gets another interval
    answer = ann.post("/api/email/sync/schedule", json={"accountId": first, "every": 600})
    # Then the answer is about that one, and the other is as it was
    assert [(one["accountId"], one["every"]) for one in answer.json()["schedules"]] == [
        (first, 600)
    ]
    listed = ann.get("/api/email/sync/schedule").json()["schedules"]
    assert [(one["accountId"], one["every"]) for one in listed] == [(first, 600), (second, 30)]
    # And it alone can be turned off
    ann.delete(f"/api/email/sync/schedule?accountId={first}")
    listed = ann.get("/api/email/sync/schedule").json()["schedules"]
    assert [one["accountId"] for one in listed] == [second]
