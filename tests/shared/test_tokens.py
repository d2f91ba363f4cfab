from __future__ import annotations

import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postwire import jwks, tokens
from postwire.errors import TokenRejected
from support.issuer import ISSUER, claims, ec_key, jwk, rsa_key, signed

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
        (base64.urlsafe_b64encode(b"[" * 30_000).decode() + ".e30.e30", "not valid"),
        ("x" * 100_000, "not valid"),
    ],
)
def test_any_other_token_is_rejected_in_words(token: str, words: str) -> None:
    with pytest.raises(TokenRejected, match=words) as caught:
        tokens.verify_realtime(SECRET, token)

    assert not token or token not in str(caught.value)


def test_clocks_may_differ_a_little() -> None:
    assert tokens.verify_realtime(SECRET, _signed(exp=time.time() - tokens.LEEWAY + 5))


TERMS = tokens.Terms(issuer=ISSUER)


def _public(key: Any) -> jwks.Key:
    (public,) = jwks.read(json.dumps({"keys": [jwk(key)]}).encode()).values()
    return public


@pytest.mark.parametrize("private", [rsa_key(), ec_key()])
def test_a_token_of_an_issuer_speaks_for_its_user(private: Any) -> None:
    token = signed(private, "k1", aud=["other", "postwire"], nbf=time.time() - 1)

    assert tokens.verify_bearer(_public(private), token, TERMS) == "ann"
    assert tokens.key_of(token) == (_public(private).algorithm_name, "k1")


def test_another_claim_may_be_the_user() -> None:
    terms = tokens.Terms(audience="mail", issuer=ISSUER, user_claim="uid")
    key = _public(rsa_key())

    assert tokens.verify_bearer(key, signed(rsa_key(), aud="mail", uid="u1"), terms) == "u1"
    for wrong in (None, "", 7, ["u1"], {"u1": 1}, False):
        with pytest.raises(TokenRejected, match=r"names no user|uid"):
            tokens.verify_bearer(key, signed(rsa_key(), aud="mail", uid=wrong), terms)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iss": None}, "iss"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"aud": None}, "aud"),
        ({"aud": "postwire-realtime"}, "Audience"),
        ({"exp": None}, "exp"),
        ({"exp": time.time() - 60}, "expired"),
        ({"nbf": time.time() + 600}, "not yet valid"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "names no user"),
        ({"sub": 7}, "ubject"),
    ],
)
def test_a_token_of_an_issuer_that_says_something_else_is_rejected(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(TokenRejected, match=words):
        tokens.verify_bearer(_public(rsa_key()), signed(rsa_key(), **changes), TERMS)


def test_the_key_says_by_which_algorithm_and_the_token_does_not() -> None:
    # Given what is public of the issuer's key
    public = _public(rsa_key())
    pem = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    # When tokens are signed with that as if it were a secret, by another algorithm, or not at all
    confused = [
        _by_secret(pem, "HS256"),
        _by_secret(json.dumps(jwk(rsa_key())).encode(), "HS256"),
        signed(rsa_key(), algorithm="RS512"),
        signed(rsa_key(), algorithm="PS256"),
        signed(ec_key(), algorithm="ES256"),
        signed(None, algorithm="none"),  # type: ignore[arg-type]
        signed(rsa_key(n=2)),
    ]
    # Then none is taken
    for token in confused:
        with pytest.raises(TokenRejected, match=r"alg|Signature"):
            tokens.verify_bearer(public, token, TERMS)


def _by_secret(secret: bytes, algorithm: str) -> str:
    """Made by hand: PyJWT would not do it with a public key."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": algorithm, "kid": "k1"}, claims())
    ]
    signature = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    "header",
    [{}, {"alg": "none"}, {"alg": "HS256"}, {"alg": "RS512"}, {"alg": ["RS256"]}, {"alg": None}],
)
def test_a_token_names_no_key_by_an_algorithm_that_no_issuer_has(header: dict[str, Any]) -> None:
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenRejected, match="sign it by RS256 or ES256"):
        tokens.key_of(f"{encoded}.e30.e30")


@pytest.mark.parametrize(
    "token", ["", "a.b.c", "\udcff", base64.urlsafe_b64encode(b"[" * 30_000).decode() + ".e30.e30"]
)
def test_what_is_no_token_names_no_key(token: str) -> None:
    with pytest.raises(TokenRejected, match="not valid"):
        tokens.key_of(token)
