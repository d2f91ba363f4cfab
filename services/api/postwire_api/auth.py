"""Who asks: the bearer token of every route under /api (RFC 6750)."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from pydantic import SecretStr

from postwire import tokens
from postwire.errors import TokenRejected

#: Characters of the longest user id that is taken.
MAX_USER_ID = 255

Connection = ASGIConnection[BaseRouteHandler, Any, Any, Any]


class Bearer:
    """The guard of all routes that show or change something of a user."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    # Not a plain `def`: Litestar would send each request through a thread for it.
    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Let the request pass as the user that its token names.

        Raises:
            TokenRejected: in words.
        """
        token = _token(connection.headers.getall("authorization", []))
        user_id = tokens.verify_bearer(self._secret.get_secret_value(), token)
        if "\0" in user_id or len(user_id) > MAX_USER_ID:
            raise TokenRejected("The token names no user that could exist.")
        connection.scope["user"] = user_id


def user(request: Request[str, Any, Any]) -> str:
    """The id of the user who asks; only behind `Bearer`."""
    return request.user


def _token(headers: list[str]) -> str:
    if len(headers) != 1:
        raise TokenRejected("Send one header `Authorization: Bearer <token>`.")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRejected("Send the token as `Authorization: Bearer <token>`.")
    return token.strip()
