"""IMAP passwords and OAuth tokens at rest: AES-256-GCM, bound to their account and their kind.

A sealed credential is `key id || 0x00 || nonce (12 bytes) || ciphertext and tag`. Account id
and kind are its associated data, so that what is copied to another place opens nothing there: no
token is ever sent where a password belongs. The nonce is
random (NIST SP 800-38D §8.2.2); a key seals far fewer than 2**32 credentials.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postwire.errors import CredentialUnreadable, KeyMissing, SettingsError

_NONCE_BYTES = 12
_KEY_BYTES = 32
#: Bytes of the longest file that is read for a key.
_LONGEST_FILE = 1024
#: The file that says which key seals.
_PRIMARY = "primary"
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SETTING = "POSTWIRE_CREDENTIAL_KEYS"
_MAKE = "make one with: openssl rand -base64 32"

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
        return prefix(self.current) + nonce + ciphertext

    def open(self, account_id: str, sealed: bytes, kind: Kind = "password") -> str:
        """The secret in `sealed`.

        Raises:
            KeyMissing: this was sealed with a key that is not set.
            CredentialUnreadable: it is none, or was sealed for another account, as another kind,
                or with another key of that id.
        """
        id_ = key_id(sealed)
        if id_ and id_ not in self.keys:
            raise KeyMissing(
                f"The stored {kind} was sealed with the key {id_}, which is not set; "
                f"whoever runs Postwire has to add it to {_SETTING}."
            )
        try:
            rest = sealed.partition(b"\0")[2]
            nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
            return (
                self.keys[id_ or ""].decrypt(nonce, ciphertext, _place(account_id, kind)).decode()
            )
        except (InvalidTag, ValueError, KeyError):
            raise CredentialUnreadable(
                f"The stored {kind} cannot be opened with the keys that are set; {_REMEDY[kind]}."
            ) from None


def _place(account_id: str, kind: Kind) -> bytes:
    # Passwords were there first, and stay as they are.
    return account_id.encode() if kind == "password" else f"{account_id} {kind}".encode()


def prefix(id_: str) -> bytes:
    """What everything begins with that the key of this id has sealed."""
    return id_.encode() + b"\0"


def key_id(sealed: bytes) -> str | None:
    """The id of the key that `sealed` was sealed with; None where it is no sealed credential."""
    id_, separator, _ = sealed.partition(b"\0")
    text = id_.decode(errors="replace")
    return text if separator and _KEY_ID.fullmatch(text) else None


def make_keyring(text: str, folder: Path | None = None, primary: str = "") -> Keyring:
    """The keyring in `id:base64[,id:base64…]`, or in a folder with one file a key.

    There a file's name is the key's id, its content the base64; the file `primary` may hold the id
    of the key that seals. `primary` says so for either; else the first key of `text` seals.

    Raises:
        SettingsError: in words, without the keys.
    """
    if folder is None:
        return _ring(_keys(_listed(text)), primary, f"{_SETTING}, POSTWIRE_PRIMARY_CREDENTIAL_KEY")
    if text:
        raise SettingsError(f"set either {_SETTING} or {_SETTING}_DIR, not both")
    files = _files(folder)
    written = files.pop(_PRIMARY, "")
    keys = _keys((f"{folder / name}", name, content) for name, content in files.items())
    if len(keys) > 1 and not (primary or written):
        raise SettingsError(
            f"{folder}: of several keys one has to seal; write its id into the file "
            f"{_PRIMARY}, or into POSTWIRE_PRIMARY_CREDENTIAL_KEY"
        )
    return _ring(keys, primary or written, f"{folder}, {_PRIMARY}")


def _ring(keys: dict[str, AESGCM], primary: str, where: str) -> Keyring:
    if not keys:
        raise SettingsError(
            f"there is no key to seal credentials with; set {_SETTING}, or put a file into "
            f"{_SETTING}_DIR; {_MAKE}"
        )
    if primary and primary not in keys:
        # Not what stands there: it may be a key, put into the wrong place.
        raise SettingsError(f"{where}: the key that is to seal is none of {', '.join(keys)}")
    return Keyring(current=primary or next(iter(keys)), keys=keys)


def _listed(text: str) -> Iterator[tuple[str, str, str]]:
    """Where each key stands, its id, and what is to be the key."""
    parts = (part.strip() for part in text.split(",") if part.strip())
    for number, part in enumerate(parts, 1):
        where = f"{_SETTING}: key number {number}"
        id_, colon, encoded = part.partition(":")
        if not colon:
            raise SettingsError(f"{where}: write it as id:base64; {_MAKE}")
        yield where, id_, encoded


def _files(folder: Path) -> dict[str, str]:
    """The text of each file by its name; hidden ones are what Kubernetes keeps beside a secret."""
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
        return {file.name: _read(file) for file in files}
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_LONGEST_FILE).decode(errors="replace").strip()


def _keys(given: Iterable[tuple[str, str, str]]) -> dict[str, AESGCM]:
    keys: dict[str, AESGCM] = {}
    for where, id_, encoded in given:
        if not _KEY_ID.fullmatch(id_):
            raise SettingsError(f"{where}: its id is not 1 to 64 letters, digits, dots, _ or -")
        if id_ in keys:
            raise SettingsError(f"{where}: there is another key with its id, {id_}")
        keys[id_] = _key(where, encoded)
    return keys


def _key(where: str, encoded: str) -> AESGCM:
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error is one, and so is text that is not ASCII
        raise SettingsError(f"{where}: it is not base64; {_MAKE}") from None
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"{where}: it has {len(key)} bytes, and needs {_KEY_BYTES}; {_MAKE}")
    return AESGCM(key)
