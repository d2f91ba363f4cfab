"""Counts and times requests by route, never by path: an id in a label would grow for ever."""

from __future__ import annotations

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from postwire.metrics import HTTP_SECONDS


class Traffic(ASGIMiddleware):
    """Observes each request that found a route."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Time the request until its answer begins."""
        began = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                HTTP_SECONDS.labels(
                    method=scope["method"],  # type: ignore[typeddict-item]  # HTTP only
                    route=scope["path_template"],
                    status=message["status"],
                ).observe(time.perf_counter() - began)
            await send(message)

        await next_app(scope, receive, timed)
