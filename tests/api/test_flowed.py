"""Text whose lines were broken for the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire.model import Flow
from postwire_api.flowed import unwrap


@pytest.mark.parametrize(
    ("flow", "received", "read"),
    [
        ("", "one \ntwo", "one \ntwo"),
        ("flowed", "one \r\ntwo\r\n\r\nthree", "one two\n\nthree"),
        ("delsp", "Donau \ndampf \nschiff", "Donaudampfschiff"),
        ("flowed", "> a \n> b\n>> c \n>> d\ne", "> a b\n>> c d\ne"),
        ("flowed", "> a \nb", "> a \nb"),
        ("flowed", " >not quoted\n From here", ">not quoted\nFrom here"),
        ("flowed", "bye \n-- \nRobin", "bye \n-- \nRobin"),
        ("flowed", ">\n> x", ">\n> x"),
        ("flowed", "open \n", "open "),
    ],
)
def test_lines_that_belong_together_become_a_paragraph(
    flow: Flow, received: str, read: str
) -> None:
    assert unwrap(received, flow) == read


@given(text=st.text(st.sampled_from(">- \n\rab"), max_size=80))
def test_no_text_loses_its_words(text: str) -> None:
    for flow in ("flowed", "delsp"):
        read = unwrap(text, flow)  # type: ignore[arg-type]
        assert [one for one in read if one in "ab"] == [one for one in text if one in "ab"]
