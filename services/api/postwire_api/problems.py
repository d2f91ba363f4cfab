"""From an error to an answer: problem details in JSON (RFC 9457), one table."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from postwire.errors import (
    AuthenticationFailed,
    BadQuery,
    Conflict,
    ConnectionLost,
    Gone,
    KeysUnavailable,
    NotFound,
    NotReady,
    PostwireError,
    StoreUnavailable,
    TokenRejected,
    TooLarge,
)

MEDIA_TYPE = "application/problem+json"
#: For `documented`, of routes that take a body.
TOO_LONG = "The body is larger than 64 KiB."

log = structlog.get_logger()


class Problem(msgspec.Struct):
    """What went wrong (RFC 9457): `type` for programs, `detail` in words for people."""

    type: str
    title: str
    status: int
    detail: str


#: Error class to `type`, `title` and status; an error that is not here is none of the caller's.
_TABLE: dict[type[PostwireError], tuple[str, str, HTTPStatus]] = {
    TokenRejected: ("token-rejected", "The token was not accepted", HTTPStatus.UNAUTHORIZED),
    BadQuery: ("bad-query", "The search was not understood", HTTPStatus.BAD_REQUEST),
    NotFound: ("not-found", "There is no such thing", HTTPStatus.NOT_FOUND),
    Conflict: ("conflict", "It cannot be done in the present state", HTTPStatus.CONFLICT),
    AuthenticationFailed: (
        "login-failed",
        "The mail server refused the login",
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    ConnectionLost: (
        "server-unreachable",
        "The mail server could not be used",
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    Gone: ("gone", "It is not there any more", HTTPStatus.GONE),
    TooLarge: ("too-large", "It is too large", HTTPStatus.UNPROCESSABLE_ENTITY),
    NotReady: ("not-ready", "It is not here yet", HTTPStatus.SERVICE_UNAVAILABLE),
    KeysUnavailable: (
        "keys-unavailable",
        "The token cannot be verified right now",
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
    StoreUnavailable: (
        "store-unavailable",
        "The database does not answer",
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
}


def _ours(_: Request[Any, Any, Any], error: PostwireError) -> Response[Problem]:
    type_, title, status = _TABLE[type(error)]
    return _answer(Problem(f"/problems/{type_}", title, status, str(error)), _hints(status))


def _hints(status: HTTPStatus) -> dict[str, str]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": 'Bearer realm="postwire"'}
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return {"Retry-After": "5"}
        case _:
            return {}


def _of_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(request, error)
    status = HTTPStatus(error.status_code)
    problem = Problem("about:blank", status.phrase, status, _in_words(error, status))
    return _answer(problem, error.headers)


def _in_words(error: HTTPException, status: HTTPStatus) -> str:
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        return "; ".join(map(_where_and_what, error.extra))
    # Litestar's own text for these repeats the phrase.
    words = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address; see /api/docs.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does not know that method; see /api/docs.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body of the request is too large.",
    }
    return words.get(status, error.detail)


def _where_and_what(one: dict[str, str]) -> str:
    # `data` is what handlers call the body; to the caller that says nothing.
    key = one.get("key", "data")
    return one["message"] if key == "data" else f"{key}: {one['message']}"


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Say nothing of the inside; the log has it."""
    log.error(
        "a request failed unexpectedly",
        method=request.method,
        route=request.scope.get("path_template"),
        exc_info=error,
    )
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    words = "Something went wrong on our side; it has been logged."
    return _answer(Problem("about:blank", status.phrase, status, words))


def _answer(problem: Problem, headers: dict[str, str] | None = None) -> Response[Problem]:
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


HANDLERS: ExceptionHandlersMap = {
    HTTPException: _of_http,
    Exception: _unexpected,
    **dict.fromkeys(_TABLE, _ours),
}


def documented(**reasons: str) -> dict[int, ResponseSpec]:
    """For OpenAPI: the problems of a route, status after an underscore, with the reason each."""
    everywhere = {
        "_400": "The request is not well formed; `detail` says what and where.",
        "_401": "The bearer token is missing, malformed, expired or signed by a stranger.",
        "_429": "That was asked too often; `Retry-After` says when to ask again.",
        "_503": "The database, or who issues the tokens, does not answer right now.",
    }
    return {
        int(status[1:]): ResponseSpec(
            Problem, description=reason, media_type=MEDIA_TYPE, generate_examples=False
        )
        for status, reason in (everywhere | reasons).items()
    }
