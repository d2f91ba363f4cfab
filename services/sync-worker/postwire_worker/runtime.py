"""What worker and watcher hold open while they live; made once, handed down."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import redis

from postwire import events, keys
from postwire.broker import Broker
from postwire.credentials import Keyring
from postwire.errors import ServerBusy
from postwire.jobs import make_broker, make_redis
from postwire.model import Account, AccountState
from postwire.oauth import Providers, make_providers
from postwire.settings import DialerSettings, WatcherSettings, WorkerSettings
from postwire.store import accounts
from postwire.store.pool import Pool, make_pool, transaction
from postwire_worker.budget import Budget
from postwire_worker.dialer import Dialer
from postwire_worker.imap import make_ssl_context
from postwire_worker.proxy import make_proxy


@dataclass(frozen=True, slots=True)
class Runtime:
    """Pool, broker and keys; `holder` names this process in rows it holds.

    `runs` are the names under which its runs hold what they do, each for itself: what has ended in
    whatever way is held no longer, and is swept up. Those that `lost` their job, and all of them
    once it is `stopping`, end with their batch.
    """

    pool: Pool
    redis: redis.Redis
    broker: Broker
    keyring: Keyring
    dialer: Dialer
    holder: str
    budget: Budget
    providers: Providers = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)
    #: How long after its audit an account is audited again; None: it is not. Held while one is.
    audit_every: timedelta | None = None
    auditing: threading.Lock = field(default_factory=threading.Lock)

    def password(self, account: Account) -> str:
        """The password of an account that has one.

        Raises:
            CredentialUnreadable, KeyMissing: it cannot be opened with the keys that are set.
        """
        return self.keyring.open(account.id, account.credential)

    def move(self, account: Account, state: AccountState, reason: str | None = None) -> None:
        """Commit the account's new state, then tell it."""
        with transaction(self.pool) as connection:
            moved = accounts.set_state(connection, account, state, reason)
        if moved:
            events.publish(self.redis, events.of_state(moved))

    def leave_alone(self, account: Account, busy: ServerBusy) -> None:
        """Commit that no login is tried for as long as the server asks, then tell it."""
        with transaction(self.pool) as connection:
            left = accounts.leave_alone(connection, account.id, busy.retry_after, str(busy))
        if left:
            events.publish(self.redis, events.of_state(left))

    def close(self) -> None:
        """Let everything go."""
        self.pool.close()
        self.broker.close()
        self.redis.close()


def make_dialer(settings: DialerSettings) -> Dialer:
    """The way to mail servers and token endpoints, as the operator has set it.

    Raises:
        SettingsError: the file of authorities cannot be used.
    """
    proxy = make_proxy(settings.mail_proxy.get_secret_value()) if settings.mail_proxy else None
    return Dialer(make_ssl_context(settings.imap_ca_file), settings.allowed_networks, proxy)


def make_runtime(
    settings: WorkerSettings | WatcherSettings, connections: int, audit_hours: float = 0
) -> Runtime:
    """The runtime of one process, with so many database connections at most.

    Raises:
        SettingsError: a setting that looked right cannot be used.
    """
    keyring = settings.keyring()
    client = make_redis(settings.redis_url.get_secret_value())
    pool = make_pool(
        settings.database_url.get_secret_value(), connections, prepare=settings.database_prepare
    )
    keys.check_at_start(pool, keyring)
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    return Runtime(
        pool=pool,
        redis=client,
        broker=make_broker(client),
        keyring=keyring,
        dialer=make_dialer(settings),
        holder=holder,
        budget=Budget(pool, holder, settings.host_connections or None),
        providers=make_providers(settings.oauth_providers.get_secret_value()),
        audit_every=timedelta(hours=audit_hours) if audit_hours else None,
    )
