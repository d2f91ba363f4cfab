"""A token: as it comes, and with claims of any kind that were signed by the right secret."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from contextlib import suppress

from postwire import tokens
from postwire.errors import TokenRejected

SECRET = "a secret that is 32 bytes long.."
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


def run(data: bytes) -> None:
    """Verify `data` as a token, and as the header and the claims of one."""
    header, _, claims = data.partition(b"\n")
    for token in (data.decode("utf-8", "surrogateescape"), _signed(header, claims)):
        with suppress(TokenRejected):
            assert tokens.verify_bearer(SECRET, token)
        with suppress(TokenRejected):
            realtime = tokens.verify_realtime(SECRET, token)
            assert realtime.user_id
            assert realtime.expires_at.tzinfo


def _signed(header: bytes, claims: bytes) -> str:
    said = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in (header, claims))
    mark = hmac.digest(SECRET.encode(), said, "sha256")
    return b".".join([said, base64.urlsafe_b64encode(mark).rstrip(b"=")]).decode()


def seeds() -> Iterator[bytes]:
    """Good claims and some that are not."""
    good = {"sub": "u", "aud": tokens.API_AUDIENCE, "exp": 4_000_000_000}
    realtime = good | {"aud": tokens.REALTIME_AUDIENCE, "iat": 1, "accounts": ["a", "b"]}
    odd = [{"exp": 1e300}, {"exp": "4000000000"}, {"sub": ["u"]}, {"aud": [1]}, {"nbf": None}]
    for claims in (good, realtime, *(realtime | one for one in odd)):
        yield _HEADER + b"\n" + json.dumps(claims).encode()
    yield b'{"alg":"none"}\n{}'
    yield b"a.b.c"
