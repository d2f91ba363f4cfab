"""Accounts: their settings, their state, their schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from postwire.errors import Conflict, NotFound
from postwire.model import Account, AccountId, AccountState, Security
from postwire.store import rows

#: Seconds between automatic looks at a new account, as the predecessor had it.
DEFAULT_EVERY = 30


def add(
    connection: Connection[TupleRow],
    account_id: AccountId,
    *,
    user_id: str,
    address: str,
    host: str,
    port: int,
    security: Security,
    username: str,
    credential: bytes,
    window_days: int | None,
    mailboxes: Sequence[str] | None = None,
    oauth_provider: str | None = None,
) -> Account:
    """A new account, `connecting` until its first login.

    Raises:
        Conflict: the user has an account with that address.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    try:
        cursor.execute(
            """
            INSERT INTO account (id, user_id, address, host, port, security, username, credential,
                                 window_days, mailboxes, oauth_provider, state, sync_every,
                                 next_sync_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'connecting', %s,
                    now() + make_interval(secs => %s))
            RETURNING *
            """,
            [account_id, user_id, address, host, port, security, username, credential,
             window_days, None if mailboxes is None else list(mailboxes),
             oauth_provider, DEFAULT_EVERY, DEFAULT_EVERY],
        )  # fmt: skip
    except UniqueViolation:
        raise Conflict(f"There is an account {address} already.") from None
    return _one(cursor.fetchone())


def make_sure_of_room(connection: Connection[TupleRow], user_id: str, most: int) -> None:
    """See that the user has fewer than `most` accounts, alone until the transaction ends.

    Raises:
        Conflict: in words.
    """
    # Not the seed of the connections' locks, so that the two never wait for each other.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [user_id])
    last = connection.execute(
        "SELECT 1 FROM account WHERE user_id = %s OFFSET %s LIMIT 1", [user_id, most - 1]
    )
    if last.fetchone():
        raise Conflict(f"There may be {most} accounts at most; remove one first.")


def list_of_user(connection: Connection[TupleRow], user_id: str) -> list[Account]:
    """The user's accounts, oldest first."""
    cursor = connection.cursor(row_factory=rows.of(Account))
    return cursor.execute(
        "SELECT * FROM account WHERE user_id = %s ORDER BY created_at, id", [user_id]
    ).fetchall()


def is_known(connection: Connection[TupleRow], user_id: str, address: str) -> bool:
    """Whether the user has an account with that address."""
    found = connection.execute(
        "SELECT 1 FROM account WHERE user_id = %s AND lower(address) = lower(%s)",
        [user_id, address],
    )
    return found.fetchone() is not None


def get_of_user(connection: Connection[TupleRow], user_id: str, account_id: AccountId) -> Account:
    """One account, reached through its owner.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    return _one(
        cursor.execute(
            "SELECT * FROM account WHERE id = %s AND user_id = %s", [account_id, user_id]
        ).fetchone()
    )


def get(connection: Connection[TupleRow], account_id: AccountId) -> Account:
    """One account, whoever owns it; for worker and watcher.

    Raises:
        NotFound: there is none any more.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    return _one(cursor.execute("SELECT * FROM account WHERE id = %s", [account_id]).fetchone())


def set_scope(
    connection: Connection[TupleRow],
    account: Account,
    mailboxes: Sequence[str] | None,
    window_days: int | None,
) -> Account:
    """Change which mailboxes are synced, and how far back; the next sync carries it out."""
    cursor = connection.cursor(row_factory=rows.of(Account))
    return _one(
        cursor.execute(
            """
            UPDATE account SET mailboxes = %s, window_days = %s, revision = revision + 1
             WHERE id = %s
            RETURNING *
            """,
            [None if mailboxes is None else list(mailboxes), window_days, account.id],
        ).fetchone()
    )


def remove(connection: Connection[TupleRow], user_id: str, account_id: AccountId) -> None:
    """Remove the account and everything kept of it.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    removed = connection.execute(
        "DELETE FROM account WHERE id = %s AND user_id = %s", [account_id, user_id]
    )
    if not removed.rowcount:
        raise NotFound("There is no such account.")


def set_state(
    connection: Connection[TupleRow],
    account: Account,
    state: AccountState,
    reason: str | None = None,
) -> Account | None:
    """Move the account to `state`; None where it was there already, for the same reason.

    A paused account stays paused: only `resume` ends that. What a login with an earlier
    credential found says nothing about the present one.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    return cursor.execute(
        """
        UPDATE account
           SET state = %(state)s, state_reason = %(reason)s,
               state_since = CASE state WHEN %(state)s THEN state_since ELSE now() END,
               revision = revision + 1
         WHERE id = %(id)s AND state <> 'paused'
           AND credential_revision = %(credential)s
           AND (state, coalesce(state_reason, '')) <> (%(state)s, coalesce(%(reason)s, ''))
        RETURNING *
        """,
        {
            "id": account.id,
            "credential": account.credential_revision,
            "state": state,
            "reason": reason,
        },
    ).fetchone()


def leave_alone(
    connection: Connection[TupleRow], account_id: AccountId, seconds: float, reason: str
) -> Account | None:
    """Try no login for so long, and say why; None where none is tried anyway."""
    cursor = connection.cursor(row_factory=rows.of(Account))
    return cursor.execute(
        """
        UPDATE account
           SET busy_until = greatest(busy_until, now() + make_interval(secs => %s)),
               state_reason = %s, revision = revision + 1
         WHERE id = %s AND state NOT IN ('paused', 'auth_failed')
        RETURNING *
        """,
        [seconds, reason, account_id],
    ).fetchone()


