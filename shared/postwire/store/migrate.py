"""Apply the numbered migrations; `python -m postwire.store.migrate`.

yoyo knows which were applied. Its own lock is a row that a killed run leaves behind, so an
advisory lock guards instead: PostgreSQL drops it with the connection.
"""

from __future__ import annotations

import sys
from importlib.resources import as_file, files

import psycopg
import structlog
from psycopg.rows import TupleRow
from yoyo import get_backend, read_migrations

from postwire import log
from postwire.errors import SettingsError, StoreUnavailable
from postwire.settings import MigrateSettings, load
from postwire.store import server, threads

#: Any constant will do, as long as every release uses the same.
_LOCK = 0x706F737477697265
_SCHEME = "postgresql://"


def migrate(url: str) -> list[str]:
    """Bring the database up to date; return the ids of the migrations applied now.

    Raises:
        StoreUnavailable: the database does not answer, and why.
        SettingsError: `url` is no address of a database.
    """
    server.look(url)
    driver_url = "postgresql+psycopg://" + url.removeprefix(_SCHEME)
    with (
        psycopg.connect(url, autocommit=True, connect_timeout=10) as guard,
        as_file(files("postwire") / "migrations") as folder,
    ):
        guard.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        backend = get_backend(driver_url)
        try:
            pending = backend.to_apply(read_migrations(str(folder)))
            backend.apply_migrations(pending)
            _catch_up(guard)
            return [migration.id for migration in pending]
        finally:
            backend.connection.close()


def _catch_up(connection: psycopg.Connection[TupleRow]) -> None:
    """Give messages of older releases their threads, in short transactions while others work."""
    for account_id in threads.behind(connection):
        more = True
        while more:
            with connection.transaction():
                more = threads.catch_up(connection, account_id)


def main() -> int:
    """Migrate the database that the settings name."""
    try:
        settings = load(MigrateSettings)
    except SettingsError as error:
        sys.stderr.write(f"postwire migrate: {error}\n")
        return 2
    log.set_up(settings.log_level, "migrate")
    try:
        applied = migrate(settings.database_url.get_secret_value())
    except (SettingsError, StoreUnavailable) as error:
        sys.stderr.write(f"postwire migrate: {error}\n")
        return 1
    structlog.get_logger().info("the schema is up to date", applied=applied)
    return 0


if __name__ == "__main__":
    sys.exit(main())
