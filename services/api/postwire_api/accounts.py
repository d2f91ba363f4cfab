"""Mail accounts: add, list, pause, resume, change the credential, remove."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from uuid import uuid4

from litestar import delete, get, post, put
from litestar.concurrency import sync_to_thread
from litestar.exceptions import ClientException
from litestar.params import FromPath, RequestBody
from litestar.status_codes import HTTP_200_OK

from postwire import events, model, oauth
from postwire.credentials import Keyring
from postwire.errors import AuthenticationFailed, ConnectionLost, StoreUnavailable
from postwire.model import AccountId
from postwire.store import accounts, jobs, oauth_tokens
from postwire.store.jobs import Asked
from postwire.store.pool import Pool, transaction
from postwire_api import ids, problems
from postwire_api.parts import Keys, MostAccounts, Providers, Queue, Store, User
from postwire_api.schemas import Account, Accounts, Grant, NewAccount, NewCredential

#: Seconds that adding an account waits for its first login, and between two looks at it.
_PATIENCE = 15.0
_LOOK = 0.15

_NONE = "There is no such account."


@post(
    "/accounts",
    summary="Add a mail account",
    costly=True,
    responses=problems.documented(
        _409="The caller has an account with that address, or as many as there may be.",
        _413=problems.TOO_LONG,
        _422="The mail server refused the login, or could not be reached; nothing was kept.",
    ),
)
async def add_account(
    *,
    user: User,
    store: Store,
    queue: Queue,
    keyring: Keys,
    providers: Providers,
    most_accounts: MostAccounts,
    data: RequestBody[NewAccount],
) -> Account:
    """Store the account, and wait up to 15 s for its first login.

    The answer is the account once it is `active`. One that is still `connecting` after that time
    is answered as it is: an event says how it went on.
    """
    _check_provider(providers, data.oauth)
    account, asked = await sync_to_thread(_add, store, keyring, user, data, most_accounts)
    queue.enqueue([asked])
    account = await _settled(store, account)
    if account.state in ("auth_failed", "unreachable"):
        await sync_to_thread(_remove, store, user, account.id)
        queue.forget(account.id)
        raise _refusal(account)
    return await sync_to_thread(_shown, store, account)


def _check_provider(providers: oauth.Providers, grant: Grant | None) -> None:
    if grant and grant.provider not in providers:
        known = ", ".join(sorted(providers)) or "none"
        raise ClientException(f"provider: not known here; those that are: {known}.")


def _seal(keyring: Keyring, account_id: AccountId, data: NewAccount | NewCredential) -> bytes:
    if data.oauth:
        return keyring.seal(account_id, data.oauth.refresh_token, "refresh token")
    # Without one, there is a password: the schema has seen to it.
    return keyring.seal(account_id, data.password or "")


def _add(
    store: Pool, keyring: Keyring, user: str, data: NewAccount, most: int
) -> tuple[model.Account, Asked]:
    id_ = AccountId(str(uuid4()))
    with transaction(store) as connection:
        accounts.make_sure_of_room(connection, user, most)
        account = accounts.add(
            connection,
            id_,
            user_id=user,
            address=data.address,
            host=data.host,
            port=data.port,
            security=data.security,
            username=data.username or data.address,
            credential=_seal(keyring, id_, data),
            oauth_provider=data.oauth.provider if data.oauth else None,
            window_days=data.window_days,
            mailboxes=data.mailboxes,
        )
        return account, jobs.ask(connection, id_, user, "manual")


async def _settled(store: Pool, account: model.Account) -> model.Account:
    """The account once its first login ended, or as it is when the patience does."""
    until = time.monotonic() + _PATIENCE
    while account.state == "connecting" and time.monotonic() < until:
        await asyncio.sleep(_LOOK)
        with suppress(StoreUnavailable):  # the account is stored; that has to be answered
            account = await sync_to_thread(_get, store, account.user_id, account.id)
    return account


def _refusal(account: model.Account) -> AuthenticationFailed | ConnectionLost:
    kind = AuthenticationFailed if account.state == "auth_failed" else ConnectionLost
    return kind(account.state_reason or "")


def _get(store: Pool, user: str, account_id: AccountId) -> model.Account:
    with transaction(store) as connection:
        return accounts.get_of_user(connection, user, account_id)


def _remove(store: Pool, user: str, account_id: AccountId) -> None:
    with transaction(store) as connection:
        accounts.remove(connection, user, account_id)


def _shown(store: Pool, account: model.Account) -> Account:
    with transaction(store) as connection:
        unread = accounts.unread_of_user(connection, account.user_id)
    return Account.of(account, unread.get(account.id, 0))


@get(
    "/accounts",
    summary="List the accounts",
    responses=problems.documented(),
    sync_to_thread=True,
)
def list_accounts(user: User, store: Store) -> Accounts:
    """All accounts of the caller, oldest first."""
    with transaction(store) as connection:
        mine = accounts.list_of_user(connection, user)
        unread = accounts.unread_of_user(connection, user)
    return Accounts(accounts=[Account.of(account, unread.get(account.id, 0)) for account in mine])


@get(
    "/accounts/{account_id:str}",
    summary="Read an account",
    responses=problems.documented(_404=_NONE),
    sync_to_thread=True,
)
def read_account(user: User, store: Store, account_id: FromPath[str]) -> Account:
    """One account of the caller."""
    return _shown(store, _get(store, user, ids.account_id(account_id)))


@delete(
    "/accounts/{account_id:str}",
    summary="Remove an account",
    responses=problems.documented(_404=_NONE),
    sync_to_thread=True,
)
def remove_account(user: User, store: Store, queue: Queue, account_id: FromPath[str]) -> None:
    """Remove the account with everything kept of it; the mail server keeps what it has."""
    id_ = ids.account_id(account_id)
    _remove(store, user, id_)
    queue.forget(id_)


@post(
    "/accounts/{account_id:str}/pause",
    summary="Pause an account",
    status_code=HTTP_200_OK,
    responses=problems.documented(_404=_NONE),
    sync_to_thread=True,
)
def pause_account(user: User, store: Store, queue: Queue, account_id: FromPath[str]) -> Account:
    """Nothing is synced any more, by schedule or on demand, until it is resumed."""
    with transaction(store) as connection:
        account = accounts.pause(connection, user, ids.account_id(account_id))
    queue.publish(events.of_state(account))
    return _shown(store, account)


@post(
    "/accounts/{account_id:str}/resume",
    summary="Resume an account",
    costly=True,
    status_code=HTTP_200_OK,
    responses=problems.documented(_404=_NONE),
    sync_to_thread=True,
)
def resume_account(user: User, store: Store, queue: Queue, account_id: FromPath[str]) -> Account:
    """Try the login again, whatever state the account is in; an event says how it went."""
    return _resume(store, queue, user, ids.account_id(account_id))


@put(
    "/accounts/{account_id:str}/credential",
    summary="Change how an account is logged in to",
    costly=True,
    responses=problems.documented(_404=_NONE, _413=problems.TOO_LONG),
    sync_to_thread=True,
)
def change_credential(
    *,
    user: User,
    store: Store,
    queue: Queue,
    keyring: Keys,
    providers: Providers,
    account_id: FromPath[str],
    data: RequestBody[NewCredential],
) -> Account:
    """Keep the new password or OAuth grant, and try it; an event says how it went."""
    _check_provider(providers, data.oauth)
    id_ = ids.account_id(account_id)
    provider = data.oauth.provider if data.oauth else None
    return _resume(store, queue, user, id_, credential=_seal(keyring, id_, data), provider=provider)


def _resume(
    store: Pool,
    queue: Queue,
    user: str,
    account_id: AccountId,
    *,
    credential: bytes | None = None,
    provider: str | None = None,
) -> Account:
    with transaction(store) as connection:
        account = accounts.resume(connection, user, account_id, credential, provider)
        oauth_tokens.forget(connection, account)
        asked = jobs.ask(connection, account_id, user, "manual")
    queue.publish(events.of_state(account))
    queue.enqueue([asked])
    return _shown(store, account)
