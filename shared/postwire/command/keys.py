"""`postwire keys`: what credentials are sealed with, and changing that while everything runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click

from postwire import keys as sealing
from postwire.command.console import about, as_json, out, say
from postwire.command.database import opened
from postwire.credentials import Keyring, Kind
from postwire.errors import StoreUnavailable
from postwire.keys import KINDS, Rotation
from postwire.settings import KeysSettings, load
from postwire.store.pool import Pool

#: Seconds between two words on how far it is.
_EVERY = 1.0


@contextmanager
def opened_with_keys() -> Iterator[tuple[Pool, Keyring]]:
    """The database and the keys that the settings name.

    Raises:
        SettingsError: a key is another one than that which was used.
        StoreUnavailable, NotMigrated: as `opened`.
    """
    settings = load(KeysSettings)
    keyring = settings.keyring()
    with opened(settings.database_url) as pool:
        sealing.check(pool, keyring)
        yield pool, keyring


@click.group(
    help=about(
        "The keys that credentials are sealed with.\n\nSee docs/keys.md.",
        "postwire keys status",
        "postwire keys rotate",
    )
)
def keys() -> None:
    """Group what there is to do with keys."""


@keys.command(
    help=about(
        "Say how much is sealed with which key.\n\nA key that nothing is sealed with may go; one "
        "that is not set locks its accounts out until it is.",
        "postwire keys status",
        "postwire keys status --json",
    )
)
@click.option("--json", "json_", is_flag=True, help="For machines.")
def status(*, json_: bool) -> int:
    """Count it."""
    with opened_with_keys() as (pool, keyring):
        found = _counted(pool, keyring)
        if json_:
            as_json([_row(id_, counted, keyring) for id_, counted in found.items()])
        else:
            _write(found, keyring)
    return 0


@keys.command(
    help=about(
        "Seal everything with the key that seals now, while all runs on.\n\nIt may be stopped and "
        "run again at any time. Exit code 1: some accounts are left as they were, and named.",
        "postwire keys rotate",
    )
)
def rotate() -> int:
    """Seal it."""
    with opened_with_keys() as (pool, keyring):
        try:
            rotation = sealing.rotate(pool, keyring, _progress())
        except StoreUnavailable as error:
            say(f"postwire: {error} What was done stays done; run it again.")
            return 1
        say(f"{rotation.done} accounts were sealed again with the key {keyring.current}.")
        for account_id, why in rotation.unreadable.items():
            say(f"account {account_id} stays as it is: {why}")
        for account_id in rotation.busy:
            say(f"account {account_id} was in use all the time; run it again.")
        _write(_counted(pool, keyring), keyring)
        return 1 if rotation.unreadable or rotation.busy else 0


def _counted(pool: Pool, keyring: Keyring) -> dict[str | None, Counter[Kind]]:
    found = sealing.status(pool)
    ids = sorted({*found, *keyring.keys}, key=str)
    return {id_: found.get(id_, Counter[Kind]()) for id_ in ids}


def _row(id_: str | None, counted: Counter[Kind], keyring: Keyring) -> Mapping[str, object]:
    return {"key": id_, **{kind: counted[kind] for kind in KINDS}, "is": _about(id_, keyring)}


def _write(found: Mapping[str | None, Counter[Kind]], keyring: Keyring) -> None:
    lines = [("key", *(f"{kind}s" for kind in KINDS), "")]
    for id_, counted in found.items():
        lines.append((id_ or "-", *(str(counted[kind]) for kind in KINDS), _about(id_, keyring)))
    for key, *numbers, about_it in lines:
        columns = "".join(f"{number:>18}" for number in numbers)
        out(f"{key:<20}{columns}  {about_it}".rstrip())


def _about(id_: str | None, keyring: Keyring) -> str:
    if id_ is None:
        return "no sealed credentials"
    if id_ not in keyring.keys:
        return "not set"
    return "seals" if id_ == keyring.current else ""


def _progress() -> Callable[[Rotation], None]:
    told = time.monotonic()

    def tell(rotation: Rotation) -> None:
        nonlocal told
        if time.monotonic() > told + _EVERY:
            told = time.monotonic()
            say(f"{rotation.done} accounts done, {len(rotation.unreadable)} cannot be opened")

    return tell
