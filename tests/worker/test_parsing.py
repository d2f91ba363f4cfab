from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from imapclient.response_parser import parse_response

from postwire_worker import parsing

PIECES = [
    b"(", b")", b" ", b'"a b"', rb'"a\"b"', rb'"\x"', b'"\\\\"', b'"', b'""', b"NIL", b"nil",
    b"12", b"012", b"0", b"-1", b"{3}", b"{4}", b"{", b"}", b"~{3}", b"[", b"]", b"BODY[1]<0>",
    b'BODY[HEADER.FIELDS (A "B")]', b"%", b"*", rb"\Seen", b"\t", b"\x00", b"\xff", b"a",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
RECORDS = LINES | st.tuples(LINES.map(lambda line: line + b"{3}"), st.sampled_from([b"xyz", b"xy"]))
FETCHED: list[Any] = [
    (
        (
            rb'7 (UID 9 FLAGS (\Seen) INTERNALDATE "01-Jan-2024 00:03:00 +0000" RFC822.SIZE 7'
            rb' BODYSTRUCTURE (("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 12 3 NIL NIL)'
            rb'("APPLICATION" "PDF" ("NAME" "a \"b\".pdf") NIL NIL "BASE64" 22 NIL NIL) "MIXED")'
            rb" BODY[HEADER]<0> {7}"
        ),
        b"From: a",
    ),
    b")",
]


def outcome(parse: Callable[[list[Any]], object], said: list[Any]) -> object:
    try:
        return parse(said)
    except Exception as error:  # noqa: BLE001 - whichever it is, both must raise it
        return type(error)


@given(st.lists(RECORDS, max_size=4))
@example([None])
@example([b"1 (UID 007)"])
@example([b"9" * 5000])
def test_it_makes_of_anything_what_imapclient_makes_of_it(said: list[Any]) -> None:
    assert outcome(parsing.parse, said) == outcome(parse_response, said)


def test_it_reads_by_itself_what_servers_send(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = parse_response(FETCHED)
    monkeypatch.setattr(parsing, "parse_response", None)
    assert parsing.parse(FETCHED) == expected


def test_lists_in_lists_without_end_are_refused_by_both() -> None:
    said = [b"1 " + b"(" * 100_000]
    with pytest.raises(RecursionError):
        parsing.parse(said)
