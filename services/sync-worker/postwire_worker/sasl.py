"""The SASL exchanges by which an access token is shown: OAUTHBEARER and XOAUTH2.

Both begin with the client's message. A server that refuses it says why in JSON, and wants one more
message before it says NO.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


class _Challenge(msgspec.Struct):
    status: str


@dataclass(slots=True)
class Exchange:
    """One login: what is said first, and what when it was refused."""

    mechanism: str
    message: bytes = field(repr=False)
    acknowledgement: bytes
    #: Why it was refused, as the server says.
    status: str | None = None
    _begun: bool = False

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge; the token is sent once only."""
        if not self._begun:
            self._begun = True
            return self.message
        try:
            self.status = msgspec.json.decode(challenge, type=_Challenge).status
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.status = None
        return self.acknowledgement


def oauthbearer(username: str, token: str) -> Exchange:
    """RFC 7628 §3.1; a refusal is acknowledged by ^A (§3.2.3)."""
    # RFC 5801 §4: the name is no quoted string, so these two are written otherwise.
    name = username.replace("=", "=3D").replace(",", "=2C")
    message = f"n,a={name},\x01auth=Bearer {token}\x01\x01"
    return Exchange("OAUTHBEARER", message.encode(), b"\x01")


def xoauth2(username: str, token: str) -> Exchange:
    """Google's mechanism, taken over by Microsoft; a refusal is acknowledged by an empty line."""
    message = f"user={username}\x01auth=Bearer {token}\x01\x01"
    return Exchange("XOAUTH2", message.encode(), b"")
