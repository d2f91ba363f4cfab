from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import RSAAlgorithm

from postwire import jwks
from support.issuer import ec_key, jwk, rsa_key


def _document(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_each_key_is_found_by_its_kid_and_the_one_algorithm_that_fits_it() -> None:
    # Given a set with a key of each kind, two of them by one name (RFC 7517 §4.5), one without
    rsa, curve = rsa_key(), ec_key()
    document = _document(
        jwk(rsa, "k1", use="sig", alg="RS256", x5c=["MII…"]),
        jwk(curve, "k1", key_ops=["verify"]),
        jwk(curve),
    )
    # When it is read
    keys = jwks.read(document)
    # Then
    assert set(keys) == {("RS256", "k1"), ("ES256", "k1"), ("ES256", None)}
    assert {key.algorithm_name for key in keys.values()} == {"RS256", "ES256"}


def test_a_private_key_that_was_published_by_mistake_is_not_loaded() -> None:
    private = RSAAlgorithm.to_jwk(rsa_key(), as_dict=True) | {"key_ops": ["verify"]}
    (key,) = jwks.read(_document(private)).values()
    assert key.key == rsa_key().public_key()


UNUSABLE: list[Any] = [
    {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "k1"},
    {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "RS256"},
    jwk(rsa_key(), use="enc"),
    jwk(rsa_key(), key_ops=["encrypt"]),
    jwk(rsa_key(), alg="HS256"),
    jwk(rsa_key(), alg="none"),
    jwk(rsa_key(), alg="ES256"),
    jwk(rsa_key(), alg="PS256"),
    jwk(rsa_key(), crv="P-256"),
    jwk(rsa_key(1024)),
    jwk(ec_key(), alg="RS256"),
    jwk(ec_key(ec.SECP384R1())),
    jwk(ec_key()) | {"y": jwk(ec_key())["y"]},
    jwk(rsa_key()) | {"n": "!"},
    jwk(rsa_key()) | {"e": 3},
    jwk(rsa_key(), 7),  # type: ignore[arg-type]
    {"kty": "RSA"},
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {},
    None,
    "key",
]


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_a_key_that_is_for_something_else_is_passed_over(unusable: object) -> None:
    # When it is among others, it hides none of them
    assert list(jwks.read(_document(unusable, jwk(rsa_key(), "good")))) == [("RS256", "good")]
    # And alone it is no key
    with pytest.raises(ValueError, match="no RSA or P-256 key"):
        jwks.read(_document(unusable))


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b'{"keys": {}}', b"<html>", b"\xff\xfe", b"[" * 100_000, b"{}"],
)
def test_what_is_no_set_is_refused_in_words(document: bytes) -> None:
    with pytest.raises(ValueError, match="it is no JWK Set"):
        jwks.read(document)
