"""The two tokens: the bearer of the REST API and the short-lived one of the gateway.

Both are JWTs (RFC 7519), told apart by audience and by key, so that neither opens the other's door.
The realtime one is signed by HS256, the bearer by HS256 or by an issuer's key. The key says by
which algorithm, never the token (RFC 8725 §3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from postwire import jwks
from postwire.errors import TokenRejected

API_AUDIENCE = "postwire"
REALTIME_AUDIENCE = "postwire-realtime"
#: A browser asks for a new one at each connect, so a short life costs nothing.
REALTIME_LIFETIME = timedelta(minutes=15)
#: Seconds by which two machines' clocks may differ.
LEEWAY = 30


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bearer token has to say."""

    audience: str = API_AUDIENCE
    #: None: any, or none; it is the secret that tells who signed.
    issuer: str | None = None
    #: The claim that holds the user id.
    user_claim: str = "sub"


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


def key_of(token: str) -> tuple[str, str | None]:
    """The algorithm and the `kid` (RFC 7515 §4.1.4) of the issuer's key that a token names.

    Nothing of it is verified.

    Raises:
        TokenRejected: with the reason in words.
    """
    with _in_words():
        header = jwt.get_unverified_header(token)
    if header.get("alg") not in jwks.ALGORITHMS:
        raise TokenRejected(f"The token is not valid: sign it by {' or '.join(jwks.ALGORITHMS)}.")
    return header["alg"], header.get("kid")


def verify_bearer(key: str | jwks.Key, token: str, terms: Terms = Terms()) -> str:
    """The user id a bearer token speaks for, signed by the secret or the issuer's key.

    Raises:
        TokenRejected: with the reason in words.
    """
    user_id = _verify(key, token, terms)[terms.user_claim]
    if not isinstance(user_id, str):
        raise TokenRejected("The token names no user.")
    return user_id


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
    claims = _verify(secret, token, Terms(REALTIME_AUDIENCE))
    accounts = claims.get("accounts")
    if not isinstance(accounts, list) or not all(isinstance(id_, str) for id_ in accounts):
        raise TokenRejected("The realtime token names no accounts.")
    return Realtime(claims["sub"], frozenset(accounts), datetime.fromtimestamp(claims["exp"], UTC))


def _sign(secret: str, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, secret, algorithm="HS256")


def _verify(key: str | jwks.Key, token: str, terms: Terms) -> dict[str, Any]:
    with _in_words():
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["HS256" if isinstance(key, str) else key.algorithm_name],
            audience=terms.audience,
            issuer=terms.issuer,
            leeway=LEEWAY,
            options={"require": [terms.user_claim, "exp", "aud"]},
        )
    if not claims[terms.user_claim]:
        raise TokenRejected("The token names no user.")
    return claims


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except jwt.ExpiredSignatureError:
        raise TokenRejected("The token has expired; ask for a new one.") from None
    except UnicodeError:
        raise TokenRejected("The token is not valid: it is no text.") from None
    except jwt.InvalidTokenError as error:
        raise TokenRejected(f"The token is not valid: {error}.") from None
