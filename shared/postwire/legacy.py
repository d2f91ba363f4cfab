"""Passwords as the predecessor kept them, to be taken over once.

AES-256-CBC with PKCS#7 padding, in hex: `iv:ciphertext`, or the ciphertext with its IV beside it,
or the ciphertext alone, whose key and IV are derived from the secret. Nothing tells whether a
password was changed, nor for certain whether the secret is the right one.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

_KEY_BYTES = 32
_BLOCK_BYTES = 16


def decrypt(secret: str, ciphertext: str, iv: str | None = None) -> str:
    """The password in `ciphertext`, whichever of the three formats it has.

    Raises:
        ValueError: in words that hold neither.
    """
    if not iv and ":" in ciphertext:
        iv, _, ciphertext = ciphertext.partition(":")
    encrypted = _bytes(ciphertext)
    if not encrypted or len(encrypted) % _BLOCK_BYTES:
        raise ValueError("password: it is cut off, or not encrypted in a known way")
    if not iv:
        return _decrypted(encrypted, *_derived(secret.encode()))
    started = _bytes(iv)
    if len(started) != _BLOCK_BYTES:
        raise ValueError("password: its IV does not have 16 bytes")
    return _decrypted(encrypted, _padded(secret), started)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.strip())
    except ValueError:
        raise ValueError("password: it is not encrypted in a known way; it is not hex") from None


def _padded(secret: str) -> bytes:
    key = secret.ljust(_KEY_BYTES, "0")[:_KEY_BYTES].encode()
    if len(key) != _KEY_BYTES:
        raise ValueError("password: the secret is not ASCII; nothing can be encrypted with it")
    return key


def _derived(secret: bytes) -> tuple[bytes, bytes]:
    """Key and IV as OpenSSL's EVP_BytesToKey has them: MD5, one round, no salt."""
    material = last = b""
    while len(material) < _KEY_BYTES + _BLOCK_BYTES:
        last = hashlib.md5(last + secret, usedforsecurity=False).digest()
        material += last
    return material[:_KEY_BYTES], material[_KEY_BYTES : _KEY_BYTES + _BLOCK_BYTES]


def _decrypted(encrypted: bytes, key: bytes, iv: bytes) -> str:
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
    padded = decryptor.update(encrypted) + decryptor.finalize()
    try:
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:  # UnicodeDecodeError is one
        raise ValueError("password: it cannot be decrypted with this secret") from None
