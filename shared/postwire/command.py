"""The command `postwire`: what whoever runs Postwire does by hand."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from postwire import keys, log
from postwire.credentials import Keyring, Kind
from postwire.errors import Conflict, NotFound, SettingsError, StoreUnavailable
from postwire.importing import COLUMNS, Line, Reader, read_database, read_file, take_over
from postwire.keys import KINDS, Rotation
from postwire.settings import KeysSettings, load
from postwire.store import migrate
from postwire.store.pool import Pool, make_pool

_HELP = """\
Looks after the database of a Postwire installation.

  postwire migrate           bring the schema up to date
  postwire keys status       what is sealed with which key
  postwire keys rotate       seal everything with the key that seals now, while all runs on
  postwire import-legacy     take over the predecessor's accounts, from a file or its database

Settings are read from POSTWIRE_* as by every process: POSTWIRE_DATABASE_URL, and
POSTWIRE_CREDENTIAL_KEYS or POSTWIRE_CREDENTIAL_KEYS_DIR. See docs/keys.md.
Exit code: 0 done, 1 something is left to do, 2 settings or arguments will not do.
"""

#: The variable with the secret of the predecessor's passwords.
_SECRET = "LEGACY_SECRET"  # noqa: S105 - its name
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
    except (StoreUnavailable, NotFound, Conflict) as error:
        _say(f"postwire: {error} What was committed stays; run it again.")
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
    _add_import(commands.add_parser("import-legacy", help="take over the predecessor's accounts"))
    return parser


def _add_import(parser: ArgumentParser) -> None:
    columns = ", ".join(f"{name}={column}" for name, column in COLUMNS.items())
    parser.description = (
        "Takes over the predecessor's accounts: all of them or, where anything is wrong, none. "
        "Accounts that are known already are skipped. The secret that the passwords were encrypted "
        f"with is read from the variable {_SECRET}, or a file; the database's password may "
        "come from PGPASSWORD or ~/.pgpass."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="CSV with a header, or JSON lines"
    )
    where.add_argument("--database", metavar="URL", help="the predecessor's own PostgreSQL")
    parser.add_argument("--table", default="email_accounts", help="there (%(default)s)")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=NAME",
        help=f"where a field is; may be repeated. Else: {columns}",
    )
    parser.add_argument("--user", metavar="ID", help="who owns accounts that name no user")
    parser.add_argument("--secret-file", type=Path, metavar="FILE", help="the secret, in one line")
    parser.add_argument(
        "--dry-run", action="store_true", help="store nothing, only say what would be"
    )
    parser.set_defaults(run=_import)


def _with_keys(work: Callable[[Pool, Keyring], int]) -> Callable[[Namespace], int]:
    def run(_: Namespace) -> int:
        settings = load(KeysSettings)
        log.set_up(settings.log_level, "command")
        keyring = settings.keyring()
        with make_pool(
            settings.database_url.get_secret_value(), 1, prepare=settings.database_prepare
        ) as pool:
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


def _import(arguments: Namespace) -> int:
    reader = Reader(_columns(arguments.column), _secret(arguments.secret_file), arguments.user)
    if arguments.database:
        rows = read_database(arguments.database, arguments.table, reader.columns)
    else:
        rows = read_file(arguments.file)

    def work(pool: Pool, keyring: Keyring) -> int:
        return _report(take_over(pool, keyring, reader, rows, dry_run=arguments.dry_run))

    try:
        return _with_keys(work)(arguments)
    except OSError as error:
        raise SettingsError(f"{arguments.file}: cannot be read: {error.strerror}") from None


def _columns(given: list[str]) -> dict[str, str]:
    columns = dict(COLUMNS)
    for one in given:
        name, equals, column = one.partition("=")
        if name not in columns or not (equals and column):
            raise SettingsError(f"--column: write FIELD=NAME; fields are {', '.join(columns)}")
        columns[name] = column
    return columns


def _secret(file: Path | None) -> str:
    try:
        secret = file.read_text().removesuffix("\n") if file else os.environ.get(_SECRET, "")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"--secret-file: {file} cannot be read as text") from None
    if not secret:
        raise SettingsError(f"set {_SECRET} to the predecessor's secret, or give --secret-file")
    return secret


def _report(lines: list[Line]) -> int:
    for line in lines:
        mark = "WRONG " if line.wrong else ""
        sys.stdout.write(f"line {line.number}: {line.address or '-'}: {mark}{line.what}\n")
    counted = Counter("wrong" if line.wrong else line.what for line in lines)
    _say(", ".join(f"{number} {what}" for what, number in counted.items()) or "there is no account")
    if counted["wrong"]:
        _say("nothing was changed")
    return 1 if counted["wrong"] or not lines else 0


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    sys.exit(main())
