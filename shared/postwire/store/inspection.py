"""What whoever runs Postwire reads of anybody's accounts and jobs; the API never does.

Everywhere else a row is reached through its owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.errors import Conflict, NotFound
from postwire.model import Account, AccountId, AccountState, Job, JobId, JobState, MailboxId
from postwire.store import mailboxes, rows
from postwire.store.mailboxes import Counted

#: Jobs that are told of an account.
_JOBS = 5
_OPEN = ("waiting", "active", "delayed")


@dataclass(frozen=True, slots=True)
class Summary:
    """An account in a list."""

    id: AccountId
    address: str
    user_id: str
    host: str
    state: AccountState
    state_reason: str | None
    state_since: datetime
    last_synced_at: datetime | None
    next_sync_at: datetime | None
    busy_until: datetime | None


def list_accounts(
    connection: Connection[TupleRow],
    *,
    user_id: str | None,
    state: AccountState | None,
    limit: int,
) -> list[Summary]:
    """The accounts of one user or of all, in one state or in any, oldest state first."""
    cursor = connection.cursor(row_factory=rows.of(Summary))
    return cursor.execute(
        """
        SELECT id, address, user_id, host, state, state_reason, state_since, last_synced_at,
               busy_until, CASE WHEN sync_every IS NOT NULL THEN next_sync_at END AS next_sync_at
          FROM account
         WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
           AND (%(state)s::text IS NULL OR state = %(state)s)
         ORDER BY state_since, id
         LIMIT %(limit)s
        """,
        {"user_id": user_id, "state": state, "limit": limit},
    ).fetchall()


def find_account(connection: Connection[TupleRow], which: str) -> Account:
    """The account of that id or address.

    Raises:
        NotFound: there is none.
        Conflict: several users have one of that address; their ids are named.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    found = cursor.execute(
        """
        SELECT * FROM account
         WHERE id = %s::uuid OR lower(address) = lower(%s)
         ORDER BY created_at LIMIT 20
        """,
        [_uuid(which), which],
    ).fetchall()
    if not found:
        raise NotFound("There is no account of that id or address.")
    if len(found) > 1:
        ids = ", ".join(account.id for account in found)
        raise Conflict(f"Several accounts have that address; name one by its id: {ids}.")
    return found[0]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Standing:
    """What goes on around an account; `now` is the database's clock, which all waiting goes by.

    `holder` has its lease, and `alive` says whether that lives; `watched`: it has connected.
    """

    now: datetime
    failures: int
    holder: str | None
    alive: bool
    since: datetime | None
    watched: bool
    watchers: int
    workers: int
    audit_due_at: datetime | None
    #: Whether an audit has begun and goes on with the next scheduled sync.
    audit_begun: bool


def standing(connection: Connection[TupleRow], account_id: AccountId) -> Standing:
    """What goes on around the account, which is there.

    Raises:
        NotFound: it is not.
    """
    cursor = connection.cursor(row_factory=rows.of(Standing))
    found = cursor.execute(
        """
        SELECT now() AS now, failures, nullif(lease.holder, '') AS holder,
               live_process.holder IS NOT NULL AS alive, lease.since,
               coalesce(lease.watched, false) AS watched,
               (SELECT count(*) FROM live_process WHERE kind = 'watcher') AS watchers,
               (SELECT count(*) FROM live_process WHERE kind = 'sync-worker') AS workers,
               audit.due_at AS audit_due_at, coalesce(audit.mailbox_id > 0, false) AS audit_begun
          FROM account
          LEFT JOIN lease ON lease.account_id = account.id
          LEFT JOIN live_process ON live_process.holder = lease.holder
          LEFT JOIN audit ON audit.account_id = account.id
         WHERE account.id = %s
        """,
        [account_id],
    ).fetchone()
    if found is None:
        raise NotFound("There is no such account.")
    return found


@dataclass(frozen=True, slots=True)
class Slot:
    """A connection to the mail server, or one that a process died with."""

    purpose: str
    holder: str
    opened_at: datetime
    alive: bool


def connections(connection: Connection[TupleRow], account_id: AccountId) -> list[Slot]:
    """The account's connections, oldest first."""
    cursor = connection.cursor(row_factory=rows.of(Slot))
    return cursor.execute(
        """
        SELECT purpose, holder, opened_at, live_process.holder IS NOT NULL AS alive
          FROM imap_connection LEFT JOIN live_process USING (holder)
         WHERE account_id = %s
         ORDER BY opened_at
        """,
        [account_id],
    ).fetchall()


