"""Jobs: the truth about what waits, runs and ended; Redis only carries their ids.

A job is `waiting`, then `active` in the hands of a holder that proves every few seconds that it
lives, then `completed` or `failed`; between attempts it is `delayed`. An id may be delivered any
number of times: only `claim` lets a run begin.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import Connection
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from psycopg.rows import TupleRow

from postwire.errors import Conflict, NotFound
from postwire.model import AccountId, Job, JobId, JobState, Reason
from postwire.store import rows

#: Seconds after which a holder that gave no sign is taken for dead.
HOLD = 20
#: Seconds a due job may wait before it counts as stranded and is queued again.
STRANDED = 15
#: How many attempts a job has in all.
ATTEMPTS = 3
#: Finished jobs kept of each account.
KEEP_COMPLETED = 100
KEEP_FAILED = 200
#: How many jobs of the same queue are to run up to this one, itself included.
_POSITION: LiteralString = """
    CASE WHEN state = 'waiting' THEN (
        SELECT count(*) FROM job AS before
         WHERE before.state = 'waiting' AND before.queue = job.queue
           AND (before.run_at, before.id) <= (job.run_at, job.id)) END AS position
"""
#: Milliseconds tried for an id, until the clash of ids is no accident any more.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """The account's open job, and whether its id has to be put on a queue now."""

    id: JobId
    enqueue: bool
    queue: str


def ask(
    connection: Connection[TupleRow], account_id: AccountId, user_id: str, reason: Reason
) -> Asked:
    """The open job of the account, opened where there is none.

    One that runs already is asked to look once more when it has finished, for it may be past the
    point where it would have seen what this call is about. A manual request does not wait for a
    backoff or behind the machine: its job is moved to the manual queue.

    Raises:
        NotFound: the account is gone.
    """
    now = time.time_ns() // 1_000_000
    for ms in range(now, now + _TRIES):
        # Two who ask in the same millisecond propose the same id, and so does who asks right
        # after a job ended: then it is another millisecond's. The savepoint outlives the clash.
        proposed = JobId(f"sync-{account_id}-{ms}")
        try:
            with suppress(UniqueViolation), connection.transaction():
                return _ask(connection, proposed, account_id, user_id, reason)
        except ForeignKeyViolation:
            raise NotFound("The account was removed.") from None
    raise Conflict(f"The account {account_id} was asked for too often at once.")


def _ask(
    connection: Connection[TupleRow],
    proposed: JobId,
    account_id: AccountId,
    user_id: str,
    reason: Reason,
) -> Asked:
    row = connection.execute(
        """
        INSERT INTO job AS open (id, account_id, user_id, reason, state)
        VALUES (%(id)s, %(account_id)s, %(user_id)s, %(reason)s, 'waiting')
        ON CONFLICT (account_id) WHERE state IN ('waiting', 'active', 'delayed') DO UPDATE
           SET again = open.again OR open.state = 'active',
               reason = CASE %(reason)s WHEN 'manual' THEN 'manual' ELSE open.reason END,
               made_way = open.made_way AND %(reason)s <> 'manual',
               run_at = CASE %(reason)s WHEN 'manual' THEN now() ELSE open.run_at END,
               state = CASE WHEN %(reason)s = 'manual' AND open.state = 'delayed' THEN 'waiting'
                            ELSE open.state END
        RETURNING id, state, queue
        """,
        {"id": proposed, "account_id": account_id, "user_id": user_id, "reason": reason},
    ).fetchone()
    assert row is not None, "an upsert returns its row"  # noqa: S101
    id_, state, queue = row
    opened = id_ == proposed
    return Asked(JobId(id_), opened or (reason == "manual" and state == "waiting"), queue)


def ask_all(
    connection: Connection[TupleRow],
    account_ids: Sequence[AccountId],
    user_id: str,
    reason: Reason,
) -> list[Asked]:
    """The open jobs of several accounts of one user, in the order of `account_ids`."""
    # Asked for in one order by everyone, so that no two transactions wait for each other.
    asked = {id_: ask(connection, id_, user_id, reason) for id_ in sorted(account_ids)}
    return [asked[id_] for id_ in account_ids]


