"""The bytes of an attachment: fetched when first asked for, then served from what is kept.

They are their sender's, thus as hostile as can be: nothing but a few kinds of images is ever shown
in place, and nothing runs.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import HttpMethod, Request, Response, route
from litestar.concurrency import sync_to_thread
from litestar.datastructures import Headers
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from postwire.errors import Conflict, Gone, NotFound, NotReady, TooLarge
from postwire.model import MessageId
from postwire.store import contents
from postwire.store.contents import CHUNK, Content, Failed, Wanted
from postwire.store.pool import Pool, transaction
from postwire_api import filenames, ids, problems
from postwire_api.parts import Queue, Store, User
from postwire_api.sync import refuse

#: Images that a browser may show in place; no SVG, which is a document with scripts.
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
#: Seconds an answer waits for the mail server.
_PATIENCE = 20.0
#: Seconds between two looks whether the bytes are there: the first, and the longest.
_LOOK = 0.05
_LONGEST_LOOK = 0.5
#: Requests of one process that wait at once; each looks into the database now and then.
_WAITING = 100

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,100}")
#: What a browser could run, if it ever came to show it.
_ACTIVE = re.compile(r"html|xml|svg|script|multipart/|x-mixed-replace|wasm")
_BYTES = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

_room = asyncio.BoundedSemaphore(_WAITING)

_NOT_YET = "The mail server has not sent all of the attachment yet; ask again shortly."


@dataclass(frozen=True, slots=True)
class _Span:
    """The bytes from `first` to `last`, both included; none where `last` < `first`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


@route(
    "/messages/{message_id:str}/attachments/{n:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    summary="Read an attachment",
    costly=True,
    responses={
        200: ResponseSpec(None, description="The bytes.", media_type=_BYTES),
        206: ResponseSpec(None, description="The range asked for.", media_type=_BYTES),
        304: ResponseSpec(None, description="The caller has these bytes.", media_type=_BYTES),
    }
    | problems.documented(
        _404="There is no such attachment.",
        _409="The account is paused, or its login was refused.",
        _410="The mail server does not have the message any more.",
        _416="There is no such range.",
        _422="The attachment is larger than is fetched.",
        _503="It is not here yet, or the database does not answer; `Retry-After` says when.",
    ),
)
async def read_attachment(
    *,
    request: Request[str, Any, Any],
    user: User,
    store: Store,
    queue: Queue,
    message_id: FromPath[str],
    n: FromPath[str],
    inline: Annotated[
        bool, QueryParameter(description="Show a PNG, JPEG, GIF or WebP image in place.")
    ] = False,
) -> Response[Any]:
    """The bytes, decoded; fetched from the mail server where nobody asked for them before.

    The first answer may take up to 20 s. `ETag` is their hash; one range of bytes may be asked for.
    """
    wanted = await sync_to_thread(_get, store, user, ids.message_id(message_id), _number(n))
    content = await _content(store, queue, wanted)
    headers = _headers(wanted, content, inline=inline)
    if headers["ETag"] in _listed(request.headers.get("if-none-match", "")):
        return Response(None, status_code=304, headers=headers)
    span = _span(request.headers, headers["ETag"], content.size)
    if span is None:
        raise HTTPException(
            status_code=416,
            detail=f"There is no such range; the attachment has {content.size} bytes.",
            headers={"Content-Range": f"bytes */{content.size}"},
        )
    if partial := span.length != content.size:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{content.size}"
    headers["Content-Length"] = str(span.length)
    return Stream(
        _pieces(store, content, span) if request.method == "GET" else iter(()),
        status_code=206 if partial else 200,
        media_type=headers.pop("Content-Type"),
        headers=headers,
    )


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise NotFound("There is no such attachment.")
    return int(text)


def _get(store: Pool, user: str, message_id: MessageId, n: int) -> Wanted:
    with transaction(store) as connection:
        return contents.get_wanted(connection, user, message_id, n)


