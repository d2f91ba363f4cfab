"""Jobs: what was asked for, what runs, how it ended."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK

from postwire import model
from postwire.errors import Conflict
from postwire.model import JobState
from postwire.store import accounts, jobs
from postwire.store.pool import transaction
from postwire_api import cursors, ids, problems, sync
from postwire_api.cursors import DEFAULT_LIMIT, Cursor, JobPosition, Limit
from postwire_api.parts import Queue, Store, User
from postwire_api.schemas import Job, Jobs


@get(
    "/jobs",
    summary="List jobs, newest first",
    responses=problems.documented(_404="There is no such account."),
    sync_to_thread=True,
)
def list_jobs(
    *,
    user: User,
    store: Store,
    account_id: Annotated[str | None, QueryParameter(name="accountId")] = None,
    job_state: Annotated[JobState | None, QueryParameter(name="state")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Jobs:
    """Open ones, and the history of each account: 100 completed and 200 failed jobs."""
    account = ids.account_id(account_id) if account_id is not None else None
    before = cursors.decode(cursor, JobPosition)
    with transaction(store) as connection:
        if account is not None:
            accounts.get_of_user(connection, user, account)
        found = jobs.list_of_user(
            connection,
            user,
            account_id=account,
            state=job_state,
            before=(before.at, before.id) if before else None,
            limit=limit + 1,
        )
    shown, following = cursors.page(found, limit, _position)
    return Jobs(jobs=[Job.of(one) for one in shown], next_cursor=following)


def _position(job: model.Job) -> JobPosition:
    return JobPosition(job.created_at, job.id)


@get(
    "/jobs/{job_id:str}",
    summary="Read a job",
    responses=problems.documented(_404="There is no such job, or its history was pruned."),
    sync_to_thread=True,
)
def read_job(user: User, store: Store, job_id: FromPath[str]) -> Job:
    """An automatic sync that found nothing leaves no job behind."""
    with transaction(store) as connection:
        return Job.of(jobs.get_of_user(connection, user, ids.job_id(job_id)))


@post(
    "/jobs/{job_id:str}/cancel",
    summary="Cancel a job",
    status_code=HTTP_200_OK,
    responses=problems.documented(_404="There is no such job.", _409="The job has ended already."),
    sync_to_thread=True,
)
def cancel_job(user: User, store: Store, job_id: FromPath[str]) -> Job:
    """It counts as failed. One that runs stops within seconds, and keeps what it has stored."""
    with transaction(store) as connection:
        return Job.of(jobs.cancel(connection, user, ids.job_id(job_id)))


@post(
    "/jobs/{job_id:str}/retry",
    summary="Try a failed job again",
    status_code=HTTP_200_OK,
    responses=problems.documented(
        _404="There is no such job.",
        _409="The job has not failed, the account is paused, or its login was refused.",
    ),
    sync_to_thread=True,
)
def retry_job(user: User, store: Store, queue: Queue, job_id: FromPath[str]) -> Job:
    """Ask for a sync of its account, and answer the account's open job: a new one, as a rule."""
    with transaction(store) as connection:
        failed = jobs.get_of_user(connection, user, ids.job_id(job_id))
        if failed.state != "failed":
            raise Conflict("The job has not failed.")
        sync.refuse(accounts.get_of_user(connection, user, failed.account_id).state)
        asked = jobs.ask(connection, failed.account_id, user, "manual")
        opened = jobs.get_of_user(connection, user, asked.id)
    queue.enqueue([asked])
    return Job.of(opened)
