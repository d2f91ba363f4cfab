"""BODYSTRUCTURE to the parts of a message (RFC 3501 §7.4.2), as far as it can be trusted.

Servers get it wrong in many ways; whatever does not look right is `Untrustworthy`, and the
message is then fetched whole and read by ourselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value, decode_params, unquote
from itertools import islice, takewhile
from typing import Any

from postwire.model import Attachment, Flow
from postwire_worker.text import clean, decoded, text_of, whole_number

#: Deeper than this is an attack or a mistake.
_DEPTH = 50
_PARTS = 1000
#: Characters of a type, a name or an id that are kept.
_FIELD = 500
#: Characters that are decoded of one, or of a field; the time for that grows with their square.
_ENCODED = 5_000
_DISPOSITIONS = ("attachment", "inline", "form-data")


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
    #: How lines of text belong together (RFC 3676).
    flow: Flow = ""

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
    """The parts of a message that have bytes, in order; the structure is nested tuples.

    Raises:
        Untrustworthy: this is no structure to rely on.
    """
    try:
        parts = list(islice(_leaves(bodystructure, "", 0), _PARTS + 1))
    except (IndexError, TypeError, AttributeError, ValueError) as error:
        raise Untrustworthy(type(error).__name__) from None
    if not parts or len(parts) > _PARTS:
        raise Untrustworthy("no parts, or too many")
    return parts


def _leaves(node: Any, section: str, depth: int) -> Iterator[Part]:
    if depth > _DEPTH:
        raise Untrustworthy("too deep")
    if not isinstance(node, tuple):
        raise Untrustworthy("no list of parts")
    if isinstance(node[0], tuple):
        children = list(takewhile(lambda field: isinstance(field, tuple), node))
        if not isinstance(node[len(children)], bytes):
            raise Untrustworthy("a multipart without a subtype")
        for number, child in enumerate(children, start=1):
            yield from _leaves(child, f"{section}.{number}" if section else str(number), depth + 1)
    else:
        yield _leaf(node, section or "1")


def _leaf(node: Sequence[Any], section: str) -> Part:
    type_, subtype, parameters, content_id, _, encoding, size = node[:7]
    if not isinstance(type_, bytes) or not isinstance(subtype, bytes):
        raise Untrustworthy("a part without a type")
    if not isinstance(size, int) or whole_number(size) != size:
        raise Untrustworthy("a part without a size")
    by_name = _parameters(parameters)
    disposition, disposition_parameters = _disposition(node)
    return Part(
        section=section,
        type=_word(type_),
        subtype=_word(subtype),
        charset=by_name.get("charset", ""),
        encoding=_word(encoding) if encoding else "7bit",
        size=size,
        filename=disposition_parameters.get("filename") or by_name.get("name"),
        content_id=text_of(content_id).strip("<> ")[:_FIELD] if content_id else None,
        disposition=disposition,
        flow=_flow(by_name),
    )


def _flow(parameters: dict[str, str]) -> Flow:
    if parameters.get("format", "").lower() != "flowed":
        return ""
    return "delsp" if parameters.get("delsp", "").lower() == "yes" else "flowed"


def _disposition(node: Sequence[Any]) -> tuple[str | None, dict[str, str]]:
    # Its place depends on the type: text has a line count before it, a message its own structure.
    for field in node[7:]:
        match field:
            case (bytes() as name, (tuple() | None) as parameters) if _word(name) in _DISPOSITIONS:
                return _word(name), _parameters(parameters)
            case bytes() as line if _word(line.partition(b";")[0].strip()) in _DISPOSITIONS:
                return _disposition_line(text_of(line))
    return None, {}


def _disposition_line(line: str) -> tuple[str, dict[str, str]]:
    """What some servers, pymap among them, give in place of the list: the header field itself."""
    fields = Message()
    fields["Content-Disposition"] = line[:_ENCODED]
    filename = fields.get_filename()
    return _word(line.partition(";")[0].strip()), (
        {"filename": decoded(filename)[:_FIELD]} if filename else {}
    )


def _parameters(pairs: Any) -> dict[str, str]:
    if not pairs:
        return {}
    names, values = pairs[::2], pairs[1::2]
    given = [
        (text_of(name).lower(), text_of(value)) for name, value in zip(names, values, strict=True)
    ]
    return {name: value[:_FIELD] for name, value in _joined(given)}


def _joined(given: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters with what RFC 2231 has split and encoded put together again."""
    if any("*" in name for name, _ in given):
        # The first of the list is left as it is, for it is the type where this is used at home.
        _, *parameters = decode_params([("", ""), *given])
        # Its values are in quotes again, even those that had none.
        return [(name, clean(unquote(collapse_rfc2231_value(value)))) for name, value in parameters]
    # RFC 2047 §5 forbids encoded words here; half of the world's mail programs write them.
    return [(name, decoded(value[:_ENCODED]) if "=?" in value else value) for name, value in given]


def _word(value: object) -> str:
    return text_of(value).lower()[:_FIELD]
