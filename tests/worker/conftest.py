"""A worker's runtime on real servers, and accounts of fresh users on a real Dovecot."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

from postwire.credentials import make_keyring
from postwire.jobs import make_broker, make_redis
from postwire.model import Account, AccountId, Security
from postwire.store import accounts
from postwire.store.pool import make_pool, transaction
from postwire_worker.budget import Budget
from postwire_worker.runtime import Runtime
from support.dovecot import Dovecot
from support.mailbox import MailUser, trusting
from support.sso import Sso
from support.tinyproxy import Tinyproxy
from support.tinyproxy import tinyproxy as run_tinyproxy

# The same examples each time, so that a failure is a change's; and no clock, for the machine is
# shared: what must not take long is tested by itself.
settings.register_profile("postwire", derandomize=True, database=None, deadline=None)
if settings.get_current_profile_name() != "long":
    settings.load_profile("postwire")

#: 32 zero bytes: it seals nothing worth keeping.
KEYS = f"k1:{'A' * 43}="


@pytest.fixture
def runtime(database_url: str, redis_url: str, dovecot: Dovecot) -> Iterator[Runtime]:
    """What a worker holds open; it trusts the tests' own certificate."""
    client = make_redis(redis_url)
    pool, holder = make_pool(database_url, 8), f"test:{uuid.uuid4().hex}"
    runtime = Runtime(
        pool=pool,
        redis=client,
        broker=make_broker(client),
        keyring=make_keyring(KEYS),
        dialer=trusting(dovecot),
        holder=holder,
        budget=Budget(pool, holder),
    )
    yield runtime
    runtime.close()


def unsaved(
    host: str, port: int, *, security: Security = "none", username: str = "robin"
) -> Account:
    """An account that is in no database."""
    now = datetime.now(UTC)
    return Account(
        id=AccountId(str(uuid.uuid4())),
        user_id="owner",
        address="robin@postwire.example",
        host=host,
        port=port,
        security=security,
        username=username,
        credential=b"",
        window_days=None,
        state="connecting",
        state_reason=None,
        state_since=now,
        sync_every=None,
        next_sync_at=now,
        last_synced_at=None,
        epoch=1,
        revision=0,
        created_at=now,
    )


@dataclass(frozen=True, slots=True)
class Accounts:
    """Adds accounts to the database."""

    runtime: Runtime
    dovecot: Dovecot

    def add(
        self,
        user: MailUser,
        *,
        owner: str = "owner",
        password: str | None = None,
        host: str | None = None,
        port: int | None = None,
        security: Security = "none",
        window_days: int | None = 30,
        grant: str | None = None,
    ) -> Account:
        """An account for the mail user, `connecting` still; by the `grant` of `corp`, if any."""
        account_id = AccountId(str(uuid.uuid4()))
        seal = self.runtime.keyring.seal
        secret = self.dovecot.password if password is None else password
        ports = {"tls": self.dovecot.tls_port}
        with transaction(self.runtime.pool) as connection:
            return accounts.add(
                connection,
                account_id,
                user_id=owner,
                address=user.name,
                host=host or self.dovecot.host,
                port=port or ports.get(security, self.dovecot.port),
                security=security,
                username=user.name,
                credential=seal(account_id, grant, "refresh token")
                if grant
                else seal(account_id, secret),
                window_days=window_days,
                oauth_provider="corp" if grant else None,
            )

    def get(self, account: Account) -> Account:
        """The account as it is now."""
        with transaction(self.runtime.pool) as connection:
            return accounts.get(connection, account.id)


@pytest.fixture
def user(dovecot: Dovecot) -> MailUser:
    """A mail user with empty mailboxes."""
    return MailUser(dovecot, dovecot.new_user())


@pytest.fixture
def add_account(runtime: Runtime, dovecot: Dovecot) -> Accounts:
    """Adds accounts to the database."""
    return Accounts(runtime, dovecot)


@pytest.fixture
def tinyproxy(tinyproxy_program: str, tmp_path: Path) -> Iterator[Tinyproxy]:
    """An own proxy, which wants a user name and a password."""
    with run_tinyproxy(tinyproxy_program, tmp_path) as proxy:
        yield proxy


@pytest.fixture
def oauth_runtime(runtime: Runtime, sso: Sso, oauth_dovecot: Dovecot) -> Runtime:
    """A runtime that knows the provider `corp`."""
    return replace(runtime, providers=sso.providers, dialer=trusting(oauth_dovecot))


@pytest.fixture
def oauth_accounts(oauth_runtime: Runtime, oauth_dovecot: Dovecot) -> Accounts:
    """Adds accounts on the Dovecot that takes the provider's tokens."""
    return Accounts(oauth_runtime, oauth_dovecot)


@pytest.fixture
def granter(oauth_dovecot: Dovecot) -> MailUser:
    """A mail user there."""
    return MailUser(oauth_dovecot, oauth_dovecot.new_user())


@pytest.fixture(params=["with every extension", "with none"])
def server(request: pytest.FixtureRequest, dovecot: Dovecot) -> Dovecot:
    """Dovecot as it is, and one that announces nothing of use to a sync."""
    if request.param == "with every extension":
        return dovecot
    elder: Dovecot = request.getfixturevalue("elder_dovecot")
    return elder


@pytest.fixture
def owner(server: Dovecot) -> MailUser:
    """A mail user of either server."""
    return MailUser(server, server.new_user())
