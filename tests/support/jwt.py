"""The secrets and the bearer tokens of the tests."""

from __future__ import annotations

from datetime import timedelta

from postwire import tokens

JWT_SECRET = "the bearer secret of the tests, long enough"
REALTIME_SECRET = "the realtime secret of the tests, long enough"


def bearer(user: str = "ann", secret: str = JWT_SECRET) -> dict[str, str]:
    """The header that `user` sends."""
    return {"Authorization": f"Bearer {tokens.sign_bearer(secret, user, timedelta(minutes=5))}"}
