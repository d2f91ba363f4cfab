"""The two tokens: the bearer of the REST API and the short-lived one of the gateway.

Both are JWTs (RFC 7519) signed by HS256, told apart by audience and by secret, so that neither
opens the other's door. The algorithm is fixed here, never read from the token (RFC 8725 §3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from postwire.errors import TokenRejected

API_AUDIENCE = "postwire"
REALTIME_AUDIENCE = "postwire-realtime"
#: A browser asks for a new one at each connect, so a short life costs nothing.
REALTIME_LIFETIME = timedelta(minutes=15)
#: Seconds by which two machines' clocks may differ.
LEEWAY = 30


@dataclass(frozen=True, slots=True)
class Realtime:
    """What a realtime token allows: whose rooms, until when."""

    user_id: str
    accounts: frozenset[str]
    expires_at: datetime


def sign_bearer(secret: str, user_id: str, lifetime: timedelta) -> str:
    """A bearer token for the REST API."""
    expires_at = datetime.now(UTC) + lifetime
    return _sign(secret, {"sub": user_id, "aud": API_AUDIENCE, "exp": expires_at})


def verify_bearer(secret: str, token: str) -> str:
    """The user id a bearer token speaks for.

    Raises:
        TokenRejected: with the reason in words.
    """
    return str(_verify(secret, token, API_AUDIENCE)["sub"])


def sign_realtime(secret: str, user_id: str, accounts: list[str]) -> tuple[str, datetime]:
    """A realtime token for `accounts` of `user_id`, and when it ends."""
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = now + REALTIME_LIFETIME
    # `iat` tells a browser whose clock is wrong how long the token lasts.
    claims = {"sub": user_id, "aud": REALTIME_AUDIENCE, "iat": now, "exp": expires_at}
    return _sign(secret, claims | {"accounts": accounts}), expires_at


def verify_realtime(secret: str, token: str) -> Realtime:
    """What a realtime token allows.

    Raises:
        TokenRejected: with the reason in words.
    """
    claims = _verify(secret, token, REALTIME_AUDIENCE)
    accounts = claims.get("accounts")
    if not isinstance(accounts, list) or not all(isinstance(id_, str) for id_ in accounts):
        raise TokenRejected("The realtime token names no accounts.")
    try:
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (ValueError, OverflowError, OSError):
        raise TokenRejected("The token ends in a year that does not come.") from None
    return Realtime(claims["sub"], frozenset(accounts), expires_at)


def _sign(secret: str, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, secret, algorithm="HS256")


def _verify(secret: str, token: str, audience: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            audience=audience,
            leeway=LEEWAY,
            options={"require": ["sub", "exp", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenRejected("The token has expired; ask for a new one.") from None
    except UnicodeError:
        raise TokenRejected("The token is not valid: it is no text.") from None
    except jwt.InvalidTokenError as error:
        raise TokenRejected(f"The token is not valid: {error}.") from None
    if not claims["sub"]:
        raise TokenRejected("The token names no user.")
    return claims
