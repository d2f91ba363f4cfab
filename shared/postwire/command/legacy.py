"""`postwire import-legacy`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click

from postwire.command.console import about, fill, out, plain, say
from postwire.command.keys import opened_with_keys
from postwire.errors import SettingsError
from postwire.importing import COLUMNS, Line, Reader, read_database, read_file, take_over

#: The variable with the secret of the predecessor's passwords.
_SECRET = "LEGACY_SECRET"  # noqa: S105 - its name


@click.command(
    help=about(
        "Take over the predecessor's accounts (docs/keys.md).\n\nAll of them or, where anything is "
        "wrong, none. Accounts that are known already are skipped. The secret that the passwords "
        f"were encrypted with is read from the variable {_SECRET}, or a file; the database's "
        "password may come from PGPASSWORD or ~/.pgpass.",
        "postwire import-legacy accounts.csv --secret-file secret --dry-run",
        "postwire import-legacy --database postgresql://reader@host/crm --secret-file secret",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--database", metavar="URL", help="The predecessor's own PostgreSQL.")
@click.option("--table", default="email_accounts", show_default=True, help="Its table there.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=NAME",
    help="Where a field is; may be repeated. Else: "
    + ", ".join(f"{name}={column}" for name, column in COLUMNS.items()),
)
@click.option("--user", metavar="ID", help="Who owns accounts that name no user.")
@click.option(
    "--secret-file", type=click.Path(path_type=Path), help="A file with the secret, in one line."
)
@click.option("--dry-run", is_flag=True, help="Store nothing, only say what would be.")
def import_legacy(
    *,
    file: Path | None,
    database: str | None,
    table: str,
    columns: tuple[str, ...],
    user: str | None,
    secret_file: Path | None,
    dry_run: bool,
) -> int:
    """Read it and take it over."""
    if (file is None) == (database is None):
        raise click.UsageError("Give either FILE or --database.")
    reader = Reader(_columns(columns), _secret(secret_file), user)
    rows = read_database(database, table, reader.columns) if database else read_file(file or Path())
    try:
        with opened_with_keys() as (pool, keyring):
            return _report(take_over(pool, keyring, reader, rows, dry_run=dry_run))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None


def _columns(given: tuple[str, ...]) -> dict[str, str]:
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
        out(
            fill(
                plain(f"line {line.number}: {line.address or '-'}: {mark}{line.what}"),
                indent=2,
                first=0,
            )
        )
    counted = Counter("wrong" if line.wrong else line.what for line in lines)
    say(", ".join(f"{number} {what}" for what, number in counted.items()) or "there is no account")
    if counted["wrong"]:
        say("nothing was changed")
    return 1 if counted["wrong"] or not lines else 0
