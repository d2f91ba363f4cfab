"""What others wrote, as it may be kept: text that PostgreSQL takes, numbers and dates in range."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parsedate_to_datetime

#: Years outside these are a broken clock, and no date at all.
_YEARS = range(1970, 2200)
#: The largest number of a PostgreSQL bigint.
_LARGEST = 2**63 - 1


def clean(text: str) -> str:
    """`text` without what PostgreSQL cannot keep: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def text_of(value: object) -> str:
    """A value of an IMAP answer as text, whatever it is."""
    if isinstance(value, bytes):
        try:
            return clean(value.decode("utf-8"))
        except UnicodeDecodeError:
            return clean(value.decode("latin-1"))
    return clean(str(value))


def decoded(field: str) -> str:
    """A header field with its encoded words read (RFC 2047); as it is where that fails."""
    try:
        # Not `make_header`, which puts spaces where a name has none: `=?utf-8?q?Zo=C3=AB?=.pdf`.
        pieces = [
            piece if isinstance(piece, str) else piece.decode(charset or "latin-1")
            for piece, charset in decode_header(field)
        ]
        return clean("".join(pieces))
    except (LookupError, UnicodeError, ValueError, HeaderParseError):
        return clean(field)


def moment(text: str) -> datetime | None:
    """The date that `text` says (RFC 5322 §3.3, RFC 3501 §9 date-time), in UTC."""
    try:
        return in_range(parsedate_to_datetime(text.strip()))
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def in_range(date: datetime | None) -> datetime | None:
    """`date` in UTC, or None where a sender's clock was broken."""
    if date is None:
        return None
    try:
        there = date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return there if there.year in _YEARS else None


def whole_number(value: object) -> int:
    """`value` where it is a number that can be kept, else 0."""
    return value if isinstance(value, int) and 0 <= value <= _LARGEST else 0
