"""Text whose lines were broken for the wire, as paragraphs again (RFC 3676).

Done when a message is read; what is stored is the text as received.
"""

from __future__ import annotations

import re

from postwire.model import Flow

_QUOTED = re.compile(r">*")
#: RFC 3676 §4.3: it ends with a space, and flows into nothing.
_SIGNATURE = "-- "


def unwrap(text: str, flow: Flow) -> str:
    """`text` with the lines joined that belong together; quoted ones keep their depth."""
    if not flow:
        return text
    paragraphs: list[str] = []
    parts: list[str] = []
    at = 0
    for line in text.replace("\r\n", "\n").split("\n"):
        depth, content = _read(line)
        if parts and (depth != at or content == _SIGNATURE):
            paragraphs.append(_written(at, parts))
            parts = []
        at = depth
        flows = content.endswith(" ") and content != _SIGNATURE
        parts.append(content[:-1] if flows and flow == "delsp" else content)
        if not flows:
            paragraphs.append(_written(at, parts))
            parts = []
    if parts:
        paragraphs.append(_written(at, parts))
    return "\n".join(paragraphs)


def _read(line: str) -> tuple[int, str]:
    """The depth of a line's quoting, and the line without it and without its stuffing (§4.4)."""
    depth = len(_QUOTED.match(line)[0])  # type: ignore[index]  # it matches nothing, too
    content = line[depth:]
    return depth, content.removeprefix(" ")


def _written(depth: int, parts: list[str]) -> str:
    content = "".join(parts)
    if not depth:
        return content
    return f"{'>' * depth} {content}" if content else ">" * depth
