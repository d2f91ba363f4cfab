"""The command `postwire`: what whoever runs Postwire does by hand."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable

from postwire import keys, log
from postwire.credentials import Keyring, Kind
from postwire.errors import SettingsError, StoreUnavailable
from postwire.keys import KINDS, Rotation
from postwire.settings import KeysSettings, load
from postwire.store import migrate
from postwire.store.pool import Pool, make_pool

_HELP = """\
Looks after the database of a Postwire installation.

  postwire migrate           bring the schema up to date
  postwire keys status       what is sealed with which key
  postwire keys rotate       seal everything with the key that seals now, while all runs on

Settings are read from POSTWIRE_* as by every process: POSTWIRE_DATABASE_URL, and
POSTWIRE_CREDENTIAL_KEYS or POSTWIRE_CREDENTIAL_KEYS_DIR. See docs/keys.md.
Exit code: 0 done, 1 something is left to do, 2 settings or arguments will not do.
"""

#: Seconds between two words on how far it is.
_EVERY = 1.0


def main() -> int:
    """Do what the arguments say; return the exit code."""
    arguments = _parser().parse_args()
    try:
        code: int = arguments.run(arguments)
    except SettingsError as error:
        _say(f"postwire: {error}")
        return 2
    except StoreUnavailable as error:
        _say(f"postwire: {error} What was done stays done; run it again.")
        return 1
    except KeyboardInterrupt:
        _say("postwire: stopped. What was done stays done; run it again.")
        return 130
    return code


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "postwire",
        description=_HELP,
        formatter_class=RawDescriptionHelpFormatter,
        usage="postwire COMMAND",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("migrate", help="bring the schema up to date")
    one.set_defaults(run=lambda _: migrate.main())
    group = commands.add_parser("keys", help="the keys that credentials are sealed with")
    of_keys = group.add_subparsers(required=True, metavar="status|rotate")
    one = of_keys.add_parser("status", help="what is sealed with which key")
    one.set_defaults(run=_with_keys(_status))
    one = of_keys.add_parser("rotate", help="seal everything with the key that seals now")
    one.set_defaults(run=_with_keys(_rotate))
    return parser


def _with_keys(work: Callable[[Pool, Keyring], int]) -> Callable[[Namespace], int]:
    def run(_: Namespace) -> int:
        settings = load(KeysSettings)
        log.set_up(settings.log_level, "command")
        keyring = settings.keyring()
        with make_pool(settings.database_url.get_secret_value(), 1) as pool:
            keys.check(pool, keyring)
            return work(pool, keyring)

    return run


def _status(pool: Pool, keyring: Keyring) -> int:
    found = keys.status(pool)
    lines = [("key", *(f"{kind}s" for kind in KINDS), "")]
    for id_ in sorted({*found, *keyring.keys}, key=str):
        counted = found.get(id_, Counter[Kind]())
        lines.append(
            (id_ or "-", *(str(counted.get(kind, 0)) for kind in KINDS), _about(id_, keyring))
        )
    for key, *numbers, about in lines:
        columns = "".join(f"{number:>18}" for number in numbers)
        sys.stdout.write(f"{key:<20}{columns}  {about}".rstrip() + "\n")
    return 0


def _about(id_: str | None, keyring: Keyring) -> str:
    if id_ is None:
        return "no sealed credentials"
    if id_ not in keyring.keys:
        return "not set"
    return "seals" if id_ == keyring.current else ""


def _rotate(pool: Pool, keyring: Keyring) -> int:
    rotation = keys.rotate(pool, keyring, _progress())
    _say(f"{rotation.done} accounts were sealed again with the key {keyring.current}.")
    for account_id, why in rotation.unreadable.items():
        _say(f"account {account_id} stays as it is: {why}")
    for account_id in rotation.busy:
        _say(f"account {account_id} was in use all the time; run it again.")
    _status(pool, keyring)
    return 1 if rotation.unreadable or rotation.busy else 0


def _progress() -> Callable[[Rotation], None]:
    told = time.monotonic()

    def tell(rotation: Rotation) -> None:
        nonlocal told
        if time.monotonic() > told + _EVERY:
            told = time.monotonic()
            _say(f"{rotation.done} accounts done, {len(rotation.unreadable)} cannot be opened")

    return tell


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    sys.exit(main())
