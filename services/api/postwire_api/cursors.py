"""Cursors of the paginated lists: where the last page ended, opaque to the client.

They hold a position and no right: what a page shows is still found through its owner.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from litestar.exceptions import ClientException
from litestar.params import QueryParameter

from postwire.store.search import WINDOW
from postwire_api.ids import MAX_BIGINT

#: Rows of one page.
DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_Time = Annotated[datetime, msgspec.Meta(tz=True)]

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="Rows of one page.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        max_length=200, description="`nextCursor` of the page before; the first has none."
    ),
]


class MessagePosition(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The last message of a page."""

    at: _Time
    id: Annotated[int, msgspec.Meta(ge=1, le=MAX_BIGINT)]


class JobPosition(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The last job of a page."""

    at: _Time
    id: Annotated[str, msgspec.Meta(pattern=r"\Async-[0-9a-f-]{36}-[0-9]{1,19}\Z")]


class SearchPosition(MessagePosition, array_like=True, forbid_unknown_fields=True):
    """The window of a search, by what it lies below, and how much of it was shown."""

    offset: Annotated[int, msgspec.Meta(ge=0, le=WINDOW)]


Position = TypeVar("Position", MessagePosition, JobPosition, SearchPosition)
Row = TypeVar("Row")


def decode(cursor: str | None, kind: type[Position]) -> Position | None:
    """The position in `cursor`, None where there is no cursor.

    Raises:
        ClientException: in words, when this API never gave out such a cursor.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise ClientException("The cursor is none that this API gave out; leave it away.") from None


def page(
    rows: Sequence[Row],
    limit: int,
    position_of: Callable[[Row], MessagePosition | JobPosition],
) -> tuple[Sequence[Row], str | None]:
    """The first `limit` of `rows`, with the cursor of what follows where there are more."""
    shown = rows[:limit]
    return shown, encode(position_of(shown[-1])) if len(rows) > limit else None


def encode(position: MessagePosition | JobPosition) -> str:
    """The cursor that `decode` reads."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()