def claim(connection: Connection[TupleRow], job_id: JobId, holder: str) -> Job | None:
    """The job, now in the hands of `holder`; None where it is not due, ended, or held alive."""
    cursor = connection.cursor(row_factory=rows.of(Job))
    return cursor.execute(
        """
        UPDATE job
           SET attempts = attempts + (state = 'active')::integer,
               state = 'active', again = false, holder = %(holder)s,
               held_until = now() + make_interval(secs => %(hold)s),
               started_at = coalesce(started_at, now())
         WHERE id = %(id)s
           AND (state IN ('waiting', 'delayed') AND run_at <= now() + interval '1 second'
                OR state = 'active'
                   AND held_until NOT BETWEEN now() AND now() + interval '1 minute')
        RETURNING *
        """,
        {"id": job_id, "holder": holder, "hold": HOLD},
    ).fetchone()


def hold(connection: Connection[TupleRow], holders: Sequence[str]) -> set[str]:
    """`holders` live: what they have stays their own for another `HOLD` seconds.

    Returns:
        those that have a job; the others lost theirs, or it was cancelled.
    """
    held = connection.execute(
        """
        UPDATE job SET held_until = now() + make_interval(secs => %s)
         WHERE holder = ANY(%s) AND state = 'active'
        RETURNING holder
        """,
        [HOLD, list(holders)],
    )
    return {holder for (holder,) in held}


def finish(
    connection: Connection[TupleRow], job: Job, holder: str, *, found: int, more: bool
) -> JobState | None:
    """The run ended well; the state the job has now, or None where it was no longer `holder`'s.

    It waits again where somebody asked meanwhile, or where there is `more` to do: that it does
    behind the others. An automatic run that found nothing leaves no history.
    """
    row = connection.execute(
        """
        UPDATE job
           SET state = CASE WHEN again OR %(more)s THEN 'waiting' ELSE 'completed' END,
               found = found + %(found)s, attempts = 0, error = NULL,
               holder = NULL, held_until = NULL, run_at = now(),
               finished_at = CASE WHEN again OR %(more)s THEN NULL ELSE now() END,
               made_way = NOT again AND (made_way OR %(more)s), again = false
         WHERE id = %(id)s AND holder = %(holder)s AND state = 'active'
        RETURNING state, reason, found
        """,
        {"id": job.id, "holder": holder, "found": found, "more": more},
    ).fetchone()
    if row is None:
        return None
    state: JobState = row[0]
    _, reason, found_in_all = row
    if state == "completed":
        if reason == "auto" and not found_in_all:
            connection.execute("DELETE FROM job WHERE id = %s", [job.id])
        else:
            _prune(connection, job.account_id, "completed", KEEP_COMPLETED)
    return state


def postpone(
    connection: Connection[TupleRow], job: Job, holder: str, reason: str, delay: float
) -> JobState | None:
    """It was too early for an attempt, for that reason; the job is tried in `delay` seconds."""
    row = connection.execute(
        """
        UPDATE job
           SET state = 'delayed', error = %(reason)s, again = false,
               holder = NULL, held_until = NULL, run_at = now() + make_interval(secs => %(delay)s)
         WHERE id = %(id)s AND holder = %(holder)s AND state = 'active'
        RETURNING state
        """,
        {"id": job.id, "holder": holder, "reason": reason, "delay": delay},
    ).fetchone()
    return None if row is None else row[0]


def put_off(
    connection: Connection[TupleRow], job: Job, holder: str, error: str, delay: float
) -> JobState | None:
    """The attempt failed; the job is tried again after `delay` seconds, or it was the last one."""
    return _failed_attempt(connection, job, holder, error, delay, limit=ATTEMPTS)


