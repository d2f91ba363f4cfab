"""Who asks: the bearer token of every route under /api (RFC 6750)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from postwire import jwks, tokens
from postwire.errors import TokenRejected
from postwire.settings import ApiSettings
from postwire_api import issuer

#: Characters of the longest user id that is taken.
MAX_USER_ID = 255

Connection = ASGIConnection[BaseRouteHandler, Any, Any, Any]


#: What a token is to be verified by: the secret, or the key of the issuer that the token names.
FindKey: TypeAlias = Callable[[str], Awaitable[str | jwks.Key]]


class Bearer:
    """The guard of all routes that show or change something of a user."""

    def __init__(self, find_key: FindKey, terms: tokens.Terms) -> None:
        self._find_key = find_key
        self._terms = terms

    # Not a plain `def`: Litestar would send each request through a thread for it.
    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Let the request pass as the user that its token names.

        Raises:
            TokenRejected: in words.
            KeysUnavailable: nobody can say right now.
        """
        token = _token(connection.headers.getall("authorization", []))
        user_id = tokens.verify_bearer(await self._find_key(token), token, self._terms)
        if not _could_exist(user_id):
            raise TokenRejected("The token names no user that could exist.")
        connection.scope["user"] = user_id


def make_bearer(settings: ApiSettings) -> Bearer:
    """The guard that takes the tokens of whoever the operator has named.

    Raises:
        SettingsError: there are no keys where they should be.
    """
    terms = tokens.Terms(
        settings.jwt_audience, settings.jwt_issuer or None, settings.jwt_user_claim
    )
    return Bearer(_make_find_key(settings), terms)


def _make_find_key(settings: ApiSettings) -> FindKey:
    if settings.jwt_secret:
        return _same(settings.jwt_secret.get_secret_value())
    if settings.jwks_file:
        return _named(issuer.from_file(settings.jwks_file))
    return _named(issuer.from_url(settings.jwks_url))


def _same(secret: str) -> FindKey:
    async def find(_: str) -> str:
        return secret

    return find


def _named(keys: issuer.SigningKeys) -> FindKey:
    async def find(token: str) -> jwks.Key:
        return await keys.find(*tokens.key_of(token))

    return find


def _could_exist(user_id: str) -> bool:
    # PostgreSQL keeps no NUL and no half of a surrogate pair.
    return len(user_id) <= MAX_USER_ID and not any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in user_id
    )


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
