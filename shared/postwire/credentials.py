"""IMAP passwords at rest: AES-256-GCM with the account id as associated data.

A sealed credential is `key id || 0x00 || nonce (12 bytes) || ciphertext and tag`. Binding it to
the account id means that a row copied to another account opens nothing there. The nonce is
random (NIST SP 800-38D §8.2.2); a key seals far fewer than 2**32 credentials.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postwire.errors import CredentialUnreadable, SettingsError

_NONCE_BYTES = 12
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by id; `current` seals, all open."""

    current: str
    keys: dict[str, AESGCM] = field(repr=False)

    def seal(self, account_id: str, secret: str) -> bytes:
        """`secret` sealed for `account_id`."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self.keys[self.current].encrypt(nonce, secret.encode(), account_id.encode())
        return self.current.encode() + b"\0" + nonce + ciphertext

    def open(self, account_id: str, sealed: bytes) -> str:
        """The secret in `sealed`.

        Raises:
            CredentialUnreadable: the key is not set, or this was sealed for another account.
        """
        key_id, _, rest = sealed.partition(b"\0")
        key = self.keys.get(key_id.decode(errors="replace"))
        if key is None:
            raise CredentialUnreadable(
                "The stored password was sealed with a key that is not set; "
                "add that key to POSTWIRE_CREDENTIAL_KEYS, or enter the password again."
            )
        try:
            secret = key.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], account_id.encode())
        except (InvalidTag, ValueError):
            raise CredentialUnreadable(
                "The stored password cannot be opened with the keys that are set; "
                "enter the password again."
            ) from None
        return secret.decode()


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
