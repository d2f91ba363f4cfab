"""Reading the accounts of the predecessor from its own PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import sql

from postwire.errors import NotFound, StoreUnavailable

_PATIENCE = 10
_TIMEOUT = "SET statement_timeout = '60s'"


def fold(name: str) -> str:
    """A column's name as it is compared: `userId`, `user_id` and `USERID` are one."""
    return name.replace("_", "").casefold()


def read(url: str, table: str, wanted: Collection[str], limit: int) -> list[dict[str, str | None]]:
    """At most `limit` rows of `table`, as text by folded name; nothing but the `wanted` columns.

    Raises:
        NotFound: there is no such table, or none that we may read.
        StoreUnavailable: the database does not answer.
    """
    name = sql.Identifier(*table.split("."))
    try:
        with psycopg.connect(url, connect_timeout=_PATIENCE) as connection:
            connection.read_only = True
            connection.execute(_TIMEOUT)
            about = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(name))
            columns = [one.name for one in about.description or () if fold(one.name) in wanted]
            if not columns:
                return []
            picked = sql.SQL(", ").join(
                sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns
            )
            query = sql.SQL("SELECT {} FROM {} LIMIT {}").format(picked, name, limit)
            found = connection.execute(query).fetchall()
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.InvalidSchemaName,
    ):
        raise NotFound(
            f"The database has no table {table} that may be read; name it with --table."
        ) from None
    except psycopg.Error as error:
        # Not its words: they may repeat the URL, and the password in it.
        raise StoreUnavailable(
            f"The predecessor's database does not answer: {type(error).__name__}."
        ) from None
    folded = [fold(column) for column in columns]
    return [dict(zip(folded, row, strict=True)) for row in found]
