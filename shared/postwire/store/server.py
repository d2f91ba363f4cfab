"""The database server itself, as whoever runs it wants it told: who answers, and what is there."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from postwire.errors import NotMigrated, SettingsError, StoreUnavailable
from postwire.store.pool import WAIT

#: The oldest release of PostgreSQL that is good enough.
OLDEST = 15
#: What libpq says, as the end of our sentence. Its own words may repeat what they were given.
_WORDS = (
    (r"Connection refused", "refuses connections; see whether it runs, and the port"),
    (r"translate host|Name or service|nodename|No address", "has no such name; check the host"),
    (r"password authentication failed|no password supplied", "refuses the user or the password"),
    (r"no pg_hba.conf entry", "lets no such user in from here; see its pg_hba.conf"),
    (r'database ".*" does not exist', "has no such database; create it, or check the name"),
    (r'role ".*" does not exist', "has no such user; create it, or check the name"),
    (r"timeout|timed out", "does not answer in time; see whether a firewall is in between"),
    (r"too many|remaining connection slots", "has no free connections; see max_connections"),
    (r"starting up|shutting down|recovery", "is starting or stopping; try again in a moment"),
    (r"SSL|certificate", "does not agree on TLS; check sslmode in the URL"),
)
_PLAIN = re.compile(r"[\w.:/\[\]-]+")


@dataclass(frozen=True, slots=True)
class Server:
    """What answers; `ahead` is the seconds by which its clock is ahead of ours."""

    version: int
    words: str
    role: str
    standby: bool
    read_only: bool
    ahead: float
    #: Migrations of this release that were not applied, and applied ones that it does not know.
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def migrated(self) -> bool:
        """Whether this release finds all that it needs."""
        return not self.missing


def look(url: str) -> Server:
    """Who answers there.

    Raises:
        StoreUnavailable: nobody, or not to us; in words that hold no secret.
        SettingsError: this is no address of a database.
    """
    where = _where(url)
    try:
        with psycopg.connect(url, connect_timeout=int(WAIT)) as connection:
            connection.execute("SET LOCAL statement_timeout = '5s'")
            return _look(connection)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"The database does not answer: {where} {_why(error)}.") from None


def check_migrated(connection: Connection[TupleRow]) -> None:
    """Refuse a database that has not all that this release needs.

    Raises:
        NotMigrated: it says what to run.
    """
    missing, _ = _migrations(connection)
    if missing:
        raise NotMigrated(
            f"The database is not migrated: it lacks {len(missing)} of {len(_ours())} migrations, "
            f"from {missing[0]} on. Run postwire migrate."
        )


def _look(connection: Connection[TupleRow]) -> Server:
    row = connection.execute(
        """
        SELECT current_setting('server_version_num')::integer / 10000,
               current_setting('server_version'), current_user, pg_is_in_recovery(),
               current_setting('transaction_read_only')::boolean,
               extract(epoch FROM clock_timestamp())::float8
        """
    ).fetchone()
    assert row is not None, "a row of its own"  # noqa: S101
    version, words, role, standby, read_only, clock = row
    ahead = clock - time.time()
    return Server(version, words, role, standby, read_only, ahead, *_migrations(connection))


def _migrations(connection: Connection[TupleRow]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that are missing, and those that this release does not know."""
    ours = _ours()
    there = connection.execute("SELECT to_regclass('_yoyo_migration') IS NOT NULL").fetchone()
    found = (
        connection.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
        if there and there[0]
        else []
    )
    applied = {id_ for (id_,) in found}
    return tuple(one for one in ours if one not in applied), tuple(sorted(applied - set(ours)))


def _ours() -> list[str]:
    names = (file.name for file in (files("postwire") / "migrations").iterdir())
    return sorted(name.removesuffix(".sql") for name in names if name.endswith(".sql"))


def _where(url: str) -> str:
    """Host, port and name, where they look like these and not like pieces of a password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        given = {}
    host, port = str(given.get("host") or "localhost"), str(given.get("port") or 5432)
    if not given or not port.isdigit() or not _PLAIN.fullmatch(host):
        raise SettingsError(
            "POSTWIRE_DATABASE_URL is no address of a database: write "
            "postgresql://user:password@host:port/database, with % codes for what is special "
            "in the password"
        )
    return f"{host}:{port}"


def _why(error: psycopg.OperationalError) -> str:
    said = str(error)
    return next((words for pattern, words in _WORDS if re.search(pattern, said)), "gives no reason")
