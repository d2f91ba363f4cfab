"""Headers that every answer carries, the refusals too."""

from __future__ import annotations

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

#: For everything but the page: nothing in an answer of the API is to be run or framed.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _POLICY,
    # Mail does not belong in a cache on the way, nor in the browser's.
    "Cache-Control": "no-store",
}


async def complete(message: Message, _: Scope) -> None:
    """Add each header that the handler has not set itself."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in _ALWAYS.items():
            headers.setdefault(name, value)
