"""What an update says of locks; the update itself needs an older release: `make update`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from chaos.update import Locks
from support.processes import eventually


def test_a_lock_that_a_migration_holds_is_seen_and_so_is_who_waits_for_it(
    database_url: str,
) -> None:
    # Given somebody who looks at the locks
    locks = Locks(database_url)
    locks.start()
    try:
        with (
            psycopg.connect(database_url, application_name="migrate") as migration,
            psycopg.connect(database_url, autocommit=True) as other,
            ThreadPoolExecutor(1) as thread,
        ):
            # When a migration locks a table that another one wants to read
            (applied,) = migration.execute("SELECT count(*) FROM _yoyo_migration").fetchone() or ()
            migration.execute("ALTER TABLE account ADD COLUMN later text")
            reads = thread.submit(other.execute, "SELECT FROM account")
            # Then both are known, by the number of the migration
            assert eventually(lambda: locks.waited[applied] > 0.05)
            assert eventually(lambda: "AccessExclusiveLock on account" in locks.held[applied])
            migration.rollback()
            reads.result(10)
    finally:
        locks.stop()