def give_up(connection: Connection[TupleRow], job: Job, holder: str, error: str) -> JobState | None:
    """The attempt failed in a way that another would not mend."""
    return _failed_attempt(connection, job, holder, error, 0, limit=1)


def _failed_attempt(
    connection: Connection[TupleRow], job: Job, holder: str, error: str, delay: float, *, limit: int
) -> JobState | None:
    row = connection.execute(
        """
        UPDATE job
           SET attempts = attempts + 1, error = %(error)s, again = false,
               holder = NULL, held_until = NULL,
               state = CASE WHEN attempts + 1 < %(limit)s THEN 'delayed'
                            WHEN again THEN 'waiting' ELSE 'failed' END,
               run_at = now() + make_interval(secs => %(delay)s),
               finished_at = CASE WHEN attempts + 1 >= %(limit)s AND NOT again THEN now() END
         WHERE id = %(id)s AND holder = %(holder)s AND state = 'active'
        RETURNING state
        """,
        {"id": job.id, "holder": holder, "error": error, "delay": delay, "limit": limit},
    ).fetchone()
    if row is None:
        return None
    state: JobState = row[0]
    if state == "failed":
        _prune(connection, job.account_id, "failed", KEEP_FAILED)
    return state


def _prune(
    connection: Connection[TupleRow], account_id: AccountId, state: JobState, keep: int
) -> None:
    connection.execute(
        """
        DELETE FROM job
         WHERE id IN (SELECT id FROM job WHERE account_id = %s AND state = %s
                       ORDER BY finished_at DESC OFFSET %s)
        """,
        [account_id, state, keep],
    )


def cancel(connection: Connection[TupleRow], user_id: str, job_id: JobId) -> Job:
    """End an open job of the user; a run that has it stops after its batch.

    Raises:
        NotFound: there is none, or it is somebody else's.
        Conflict: it has ended already.
    """
    cursor = connection.cursor(row_factory=rows.of(Job))
    job = cursor.execute(
        """
        UPDATE job SET state = 'failed', error = 'Cancelled.', again = false,
                       holder = NULL, held_until = NULL, finished_at = now()
         WHERE id = %s AND user_id = %s AND state IN ('waiting', 'active', 'delayed')
        RETURNING *
        """,
        [job_id, user_id],
    ).fetchone()
    if job is None:
        get_of_user(connection, user_id, job_id)
        raise Conflict("The job has ended already.")
    _prune(connection, job.account_id, "failed", KEEP_FAILED)
    return job


@dataclass(frozen=True, slots=True)
class Stranded:
    """A job that nobody runs although it is due; `failed` where it is not to be tried again."""

    id: JobId
    account_id: AccountId
    queue: str
    state: JobState


def sweep_dead(connection: Connection[TupleRow], limit: int) -> list[Stranded]:
    """Jobs whose holder died, which is a failed attempt: a job may be what its workers die of.

    A hold that ends far off was taken before the database's clock was set back.
    """
    cursor = connection.cursor(row_factory=rows.of(Stranded))
    return cursor.execute(
        """
        UPDATE job
           SET swept_at = now(), run_at = now(), holder = NULL, held_until = NULL, again = false,
               attempts = attempts + 1, error = 'The worker that ran it died.',
               state = CASE WHEN again OR attempts + 1 < %(limit)s THEN 'waiting' ELSE 'failed' END,
               finished_at = CASE WHEN NOT again AND attempts + 1 >= %(limit)s THEN now() END
         WHERE id IN (SELECT id FROM job
                       WHERE state = 'active'
                         AND held_until NOT BETWEEN now() AND now() + interval '1 minute'
                       ORDER BY run_at
                       LIMIT %(many)s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, account_id, queue, state
        """,
        {"limit": ATTEMPTS, "many": limit},
    ).fetchall()


