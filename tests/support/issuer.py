"""An identity provider on the loopback: it signs tokens, and publishes its keys (RFC 7517).

It misbehaves where a test says so.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.sso import HOST, Misbehaviour, send, serving

ISSUER = "https://id.example.com/realms/staff"

Private: TypeAlias = "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey"


@cache
def rsa_key(bits: int = 2048, n: int = 1) -> rsa.RSAPrivateKey:  # noqa: ARG001 - one for each n
    """An RSA key, made once a run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """A new key on P-256, or another curve."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def jwk(key: Private, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public part as it is published."""
    if isinstance(key, rsa.RSAPrivateKey):
        made = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        made = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # PyJWT adds what few providers do.
    made.pop("key_ops", None)
    return {**made, **({} if kid is None else {"kid": kid}), **more}


def claims(**changes: Any) -> dict[str, Any]:
    """What a token of `ann` says; what is None is left away."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": "postwire", "sub": "ann", "iat": now, "exp": now + 300}
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(
    key: Private, kid: str | None = None, algorithm: str | None = None, **changes: Any
) -> str:
    """A token of `ann`, unless something else is said."""
    usual = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm or usual, headers=headers)


@dataclass(slots=True)
class Issuer:
    """What is published, and how often it was asked for."""

    port: int = 0
    keys: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    #: Seconds that an answer takes.
    delay: float = 0
    misbehaves: Misbehaviour | None = None
    scheme: str = "http"
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"{self.scheme}://{HOST}:{self.port}/jwks"


@contextmanager
def issuer(tls: ssl.SSLContext | None = None) -> Iterator[Issuer]:
    """Run an issuer."""
    state = Issuer(scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            pass

        def do_GET(self) -> None:
            state.asked += 1
            state.over.wait(state.delay)
            with suppress(OSError):
                if state.misbehaves:
                    self.close_connection = True
                    state.misbehaves(self)
                    return
                send(self, 200, json.dumps({"keys": state.keys}).encode())

    with serving(Handler, tls) as state.port:
        try:
            yield state
        finally:
            state.over.set()
