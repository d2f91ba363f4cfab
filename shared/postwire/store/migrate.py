"""Apply the numbered migrations while all else runs; `python -m postwire.store.migrate`.

yoyo knows which were applied. Its own lock is a row that a killed run leaves behind, so an
advisory lock guards instead: PostgreSQL drops it with the connection. What others wait for in
vain while a migration waits for its locks is bounded; docs/upgrade.md says what one may do.
"""

from __future__ import annotations

import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

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
#: Seconds another run is waited for, and between two looks.
_OTHERS, _LOOK = 900.0, 0.2
#: Milliseconds a migration waits for a lock: whoever comes after it waits as long.
_LOCK_WAIT = 1000
#: Seconds between two tries; no transaction of ours lasts half as long (store/pool.py).
_PAUSES = (1, 2, 4, 8, 16, 32)
_IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_SCHEME = "postgresql://"


def migrate(url: str) -> list[str]:
    """Bring the database up to date; return the ids of the migrations applied now.

    Raises:
        StoreUnavailable: the database does not answer, and why; or another run, or another's
            transaction, was in the way for too long.
        SettingsError: `url` is no address of a database.
    """
    server.look(url)
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as guard:
        _wait_for_others(guard)
        with as_file(files("postwire") / "migrations") as folder:
            applied = _apply_pending(url, folder)
        _catch_up(guard)
        return applied


def _wait_for_others(guard: psycopg.Connection[TupleRow]) -> None:
    # Not pg_advisory_lock: who waits in a statement holds a snapshot, and an index that is built
    # CONCURRENTLY by who has the lock would wait for that.
    deadline = time.monotonic() + _OTHERS
    while guard.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise StoreUnavailable("Another run of the migrations does not come to its end.")
        time.sleep(_LOOK)


def _apply_pending(url: str, folder: Path) -> list[str]:
    backend = get_backend("postgresql+psycopg://" + url.removeprefix(_SCHEME))
    try:
        backend.ensure_internal_schema_updated()
        backend.execute(f"SET lock_timeout = {_LOCK_WAIT}")
        pending = backend.to_apply(read_migrations(str(folder)))
        for migration in pending:
            _apply(backend, migration)
        return [migration.id for migration in pending]
    finally:
        backend.connection.close()


def _apply(backend: Any, migration: Any) -> None:
    """Apply it as often as somebody is in its way, with pauses in which all go on."""
    logger = structlog.get_logger().bind(migration=migration.id)
    for pause in (*_PAUSES, None):
        started = time.monotonic()
        try:
            _apply_once(backend, migration)
        except _IN_THE_WAY as error:
            if pause is None:
                words = f"{migration.id} gets no lock: a long transaction is in its way."
                raise StoreUnavailable(words) from error
            logger.warning("somebody is in the way", again_in=pause, error=str(error))
            time.sleep(pause)
        else:
            logger.info("migrated", seconds=round(time.monotonic() - started, 3))
            return


def _apply_once(backend: Any, migration: Any) -> None:
    migration.load()
    if not migration.use_transactions:
        # On a connection of its own that waits for as long as it takes; it must bear a second try.
        backend.apply_one(migration)
        return
    # yoyo would note it in another transaction: killed between the two, it would apply it again.
    with backend.transaction():
        migration.process_steps(backend, "apply")
        backend.mark_one(migration)


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
        log.set_up(settings.log_level, "migrate")
        applied = migrate(settings.database_url.get_secret_value())
    except (SettingsError, StoreUnavailable) as error:
        sys.stderr.write(f"postwire migrate: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    structlog.get_logger().info("the schema is up to date", applied=applied)
    return 0


if __name__ == "__main__":
    sys.exit(main())
