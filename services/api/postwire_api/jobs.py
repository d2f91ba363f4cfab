"""Jobs: what was asked for, what runs, how it ended."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from postwire import model
from postwire.model import JobState
from postwire.store import accounts, jobs
from postwire.store.pool import transaction
from postwire_api import cursors, ids, problems
from postwire_api.cursors import DEFAULT_LIMIT, Cursor, JobPosition, Limit
from postwire_api.parts import Store, User
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
