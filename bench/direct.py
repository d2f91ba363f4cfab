"""A worker's syncs without the queue around them, in this process and thread."""

from __future__ import annotations

import logging
import select
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from postwire.credentials import make_keyring
from postwire.jobs import make_broker, make_redis
from postwire.model import Account, AccountId
from postwire.store import accounts, audits
from postwire.store.pool import Pool, make_pool, transaction
from postwire_worker import audit
from postwire_worker.budget import Budget
from postwire_worker.idle import Idle
from postwire_worker.imap import connect
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.dovecot import Dovecot
from support.local import local_dialer
from support.mailbox import MailUser
from support.system import run_stores

#: Made once, as in a worker: making one takes longer than a sync.
_DIALER = local_dialer()
_KEYS = make_keyring(f"k1:{'A' * 43}=")
#: Seconds until a server must have answered.
_ANSWER = 10.0


@contextmanager
def servers() -> Iterator[tuple[str, Dovecot]]:
    """The URL of a migrated PostgreSQL, and Dovecot; what is logged is no part of the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with run_stores() as (_, database, server):
        yield database, server


@contextmanager
def pooled(database: str) -> Iterator[Pool]:
    """Connections as a worker has them."""
    pool = make_pool(database, 2)
    try:
        yield pool
    finally:
        pool.close()


def add_account(pool: Pool, user: MailUser) -> Account:
    """The user's account, with all its mailboxes and no window."""
    account_id = AccountId(str(uuid.uuid4()))
    with transaction(pool) as connection:
        return accounts.add(
            connection,
            account_id,
            user_id="bench",
            address=user.name,
            host=user.server.host,
            port=user.server.port,
            security="none",
            username=user.name,
            credential=_KEYS.seal(account_id, user.server.password),
            window_days=None,
            mailboxes=["*"],
        )


def run(pool: Pool, account: Account, *, audited: bool = False) -> None:
    """Connect, one sync, and the audit after it."""
    password = _KEYS.open(account.id, account.credential)
    with connect(account, password, _DIALER, "sync") as session:
        for _ in sync(session, pool, account):
            pass
        if audited:
            for _ in audit.take(session, _runtime(pool), account, "auto"):
                pass


@contextmanager
def idling(account: Account) -> Iterator[Callable[[], None]]:
    """A connection as a watcher keeps it; what is yielded renews IDLE once."""
    password = _KEYS.open(account.id, account.credential)
    with connect(account, password, _DIALER, "idle") as session:
        session.select("INBOX")
        connection, ahead = session.idle_socket()
        idle = Idle(connection, ahead, "other")

        def until_it_waits() -> None:
            while not idle.waits:
                if not select.select([connection], [], [], _ANSWER)[0]:
                    raise TimeoutError("The mail server does not answer IDLE")
                idle.read()

        def renew() -> None:
            idle.renew()
            until_it_waits()

        until_it_waits()
        yield renew


def let_audit_be_due(pool: Pool, account: Account) -> None:
    """As if a day had gone by since the last one."""
    with transaction(pool) as connection:
        audits.take_due(connection, account.id, timedelta(0))
        connection.execute("UPDATE audit SET due_at = now()")


def lose_one_in_a_thousand(pool: Pool) -> None:
    """As a mistake of ours might."""
    with transaction(pool) as connection:
        connection.execute("DELETE FROM placement WHERE uid % 1000 = 999")


def _runtime(pool: Pool) -> Runtime:
    """What an audit needs of a worker; it tells nobody, so there is no Redis."""
    client = make_redis("redis://localhost")
    return Runtime(
        pool,
        client,
        make_broker(client),
        _KEYS,
        _DIALER,
        "bench",
        Budget(pool, "bench"),
        audit_every=timedelta(1),
    )
