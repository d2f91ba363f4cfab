"""Transfer encodings undone piece by piece."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire_worker.decoding import decoder


def decoded(encoding: str, content: bytes, size: int) -> bytes:
    decoding = decoder(encoding)
    pieces = [content[begin : begin + size] for begin in range(0, len(content), size)]
    return b"".join([*map(decoding.feed, pieces), decoding.end()])


@given(content=st.binary(max_size=500), size=st.integers(1, 200))
def test_base64_in_lines_is_read_wherever_the_pieces_end(content: bytes, size: int) -> None:
    assert decoded("base64", base64.encodebytes(content), size) == content


@given(content=st.binary(max_size=500), size=st.integers(1, 200))
def test_quoted_printable_is_read_wherever_the_pieces_end(content: bytes, size: int) -> None:
    assert decoded("quoted-printable", quopri.encodestring(content), size) == content


@given(content=st.binary(max_size=200), encoding=st.sampled_from(["7bit", "8bit", "x-own", ""]))
def test_what_is_not_encoded_or_unknown_is_taken_as_it_is(content: bytes, encoding: str) -> None:
    assert decoded(encoding, content, 7) == content


@pytest.mark.parametrize(
    ("damaged", "meant"),
    [
        (b"SGVs\r\n bG8g\x00\xff d29y*bGQ=", b"Hello world"),
        (b"SGVsbG8=\r\nIHdvcmxk", b"Hello world"),
        (b"SGVsbG8===IHdvcmxk==", b"Hello world"),
        (b"SGVsbG8gd29ybGQ", b"Hello world"),
        (b"SGVsbG8gd29ybGQgI", b"Hello world "),
        (b"====", b""),
    ],
)
def test_damaged_base64_loses_no_more_than_what_is_damaged(damaged: bytes, meant: bytes) -> None:
    for size in (1, 3, 100):
        assert decoded("BASE64", damaged, size) == meant


@given(content=st.binary(max_size=400), size=st.integers(1, 100))
def test_any_bytes_are_decoded_to_something(content: bytes, size: int) -> None:
    for encoding in ("base64", "quoted-printable"):
        assert len(decoded(encoding, content, size)) <= len(content)


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    # Given a quoted-printable line of a megabyte
    decoding = decoder("quoted-printable")
    # When it comes in pieces that cut escapes
    read = sum(len(decoding.feed(b"=41" * 1000 + b"=")) for _ in range(300))
    # Then it was given away long before its end
    assert read > 200_000
