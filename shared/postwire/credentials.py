"""IMAP passwords and OAuth tokens at rest: AES-256-GCM, bound to their account and their kind.

A sealed credential is `key id || 0x00 || nonce (12 bytes) || ciphertext and tag`. Account id
and kind are its associated data, so that what is copied to another place opens nothing there: no
token is ever sent where a password belongs. The nonce is
random (NIST SP 800-38D §8.2.2); a key seals far fewer than 2**32 credentials.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postwire.errors import CredentialUnreadable, SettingsError

_NONCE_BYTES = 12
_KEY_BYTES = 32

Kind: TypeAlias = Literal["password", "refresh token", "access token"]

#: What helps when one cannot be opened.
_REMEDY: dict[Kind, str] = {
    "password": "enter the password again",
    "refresh token": "connect the account again",
    "access token": "connect the account again",
}


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by id; `current` seals, all open."""

    current: str
    keys: dict[str, AESGCM] = field(repr=False)

    def seal(self, account_id: str, secret: str, kind: Kind = "password") -> bytes:
        """`secret` sealed for `account_id`."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self.keys[self.current].encrypt(
            nonce, secret.encode(), _place(account_id, kind)
        )
        return self.current.encode() + b"\0" + nonce + ciphertext

    def open(self, account_id: str, sealed: bytes, kind: Kind = "password") -> str:
        """The secret in `sealed`.

        Raises:
            CredentialUnreadable: the key is not set, or this was sealed for another account, or
                as another kind.
        """
        key_id, _, rest = sealed.partition(b"\0")
        key = self.keys.get(key_id.decode(errors="replace"))
        if key is None:
            raise CredentialUnreadable(
                f"The stored {kind} was sealed with a key that is not set; "
                f"add that key to POSTWIRE_CREDENTIAL_KEYS, or {_REMEDY[kind]}."
            )
        try:
            secret = key.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _place(account_id, kind))
        except (InvalidTag, ValueError):
            raise CredentialUnreadable(
                f"The stored {kind} cannot be opened with the keys that are set; {_REMEDY[kind]}."
            ) from None
        return secret.decode()


def _place(account_id: str, kind: Kind) -> bytes:
    # Passwords were there first, and stay as they are.
    return account_id.encode() if kind == "password" else f"{account_id} {kind}".encode()


def make_keyring(text: str) -> Keyring:
    """The keyring in `id:base64[,id:base64…]`.

    Raises:
        SettingsError: in words, without the keys.
    """
    keys = dict(_key(part) for part in text.split(",") if part.strip())
    if not keys:
        raise SettingsError("POSTWIRE_CREDENTIAL_KEYS holds no key; give one as id:base64")
    return Keyring(current=next(iter(keys)), keys=keys)


def _key(part: str) -> tuple[str, AESGCM]:
    key_id, colon, encoded = part.strip().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error is one, and so is text that is not ASCII
        key = b""
    if not key_id or not colon or len(key) != _KEY_BYTES:
        raise SettingsError(
            "POSTWIRE_CREDENTIAL_KEYS: each key is id:base64 of 32 random bytes; "
            "make one with: echo k1:$(openssl rand -base64 32)"
        )
    return key_id, AESGCM(key)
