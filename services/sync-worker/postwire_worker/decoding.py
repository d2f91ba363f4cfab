"""Transfer encodings undone piece by piece (RFC 2045 §6), for what is too large to hold.

A piece may end anywhere. What does not belong to an encoding is passed over, as §6.7 and §6.8 ask
of a robust reader: an attachment with one damaged line is better than none.
"""

from __future__ import annotations

import binascii
from typing import Protocol

#: Bytes of a line without an end that are waited for.
_LINE = 64 * 1024
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)


class Decoder(Protocol):
    """Takes a part as it is transferred, gives it as it was meant."""

    def feed(self, piece: bytes) -> bytes:
        """What can be said after this piece."""

    def end(self) -> bytes:
        """What is left when no more comes."""


def decoder(encoding: str) -> Decoder:
    """The decoder of a Content-Transfer-Encoding; what is unknown is taken as it is."""
    match encoding.strip().lower():
        case "base64":
            return _Base64()
        case "quoted-printable":
            return _QuotedPrintable()
        case _:
            return _Identity()


class _Identity:
    def feed(self, piece: bytes) -> bytes:
        return piece

    def end(self) -> bytes:
        return b""


class _Base64:
    """Line breaks and garbage are passed over; padding ends a run, and another may follow it."""

    def __init__(self) -> None:
        self._digits = b""

    def feed(self, piece: bytes) -> bytes:
        *ended, open_run = (self._digits + piece.translate(None, _NOT_BASE64)).split(b"=")
        whole = len(open_run) - len(open_run) % 4
        self._digits = open_run[whole:]
        runs = [_run(run) for run in ended if run]
        return b"".join(runs) + binascii.a2b_base64(open_run[:whole])

    def end(self) -> bytes:
        digits, self._digits = self._digits, b""
        return _run(digits)


def _run(digits: bytes) -> bytes:
    # A digit alone says six bits of a byte, and nothing.
    usable = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(usable + b"=" * (-len(usable) % 4))


class _QuotedPrintable:
    def __init__(self) -> None:
        self._line = b""

    def feed(self, piece: bytes) -> bytes:
        self._line += piece
        upto = self._line.rfind(b"\n") + 1
        if not upto and len(self._line) > _LINE:
            # An escape may be cut at its second or third byte.
            escape = self._line.rfind(b"=", -2)
            upto = escape if escape >= 0 else len(self._line)
            ready, self._line = self._line[:upto], self._line[upto:]
            return binascii.a2b_qp(ready)
        ready, self._line = self._line[:upto], self._line[upto:]
        return binascii.a2b_qp(_stripped(ready))

    def end(self) -> bytes:
        line, self._line = self._line, b""
        return binascii.a2b_qp(_stripped(line))


def _stripped(lines: bytes) -> bytes:
    """The lines without the space at their ends, which the way has put there (§6.7, rule 3)."""
    stripped = []
    for line in lines.split(b"\n"):
        ending = b"\r" if line.endswith(b"\r") else b""
        stripped.append(line.removesuffix(b"\r").rstrip(b" \t") + ending)
    return b"\n".join(stripped)
