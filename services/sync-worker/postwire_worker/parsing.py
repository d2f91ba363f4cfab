"""Answers to FETCH as nested tuples: as imapclient's parser makes them, in a third of the time.

It reads byte by byte in Python; one pattern cuts here what servers really send. What the pattern
does not know is left to imapclient, so that there is one truth about it: the tests compare both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from imapclient.response_parser import parse_response

#: Parentheses, quoted strings (RFC 3501 §9), atoms with what stands in brackets, and, a byte at a
#: time, whatever is none of these.
_TOKEN = re.compile(
    rb"""[()]|(?<![^ ()])"(?:[^"\\]|\\.)*+"|(?:[^\x00-\x20()"\[%]++|\[[^\]]*+\])++|[^ ]""",
    re.DOTALL,
)
_ODD = frozenset(bytes([code]) for code in [*range(0x20), *b'"[%'])
_ESCAPED = re.compile(rb'\\(["\\])')
#: Parentheses in parentheses; imapclient would not come back from many more.
_DEPTH = 200
_OPEN, _CLOSE, _QUOTE, _LITERAL, _ZERO = b'()"{0'


class _Odd(Exception):
    """Not what servers send as a rule."""


def parse(said: Sequence[Any]) -> tuple[Any, ...]:
    """What imaplib has gathered of the answers: for each its number and a tuple of its items.

    Raises:
        ProtocolError: they make no sense.
        ValueError: nor does a number in them.
    """
    try:
        return tuple(_nested(said))
    except (_Odd, ValueError):
        parsed: tuple[Any, ...] = parse_response(list(said))
        return parsed


def _nested(said: Sequence[Any]) -> list[Any]:
    above: list[list[Any]] = []
    items: list[Any] = []
    for record in said:
        # With a literal imaplib has two: the line up to it, and its bytes.
        line, literal = record if isinstance(record, tuple) else (record, None)
        if not isinstance(line, bytes):
            raise _Odd
        for token in _TOKEN.findall(line):
            first = token[0]
            if first == _OPEN:
                above.append(items)
                items = []
            elif first == _CLOSE:
                if not above:
                    raise _Odd
                above[-1].append(tuple(items))
                items = above.pop()
            elif first == _QUOTE and len(token) > 1:
                items.append(_ESCAPED.sub(rb"\1", token[1:-1]) if b"\\" in token else token[1:-1])
            else:
                items.append(_atom(token, literal))
        if len(above) > _DEPTH:
            raise _Odd
    if above:
        raise _Odd
    return items


def _atom(token: bytes, literal: bytes | None) -> Any:
    if token == b"NIL":
        return None
    if token.isdigit():
        return int(token) if token[0] != _ZERO or len(token) == 1 else token
    if token[0] == _LITERAL:
        if literal is None or token != b"{%d}" % len(literal):
            raise _Odd
        return literal
    if token in _ODD:
        raise _Odd
    return token
