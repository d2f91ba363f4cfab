from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from postwire import tokens
from postwire.errors import TokenRejected

SECRET = "one secret that is 32 bytes long"
OTHER = "two secrets that are 32 bytes ea"


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {
        "sub": "u1",
        "aud": "postwire-realtime",
        "exp": time.time() + 3600,
        "accounts": ["a1"],
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def _signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(_claims(**changes), secret, algorithm=algorithm)


def test_a_bearer_token_speaks_for_its_user() -> None:
    token = tokens.sign_bearer(SECRET, "u1", timedelta(minutes=5))

    assert tokens.verify_bearer(SECRET, token) == "u1"


def test_a_realtime_token_names_the_user_the_accounts_and_its_end() -> None:
    token, expires_at = tokens.sign_realtime(SECRET, "u1", ["a1", "a2"])

    assert tokens.verify_realtime(SECRET, token) == tokens.Realtime(
        "u1", frozenset({"a1", "a2"}), expires_at
    )
    left = expires_at - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= tokens.REALTIME_LIFETIME
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == tokens.REALTIME_LIFETIME.total_seconds()


def test_neither_token_opens_the_others_door() -> None:
    bearer = tokens.sign_bearer(SECRET, "u1", timedelta(minutes=5))
    realtime, _ = tokens.sign_realtime(SECRET, "u1", ["a1"])

    with pytest.raises(TokenRejected, match="Audience"):
        tokens.verify_realtime(SECRET, bearer)
    with pytest.raises(TokenRejected, match="Audience"):
        tokens.verify_bearer(SECRET, realtime)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (_signed(exp=time.time() - 60), "expired; ask for a new one"),
        (_signed(OTHER), "Signature"),
        (_signed("x" * 64, "HS512"), "alg"),
        (_signed(None, "none"), "alg"),  # type: ignore[arg-type]
        (_signed(exp=None), "exp"),
        (_signed(sub=None), "sub"),
        (_signed(aud=None), "aud"),
        (_signed(sub=""), "names no user"),
        (_signed(accounts=None), "names no accounts"),
        (_signed(accounts="a1"), "names no accounts"),
        (_signed(accounts=["a1", 2]), "names no accounts"),
        ("", "not valid"),
        ("a.b.c", "not valid"),
        ("\udcff", "no text"),
        ("x" * 100_000, "not valid"),
    ],
)
def test_any_other_token_is_rejected_in_words(token: str, words: str) -> None:
    with pytest.raises(TokenRejected, match=words) as caught:
        tokens.verify_realtime(SECRET, token)

    assert not token or token not in str(caught.value)


def test_clocks_may_differ_a_little() -> None:
    assert tokens.verify_realtime(SECRET, _signed(exp=time.time() - tokens.LEEWAY + 5))


@pytest.mark.parametrize("end", [1e300, 22e16, 10**30, "4000000000000000000"])
def test_a_token_that_ends_in_no_year_there_is_is_refused(end: Any) -> None:
    # Given a token signed by the right secret
    with pytest.raises(TokenRejected):
        tokens.verify_realtime(SECRET, _signed(exp=end))


def test_an_end_in_quotes_is_an_end() -> None:
    assert tokens.verify_realtime(SECRET, _signed(exp="4000000000")).expires_at.year == 2096
