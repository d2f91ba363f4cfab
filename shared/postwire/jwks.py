"""The public keys of an issuer, as it publishes them: a JWK Set (RFC 7517).

Each key is bound here to the one algorithm that fits it, so that what a token says of its algorithm
only finds the key, and never decides how it is used (RFC 8725 §3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import jwt
import msgspec

Key: TypeAlias = jwt.PyJWK
#: By algorithm and `kid`: §4.5 allows keys of different kinds to share one.
Keys: TypeAlias = Mapping[tuple[str, str | None], Key]

#: By `kty` and `crv`. No `oct`: what is published is no secret.
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
ALGORITHMS = tuple(_ALGORITHMS.values())
#: What a public key is made of (RFC 7518 §6.2.1, §6.3.1); a private part is not even looked at.
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")


class _Key(msgspec.Struct):
    kty: str
    crv: str | None = None
    kid: str | None = None
    alg: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _Set(msgspec.Struct):
    keys: list[Any]


def read(document: bytes) -> Keys:
    """The keys that signatures can be verified by; others are passed over, as RFC 7517 §5 asks.

    Raises:
        ValueError: in words, when it is no such set, or there is none of these.
    """
    try:
        given = msgspec.json.decode(document, type=_Set).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is no JWK Set") from None
    keys = dict(found for one in given if (found := _usable(one)))
    if not keys:
        raise ValueError("it holds no RSA or P-256 key that signatures can be verified by")
    return keys


def _usable(given: Any) -> tuple[tuple[str, str | None], Key] | None:
    try:
        said = msgspec.convert(given, _Key)
        algorithm = _ALGORITHMS[said.kty, said.crv]
        key = jwt.PyJWK({name: given[name] for name in _PUBLIC if name in given}, algorithm)
    except (msgspec.ValidationError, KeyError, jwt.PyJWTError):
        return None
    if not _is_for_signatures(said, algorithm) or key.Algorithm.check_key_length(key.key):
        return None
    return (algorithm, said.kid), key


def _is_for_signatures(said: _Key, algorithm: str) -> bool:
    return (
        said.alg in (None, algorithm)
        and said.use in (None, "sig")
        and (said.key_ops is None or "verify" in said.key_ops)
    )