def pause(connection: Connection[TupleRow], user_id: str, account_id: AccountId) -> Account:
    """Stop all automatic work on the account.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    return _one(
        cursor.execute(
            """
            UPDATE account
               SET state = 'paused', state_reason = NULL, revision = revision + 1,
                   state_since = CASE state WHEN 'paused' THEN state_since ELSE now() END
             WHERE id = %s AND user_id = %s
            RETURNING *
            """,
            [account_id, user_id],
        ).fetchone()
    )


def resume(
    connection: Connection[TupleRow],
    user_id: str,
    account_id: AccountId,
    credential: bytes | None = None,
    oauth_provider: str | None = None,
) -> Account:
    """Let the account be tried again, with a new credential where one is given.

    The provider belongs to the new credential; None: that is a password.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    cursor = connection.cursor(row_factory=rows.of(Account))
    return _one(
        cursor.execute(
            """
            UPDATE account
               SET state = 'connecting', state_reason = NULL, state_since = now(), failures = 0,
                   credential = coalesce(%(credential)s, credential), revision = revision + 1,
                   credential_revision =
                       credential_revision + (%(credential)s::bytea IS NOT NULL)::integer,
                   oauth_provider = CASE WHEN %(credential)s::bytea IS NULL THEN oauth_provider
                                         ELSE %(provider)s END
             WHERE id = %(id)s AND user_id = %(user_id)s
            RETURNING *
            """,
            {
                "credential": credential,
                "provider": oauth_provider,
                "id": account_id,
                "user_id": user_id,
            },
        ).fetchone()
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an account is next looked at by itself; `every` in seconds."""

    account_id: AccountId
    every: int
    next_sync_at: datetime


def set_schedule(
    connection: Connection[TupleRow],
    user_id: str,
    account_id: AccountId | None,
    every: int | None,
) -> list[AccountId]:
    """Look at the user's account, or at all of them, `every` so many seconds; None: never."""
    changed = connection.execute(
        """
        UPDATE account
           SET sync_every = %(every)s,
               next_sync_at = now() + make_interval(secs => coalesce(%(every)s, 0))
         WHERE user_id = %(user_id)s AND (%(account_id)s::uuid IS NULL OR id = %(account_id)s)
        RETURNING id
        """,
        {"every": every, "user_id": user_id, "account_id": account_id},
    )
    return [AccountId(id_) for (id_,) in changed]


def schedules(connection: Connection[TupleRow], user_id: str) -> list[Schedule]:
    """The user's schedules."""
    cursor = connection.cursor(row_factory=rows.of(Schedule))
    return cursor.execute(
        """
        SELECT id AS account_id, sync_every AS every, next_sync_at
          FROM account
         WHERE user_id = %s AND sync_every IS NOT NULL
         ORDER BY created_at, id
        """,
        [user_id],
    ).fetchall()


def take_due(connection: Connection[TupleRow], limit: int) -> list[tuple[AccountId, str]]:
    """Accounts whose time has come, with their owners; each is put off to its next time.

    One whose server wants to be left alone is due when that time is over.

    Several watchers may ask at once: what one has locked, another passes over. The jitter keeps
    accounts that were added together from being looked at together for ever.
    """
    due = connection.execute(
        """
        UPDATE account
           SET next_sync_at = now() + make_interval(secs =>
                   sync_every * (0.9 + 0.2 * random()) * power(2, least(failures, 6)))
         WHERE id IN (SELECT id FROM account
                       WHERE next_sync_at <= now() AND sync_every IS NOT NULL
                         AND state IN ('active', 'unreachable')
                         AND (busy_until IS NULL OR busy_until <= now())
                       ORDER BY next_sync_at
                       LIMIT %s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, user_id
        """,
        [limit],
    )
    return [(AccountId(id_), user_id) for id_, user_id in due]


def looked_at(connection: Connection[TupleRow], account_id: AccountId) -> None:
    """The server was reached and the account is up to date with it."""
    connection.execute(
        "UPDATE account SET last_synced_at = now(), failures = 0 WHERE id = %s", [account_id]
    )


def failed(connection: Connection[TupleRow], account_id: AccountId) -> None:
    """A job of the account was given up; automatic ones come at growing intervals."""
    connection.execute("UPDATE account SET failures = failures + 1 WHERE id = %s", [account_id])


def count_states(connection: Connection[TupleRow]) -> dict[str, int]:
    """How many accounts are in each state, for the metrics."""
    found = connection.execute("SELECT state, count(*) FROM account GROUP BY state")
    return dict(found.fetchall())


def unread_of_user(connection: Connection[TupleRow], user_id: str) -> dict[AccountId, int]:
    """Unread messages in the INBOX of each of the user's accounts (RFC 3501 §5.1)."""
    counted = connection.execute(
        """
        SELECT mailbox.account_id, counted.unread
          FROM account
          JOIN mailbox ON mailbox.account_id = account.id AND upper(mailbox.name) = 'INBOX'
          JOIN mailbox_count AS counted ON counted.mailbox_id = mailbox.id
         WHERE account.user_id = %s AND counted.unread > 0
        """,
        [user_id],
    )
    return {AccountId(id_): unread for id_, unread in counted}


def _one(account: Account | None) -> Account:
    if account is None:
        raise NotFound("There is no such account.")
    return account