def sweep_lost(connection: Connection[TupleRow], queue: str, limit: int) -> list[Stranded]:
    """Jobs of `queue` that may be lost on the way; each is left in peace for a while now.

    When a job was due stays as it is: how long it has waited is what workers are scaled by.
    """
    cursor = connection.cursor(row_factory=rows.of(Stranded))
    return cursor.execute(
        """
        UPDATE job SET swept_at = now()
         WHERE id IN (SELECT id FROM job
                       WHERE state IN ('waiting', 'delayed') AND queue = %s
                         AND greatest(run_at, swept_at) < now() - make_interval(secs => %s)
                       ORDER BY run_at
                       LIMIT %s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, account_id, queue, state
        """,
        [queue, STRANDED, limit],
    ).fetchall()


def count_due(connection: Connection[TupleRow], queue: str) -> int:
    """How many jobs of `queue` are due, and nobody runs them."""
    row = connection.execute(
        """
        SELECT count(*) FROM job
         WHERE state IN ('waiting', 'delayed') AND run_at <= now() AND queue = %s
        """,
        [queue],
    ).fetchone()
    return int(row[0]) if row else 0


def let_go(connection: Connection[TupleRow], holder: str) -> list[Stranded]:
    """What `holder` runs waits again: it is about to end."""
    cursor = connection.cursor(row_factory=rows.of(Stranded))
    return cursor.execute(
        """
        UPDATE job SET state = 'waiting', run_at = now(), holder = NULL, held_until = NULL
         WHERE holder = %s AND state = 'active'
        RETURNING id, account_id, queue, state
        """,
        [holder],
    ).fetchall()


def stats(connection: Connection[TupleRow], user_id: str) -> dict[JobState, int]:
    """How many of the user's jobs are in each state."""
    counts: dict[JobState, int] = dict.fromkeys(
        ("waiting", "active", "completed", "failed", "delayed"), 0
    )
    counted = connection.execute(
        "SELECT state, count(*) FROM job WHERE user_id = %s GROUP BY state", [user_id]
    )
    counts.update(dict(counted.fetchall()))
    return counts


@dataclass(frozen=True, slots=True)
class Depth:
    """How many open jobs one queue has in one state, and the age of the oldest due one, in s."""

    queue: str
    state: JobState
    jobs: int
    oldest: float


def depths(connection: Connection[TupleRow]) -> list[Depth]:
    """The open jobs of all accounts, for the metrics."""
    cursor = connection.cursor(row_factory=rows.of(Depth))
    return cursor.execute(
        """
        SELECT queue, state, count(*) AS jobs,
               greatest(extract(epoch FROM now() - min(run_at)), 0)::float8 AS oldest
          FROM job
         WHERE state IN ('waiting', 'active', 'delayed')
         GROUP BY 1, 2
        """
    ).fetchall()


def get_of_user(connection: Connection[TupleRow], user_id: str, job_id: JobId) -> Job:
    """One job, reached through its owner.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    cursor = connection.cursor(row_factory=rows.of(Job))
    job = cursor.execute(
        f"SELECT job.*, {_POSITION} FROM job WHERE id = %s AND user_id = %s",  # noqa: S608
        [job_id, user_id],
    ).fetchone()
    if job is None:
        raise NotFound("There is no such job.")
    return job


def list_of_user(
    connection: Connection[TupleRow],
    user_id: str,
    *,
    account_id: AccountId | None,
    state: JobState | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Job]:
    """The user's jobs, newest first; `before` is the (created_at, id) of the last one seen."""
    created_at, id_ = before or (None, None)
    cursor = connection.cursor(row_factory=rows.of(Job))
    return cursor.execute(
        f"""
        SELECT job.*, {_POSITION}
          FROM job
         WHERE user_id = %(user_id)s
           AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
           AND (%(state)s::text IS NULL OR state = %(state)s)
           AND (%(created_at)s::timestamptz IS NULL
                OR (created_at, id) < (%(created_at)s, %(id)s))
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s
        """,  # noqa: S608
        {"user_id": user_id, "account_id": account_id, "state": state,
         "created_at": created_at, "id": id_, "limit": limit},
    ).fetchall()  # fmt: skip
