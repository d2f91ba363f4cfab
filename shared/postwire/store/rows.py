"""From a row to a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from psycopg import Cursor
from psycopg.rows import RowMaker

T = TypeVar("T")


def of(kind: type[T]) -> Callable[[Cursor[Any]], RowMaker[T]]:
    """A row factory for the dataclass `kind`.

    Columns it has no field for are passed over: a newer release's migration may have added some
    while this one still runs.
    """
    wanted = names(kind)

    def make_row_maker(cursor: Cursor[Any]) -> RowMaker[T]:
        columns = [column.name for column in cursor.description or ()]
        picked = [(index, name) for index, name in enumerate(columns) if name in wanted]

        def make(values: Sequence[Any]) -> T:
            return kind(**{name: values[index] for index, name in picked})

        return make

    return make_row_maker


def names(kind: type[object]) -> frozenset[str]:
    """The names of the dataclass's fields."""
    return frozenset(field.name for field in fields(kind))  # type: ignore[arg-type]