def set_aside(connection: Connection[TupleRow], account_id: AccountId) -> Mapping[MailboxId, int]:
    """How many messages of each mailbox are set aside, where there are any."""
    counted = connection.execute(
        """
        SELECT mailbox.id, count(*)
          FROM set_aside JOIN mailbox ON mailbox.id = set_aside.mailbox_id
         WHERE mailbox.account_id = %s AND set_aside.uidvalidity = mailbox.uidvalidity
         GROUP BY mailbox.id
        """,
        [account_id],
    )
    return {MailboxId(id_): count for id_, count in counted}


@dataclass(frozen=True, slots=True)
class HeldJob(Job):
    """A job with who runs it, and until when that counts without a further sign of life."""

    holder: str | None = None
    held_until: datetime | None = None


def list_jobs(
    connection: Connection[TupleRow],
    *,
    account_id: AccountId | None = None,
    state: JobState | None = None,
    older_than: timedelta | None = None,
    limit: int,
) -> list[HeldJob]:
    """The jobs of one account or of all, newest first; `older_than`: asked for longer ago."""
    cursor = connection.cursor(row_factory=rows.of(HeldJob))
    return cursor.execute(
        """
        SELECT * FROM job
         WHERE (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
           AND (%(state)s::text IS NULL OR state = %(state)s)
           AND (%(older_than)s::interval IS NULL OR created_at < now() - %(older_than)s)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s
        """,
        {"account_id": account_id, "state": state, "older_than": older_than, "limit": limit},
    ).fetchall()


def get_job(connection: Connection[TupleRow], job_id: str) -> HeldJob:
    """One job.

    Raises:
        NotFound: there is none of that id.
    """
    cursor = connection.cursor(row_factory=rows.of(HeldJob))
    found = cursor.execute("SELECT * FROM job WHERE id = %s", [JobId(job_id)]).fetchone()
    if found is None:
        raise NotFound("There is no such job, or its history was pruned.")
    return found


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of an account, as of one moment."""

    account: Account
    standing: Standing
    mailboxes: list[Counted]
    set_aside: Mapping[MailboxId, int]
    connections: list[Slot]
    #: The newest first.
    jobs: list[HeldJob]

    @property
    def now(self) -> datetime:
        """The database's clock."""
        return self.standing.now

    @property
    def open_job(self) -> HeldJob | None:
        """The job that waits or runs; there is one at most."""
        return next((job for job in self.jobs if job.state in _OPEN), None)


def facts(connection: Connection[TupleRow], account: Account) -> Facts:
    """What is known of the account."""
    return Facts(
        account=account,
        standing=standing(connection, account.id),
        mailboxes=mailboxes.list_of_account(connection, account.id),
        set_aside=set_aside(connection, account.id),
        connections=connections(connection, account.id),
        jobs=list_jobs(connection, account_id=account.id, limit=_JOBS),
    )


def now(connection: Connection[TupleRow]) -> datetime:
    """The database's clock."""
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None, "a row of its own"  # noqa: S101
    time: datetime = row[0]
    return time


@dataclass(frozen=True, slots=True)
class Crew:
    """How many processes are alive, and what there is for them to do."""

    watchers: int
    workers: int
    accounts: int
    due: int
    #: Seconds that the oldest due job has waited.
    oldest: float


def crew(connection: Connection[TupleRow]) -> Crew:
    """The processes that give signs of life."""
    cursor = connection.cursor(row_factory=rows.of(Crew))
    found = cursor.execute(
        """
        SELECT (SELECT count(*) FROM live_process WHERE kind = 'watcher') AS watchers,
               (SELECT count(*) FROM live_process WHERE kind = 'sync-worker') AS workers,
               (SELECT count(*) FROM account) AS accounts,
               count(*) AS due,
               coalesce(extract(epoch FROM now() - min(run_at)), 0)::float8 AS oldest
          FROM job
         WHERE state IN ('waiting', 'delayed') AND run_at <= now()
        """
    ).fetchone()
    assert found is not None, "counting finds a row"  # noqa: S101
    return found
