"""What may be told of a mail account's login, checked the same wherever it is entered.

Each check raises ValueError in words, which name the field and do not repeat what stands in it.
"""

from __future__ import annotations

import ipaddress
import re

#: RFC 1123 §2.1, with the underscore that container networks like to use.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
#: RFC 1035 §2.3.4, as text without the last dot.
MAX_NAME = 253
#: Rough on purpose: only the mail server knows which addresses it has.
_ADDRESS = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
#: What a line of IMAP cannot hold (RFC 3501 §9, TEXT-CHAR).
UNSENDABLE = re.compile(r"[\x00\r\n]")


def check_address(address: str) -> None:
    """An email address, as far as anyone can tell."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("address: write it as name@example.com")


def check_host(host: str) -> None:
    """A host name or an IP address."""
    if not (_is_ip(host) or is_host(host)):
        raise ValueError("host: write a host name like imap.example.com, or an IP address")


def check_line(name: str, text: str) -> None:
    """A user name or a password: something that can be sent to a mail server."""
    if UNSENDABLE.search(text):
        raise ValueError(f"{name}: it may not hold line breaks or NUL")


def is_host(name: str) -> bool:
    """Whether this could be the name of a host."""
    labels = name.removesuffix(".").split(".")
    return len(name) <= MAX_NAME and all(_LABEL.fullmatch(label) for label in labels)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
