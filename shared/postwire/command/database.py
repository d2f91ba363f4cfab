"""The database as the commands open it: with a word at once where it will not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from postwire.settings import MigrateSettings, load
from postwire.store import server
from postwire.store.pool import Pool, make_pool, transaction


@contextmanager
def opened(url: SecretStr | None = None) -> Iterator[Pool]:
    """The database at `url`, or the one that the settings name.

    Raises:
        SettingsError: there is no such setting, or it is no address.
        StoreUnavailable: it does not answer, and why.
        NotMigrated: it is not as this release needs it.
    """
    address = (url or load(MigrateSettings).database_url).get_secret_value()
    server.look(address)
    # A command says little more than once: preparing it would only need a PgBouncer that keeps it.
    with make_pool(address, 1, prepare=False) as pool:
        with transaction(pool) as connection:
            server.check_migrated(connection)
        yield pool