async def _content(store: Pool, queue: Queue, wanted: Wanted) -> Content:
    """What is kept of the attachment, once it is.

    Raises:
        NotReady: it did not come in time.
        Gone, TooLarge, Conflict: it will not come.
    """
    found = await sync_to_thread(_ask, store, wanted)
    if found is None:
        # Where Redis does not answer, the sweep finds the request.
        queue.fetch(wanted.account_id)
        found = await _arrival(store, wanted)
    match found:
        case Content():
            return found
        case Failed(failure="gone"):
            raise Gone(found.error)
        case Failed(failure="too_large"):
            raise TooLarge(found.error)
        case Failed(failure="refused"):
            raise Conflict(found.error)
        case Failed():
            raise NotReady(found.error)
        case _:
            raise NotReady(_NOT_YET)


def _ask(store: Pool, wanted: Wanted) -> Content | Failed | None:
    with transaction(store) as connection:
        found = contents.find(connection, wanted)
        if isinstance(found, Content):
            return found
        refuse(wanted.account_state)
        contents.ask(connection, wanted)
        return contents.find(connection, wanted)


async def _arrival(store: Pool, wanted: Wanted) -> Content | Failed | None:
    """What became of the request, or None where the patience ended first."""
    if _room.locked():
        raise NotReady(_NOT_YET)
    async with _room:
        until, pause = time.monotonic() + _PATIENCE, _LOOK
        while time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_LOOK)
            if found := await sync_to_thread(_find, store, wanted):
                return found
    return None


def _find(store: Pool, wanted: Wanted) -> Content | Failed | None:
    with transaction(store) as connection:
        return contents.find(connection, wanted)


def _headers(wanted: Wanted, content: Content, *, inline: bool) -> dict[str, str]:
    name = filenames.shown(wanted.filename, wanted.content_type, wanted.n)
    in_place = inline and wanted.content_type in IMAGES
    return {
        "Content-Type": _content_type(wanted.content_type),
        "Content-Disposition": filenames.disposition("inline" if in_place else "attachment", name),
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-site",
        # What an id and a number stand for never changes, but for whom it may be read.
        "Cache-Control": "private, max-age=31536000, immutable",
        "Vary": "Authorization",
        "ETag": f'"{content.hash.hex()}"',
        "Accept-Ranges": "bytes",
    }


def _content_type(content_type: str) -> str:
    if _ACTIVE.search(content_type) or not _TYPE.fullmatch(content_type):
        return _BYTES
    return content_type


def _span(headers: Headers, etag: str, size: int) -> _Span | None:
    """The bytes that are asked for (RFC 9110 §14.2); None where there are none such.

    Several ranges at once, and what is no range, are answered by the whole, as §14.2 allows.
    """
    whole = _Span(0, size - 1)
    asked = _RANGE.fullmatch(headers.get("range", ""))
    if not asked or asked[0] == "bytes=-" or headers.get("if-range", etag) != etag:
        return whole
    if not asked[1]:
        last = size - 1
        first = size - min(int(asked[2]), size)
    else:
        first = int(asked[1])
        last = min(int(asked[2]), size - 1) if asked[2] else size - 1
        if asked[2] and int(asked[2]) < first:
            return whole
    return _Span(first, last) if first <= last else None


def _listed(field: str) -> list[str]:
    """The entity tags of If-None-Match, compared weakly (RFC 9110 §13.1.2)."""
    return [tag.strip().removeprefix("W/") for tag in field.split(",")]


async def _pieces(store: Pool, content: Content, span: _Span) -> AsyncIterator[bytes]:
    """The bytes of the span; of one answer there is never more than a chunk in memory."""
    for n in range(span.first // CHUNK, span.last // CHUNK + 1):
        chunk = await sync_to_thread(_read, store, content, n)
        begin = n * CHUNK
        yield chunk[max(span.first - begin, 0) : span.last + 1 - begin]


def _read(store: Pool, content: Content, n: int) -> bytes:
    with transaction(store) as connection:
        return contents.read_chunk(connection, content, n)
