"""Sync on demand and by schedule, under the predecessor's paths and in its shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from litestar import delete, get, post
from litestar.concurrency import sync_to_thread
from litestar.params import QueryParameter, RequestBody
from litestar.status_codes import HTTP_200_OK

from postwire.errors import Conflict, NotFound, QueueUnavailable
from postwire.model import AccountState, JobState
from postwire.store import accounts, jobs
from postwire.store.jobs import Asked
from postwire.store.pool import Pool, transaction
from postwire_api import ids, problems
from postwire_api.parts import Queue, Store, User
from postwire_api.schemas import (
    AskedStats,
    QueueStats,
    Schedule,
    ScheduleRequest,
    Schedules,
    SchedulesChanged,
    SyncAsked,
    SyncRequest,
    SyncStats,
)

#: Seconds the answer waits for Redis. The job is a row by then, so the wait is a courtesy.
_PATIENCE = 0.5

#: What to do about an account that no login is tried for.
_REFUSED = {
    "paused": "The account is paused; resume it first.",
    "auth_failed": "The mail server refused the login; enter the password again, or resume.",
}


@post(
    "/email/sync",
    summary="Sync now",
    costly=True,
    status_code=HTTP_200_OK,
    responses=problems.documented(
        _404="There is no such account.",
        _409="The account is paused, or its login was refused.",
        _413=problems.TOO_LONG,
    ),
)
async def ask_for_sync(
    user: User,
    store: Store,
    queue: Queue,
    data: RequestBody[SyncRequest | None] = None,
) -> SyncAsked:
    """Ask for a sync of one account, or of all of the caller's.

    An account has at most one open job: asking again returns it. Without `accountId`, accounts
    that are paused or whose login was refused are passed over; where none is left, `jobIds` is
    empty and `jobId` null. The jobs are stored before the answer; while the queue does not
    answer, `message` says so, and they start when it does.
    """
    asked, stats = await sync_to_thread(_ask, store, user, (data or SyncRequest()).account_id)
    told = await _told(queue, asked)
    return SyncAsked(
        job_id=asked[0].id if asked else None,
        job_ids=[job.id for job in asked],
        message=_message(asked, told=told),
        queue_stats=AskedStats(
            waiting=stats["waiting"],
            active=stats["active"],
            completed=stats["completed"],
            failed=stats["failed"],
        ),
    )


def _ask(store: Pool, user: str, account_id: str | None) -> tuple[list[Asked], dict[JobState, int]]:
    with transaction(store) as connection:
        if account_id is None:
            mine = accounts.list_of_user(connection, user)
            wanted = [account for account in mine if account.state not in _REFUSED]
        else:
            wanted = [accounts.get_of_user(connection, user, ids.account_id(account_id))]
            refuse(wanted[0].state)
        asked = jobs.ask_all(connection, [account.id for account in wanted], user, "manual")
        return asked, jobs.stats(connection, user)


def refuse(state: AccountState) -> None:
    """Let nothing be asked of a mail server that no login is tried at.

    Raises:
        Conflict: what to do about it, in words.
    """
    if reason := _REFUSED.get(state):
        raise Conflict(reason)


async def _told(queue: Queue, asked: Sequence[Asked]) -> bool:
    try:
        await asyncio.wait_for(asyncio.wrap_future(queue.enqueue(asked)), _PATIENCE)
    except (QueueUnavailable, TimeoutError):
        return False
    return True


def _message(asked: Sequence[Asked], *, told: bool) -> str:
    if not asked:
        return "There is no account to sync"
    if told:
        return "Sync queued successfully"
    return "Sync queued; it starts as soon as the queue answers"


@get(
    "/email/sync",
    summary="Count the jobs",
    responses=problems.documented(),
    sync_to_thread=True,
)
def read_sync_stats(user: User, store: Store) -> SyncStats:
    """How many of the caller's jobs are in which state."""
    with transaction(store) as connection:
        stats = jobs.stats(connection, user)
    return SyncStats(queue_stats=QueueStats(**stats, total=sum(stats.values())))


@post(
    "/email/sync/schedule",
    summary="Sync automatically",
    status_code=HTTP_200_OK,
    responses=problems.documented(_404="There is no such account.", _413=problems.TOO_LONG),
    sync_to_thread=True,
)
def set_schedule(
    user: User, store: Store, data: RequestBody[ScheduleRequest | None] = None
) -> SchedulesChanged:
    """Sync one account, or all of the caller's, `every` so many seconds."""
    wanted = data or ScheduleRequest()
    changed = _reschedule(store, user, wanted.account_id, wanted.every)
    return SchedulesChanged(
        message=f"Automatic sync every {wanted.every} s",
        schedules=[Schedule.of(schedule) for schedule in changed],
    )


@get(
    "/email/sync/schedule",
    summary="List the schedules",
    responses=problems.documented(),
    sync_to_thread=True,
)
def list_schedules(user: User, store: Store) -> Schedules:
    """Those of all accounts of the caller that are synced automatically."""
    with transaction(store) as connection:
        schedules = accounts.schedules(connection, user)
    return Schedules(schedules=[Schedule.of(one) for one in schedules])


@delete(
    "/email/sync/schedule",
    summary="Stop syncing automatically",
    status_code=HTTP_200_OK,
    responses=problems.documented(_404="There is no such account."),
    sync_to_thread=True,
)
def remove_schedule(
    user: User,
    store: Store,
    account_id: Annotated[str | None, QueryParameter(name="accountId")] = None,
) -> SchedulesChanged:
    """One account, or all of the caller's, are synced on demand only."""
    _reschedule(store, user, account_id, None)
    return SchedulesChanged(message="Automatic sync is off", schedules=[])


def _reschedule(
    store: Pool, user: str, account_id: str | None, every: int | None
) -> list[accounts.Schedule]:
    only = None if account_id is None else ids.account_id(account_id)
    with transaction(store) as connection:
        changed = accounts.set_schedule(connection, user, only, every)
        if only is not None and not changed:
            raise NotFound("There is no such account.")
        schedules = accounts.schedules(connection, user)
    return [schedule for schedule in schedules if schedule.account_id in changed]
