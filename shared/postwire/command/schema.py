"""`postwire migrate`."""

from __future__ import annotations

import click

from postwire.command.console import about, out
from postwire.settings import MigrateSettings, load
from postwire.store import migrate as migrations


@click.command(
    help=about(
        "Bring the schema of the database up to date.\n\nBefore the processes of a new release "
        "start; those of the release before may go on meanwhile. Several at once wait for each "
        "other, and one that was stopped may be run again.",
        "postwire migrate",
        "docker compose run --rm migrate postwire migrate",
    )
)
def migrate() -> int:
    """Apply what is missing."""
    applied = migrations.migrate(load(MigrateSettings).database_url.get_secret_value())
    for name in applied:
        out(f"applied {name}")
    out("the schema is up to date")
    return 0
