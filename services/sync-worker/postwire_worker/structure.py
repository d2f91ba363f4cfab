"""BODYSTRUCTURE to the parts of a message (RFC 3501 §7.4.2), as far as it can be trusted.

Servers get it wrong in many ways; whatever does not look right is `Untrustworthy`, and the
message is then fetched whole and read by ourselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from postwire.model import Attachment

#: Deeper than this is an attack or a mistake.
_DEPTH = 50
_PARTS = 1000


class Untrustworthy(Exception):
    """The structure does not look like one."""


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the tree: what it is and how its bytes are written."""

    section: str
    type: str
    subtype: str
    charset: str
    encoding: str
    size: int
    filename: str | None
    content_id: str | None
    disposition: str | None

    @property
    def is_body(self) -> bool:
        """Whether this is text to read rather than something attached (RFC 2183 §2)."""
        return (
            self.type == "text"
            and self.subtype in {"plain", "html"}
            and self.disposition != "attachment"
            and not (self.filename and self.disposition != "inline")
        )

    def as_attachment(self) -> Attachment:
        """What is kept of a part that is no body."""
        return Attachment(
            section=self.section,
            filename=self.filename,
            content_type=f"{self.type}/{self.subtype}",
            size=self.size,
            content_id=self.content_id,
            disposition=self.disposition,
        )


def leaves(bodystructure: Any) -> list[Part]:
    """The parts of a message that have bytes, in order.

    Raises:
        Untrustworthy: this is no structure to rely on.
    """
    try:
        parts = list(_leaves(bodystructure, "", 0))
    except (IndexError, TypeError, AttributeError, ValueError) as error:
        raise Untrustworthy(type(error).__name__) from None
    if not parts or len(parts) > _PARTS:
        raise Untrustworthy("no parts, or too many")
    return parts


def _leaves(node: Any, section: str, depth: int) -> Iterator[Part]:
    if depth > _DEPTH:
        raise Untrustworthy("too deep")
    if isinstance(node[0], list):
        if not isinstance(node[1], bytes):
            raise Untrustworthy("a multipart without a subtype")
        for number, child in enumerate(node[0], start=1):
            yield from _leaves(child, f"{section}.{number}" if section else str(number), depth + 1)
    else:
        yield _leaf(node, section or "1")


def _leaf(node: Any, section: str) -> Part:
    type_, subtype, parameters, content_id, _, encoding, size = node[:7]
    if not isinstance(type_, bytes) or not isinstance(subtype, bytes) or not isinstance(size, int):
        raise Untrustworthy("a part without type or size")
    by_name = _parameters(parameters)
    disposition, disposition_parameters = _disposition(node)
    return Part(
        section=section,
        type=_lower(type_),
        subtype=_lower(subtype),
        charset=by_name.get("charset", ""),
        encoding=_lower(encoding) if encoding else "7bit",
        size=size,
        filename=disposition_parameters.get("filename") or by_name.get("name"),
        content_id=_text(content_id).strip("<> ") if content_id else None,
        disposition=disposition,
    )


def _disposition(node: Any) -> tuple[str | None, dict[str, str]]:
    # Its place depends on the type: text has a line count before it, a message its own structure.
    for field in node[7:]:
        match field:
            case (bytes() as name, (tuple() | None) as parameters) if _lower(name) in {
                "attachment",
                "inline",
                "form-data",
            }:
                return _lower(name), _parameters(parameters)
    return None, {}


def _parameters(pairs: Any) -> dict[str, str]:
    if not pairs:
        return {}
    names, values = pairs[::2], pairs[1::2]
    return {_lower(name): _text(value) for name, value in zip(names, values, strict=True)}


def _lower(value: bytes) -> str:
    return _text(value).lower()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value)
