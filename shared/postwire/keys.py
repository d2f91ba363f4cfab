"""Changing the key that credentials are sealed with, while everything runs.

An account is sealed again in one short transaction. What was done is known by its key's id, so
one that was interrupted goes on where it stopped, and several at once do the work of one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from postwire.credentials import Keyring, Kind, key_id, prefix
from postwire.errors import CredentialUnreadable, KeyMissing, SettingsError, StoreUnavailable
from postwire.model import AccountId
from postwire.store import sealed
from postwire.store.pool import Pool, transaction
from postwire.store.sealed import Secrets

#: Accounts that are looked up at once.
_BATCH = 200
#: Seconds to wait for accounts that are in use all the time, and between two looks at them.
PATIENCE = 180.0
_LOOK = 1.0

#: What came of sealing an account again.
_Outcome: TypeAlias = Literal["done", "busy"] | CredentialUnreadable | KeyMissing

KINDS: tuple[Kind, ...] = ("password", "refresh token", "access token")


@dataclass(slots=True)
class Rotation:
    """How far it is: accounts that were sealed again, or stay as they are for a reason."""

    done: int = 0
    unreadable: dict[AccountId, str] = field(default_factory=dict)
    #: Accounts that were in use whenever they were looked at.
    busy: set[AccountId] = field(default_factory=set)


def rotate(pool: Pool, keyring: Keyring, tell: Callable[[Rotation], None]) -> Rotation:
    """Seal everything with the keyring's current key; `tell` is called after each account.

    Raises:
        StoreUnavailable: the database does not answer; what was done stays done.
    """
    rotation = Rotation()
    until = time.monotonic() + PATIENCE
    while True:
        rotation.busy.clear()
        for account_id in _behind(pool, keyring):
            if account_id not in rotation.unreadable:
                _note(rotation, account_id, _one(pool, keyring, account_id))
                tell(rotation)
        if not rotation.busy or time.monotonic() > until:
            return rotation
        time.sleep(_LOOK)


def _behind(pool: Pool, keyring: Keyring) -> Iterator[AccountId]:
    last: AccountId | None = None
    while True:
        with transaction(pool) as connection:
            found = sealed.behind(connection, prefix(keyring.current), last, _BATCH)
        yield from found
        if len(found) < _BATCH:
            return
        last = found[-1]


def _note(rotation: Rotation, account_id: AccountId, outcome: _Outcome) -> None:
    match outcome:
        case "done":
            rotation.done += 1
        case "busy":
            rotation.busy.add(account_id)
        case CredentialUnreadable() | KeyMissing():
            rotation.unreadable[account_id] = str(outcome)


def _one(pool: Pool, keyring: Keyring, account_id: AccountId) -> _Outcome:
    """Seal the account's secrets again, unless somebody else has them right now."""
    with transaction(pool) as connection:
        old = sealed.lock(connection, account_id)
        if old is None or old.held:
            return "busy"
        try:
            new = _again(keyring, account_id, old)
        except (CredentialUnreadable, KeyMissing) as error:
            return error
        return "done" if sealed.replace(connection, account_id, old, new) else "busy"


def _again(keyring: Keyring, account_id: AccountId, old: Secrets) -> Secrets:
    """The same secrets, sealed with the current key."""

    def again(secret: bytes, kind: Kind) -> bytes:
        return keyring.seal(account_id, keyring.open(account_id, secret, kind), kind)

    new = replace(old, credential=again(old.credential, _kind_of(old)), access_token=None)
    if old.refresh_token:
        new = replace(new, refresh_token=again(old.refresh_token, "refresh token"))
    try:
        return replace(new, access_token=old.access_token and again(old.access_token, KINDS[2]))
    except (CredentialUnreadable, KeyMissing):
        # Without it, the next login asks for another.
        return new


def status(pool: Pool) -> dict[str | None, Counter[Kind]]:
    """How much of each kind is sealed with which key; None: with nothing that is known."""
    with transaction(pool) as connection:
        counted = sealed.count(connection)
    found: dict[str | None, Counter[Kind]] = {}
    for (begin, kind), number in counted.items():
        found.setdefault(key_id(begin), Counter())[kind] += number
    return found


def check(pool: Pool, keyring: Keyring) -> None:
    """Refuse a key that opens nothing of what a key of its id has sealed.

    Raises:
        SettingsError: there is such a key; with it, every account would be locked out.
        StoreUnavailable: the database does not answer.
    """
    for id_ in keyring.keys:
        with transaction(pool) as connection:
            found = sealed.some(connection, prefix(id_))
        if found and not any(_opens(keyring, account_id, one) for account_id, one in found):
            raise SettingsError(
                f"the key {id_} is another one than that which credentials were sealed with; "
                "set that one again, or give the new one another id"
            )


def check_at_start(pool: Pool, keyring: Keyring) -> None:
    """As `check`; where the database does not answer yet, the process starts without.

    Raises:
        SettingsError: a key is another one than that which was used.
    """
    with suppress(StoreUnavailable):
        check(pool, keyring)


def _opens(keyring: Keyring, account_id: AccountId, one: Secrets) -> bool:
    try:
        keyring.open(account_id, one.credential, _kind_of(one))
    except CredentialUnreadable:
        return False
    return True


def _kind_of(secrets: Secrets) -> Kind:
    return "refresh token" if secrets.oauth_provider else "password"
