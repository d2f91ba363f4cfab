"""Excerpts show where the words stand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postwire_api.excerpts import excerpt


def marked(text: str, *words: str) -> str:
    """The excerpt with brackets around what is marked."""
    return "".join(
        f"[{one.text}]" if one.match else one.text for one in excerpt(text, frozenset(words))
    )


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        ("", ["a"], ""),
        ("nothing of it", ["a"], "nothing of it"),
        ("A red\n\n car, a RED one", ["red"], "A [red] car, a [RED] one"),
        ("in Malmö", ["malmo"], "in [Malmö]"),
        ("today's invoices", ["invoic*"], "today's [invoices]"),
        ("私は東京都に", ["東京"], "私は[東京]都に"),
        ("anna@example.com", ["example"], "anna@[example].com"),
    ],
)
def test_words_are_marked_as_they_stand(text: str, words: list[str], shown: str) -> None:
    # When an excerpt is taken, then it shows this
    assert marked(text, *words) == shown


def test_a_long_text_is_shown_around_the_first_match() -> None:
    # Given a text with the word far down
    text = "before " * 100 + "needle " + "after " * 100
    # When an excerpt is taken
    shown = marked(text, "needle")
    # Then it begins a little before, at a word, and says that it is cut at both ends
    assert shown.startswith("…before before")
    assert "[needle] after" in shown
    assert shown.endswith("…")
    assert len(shown) < 210


@settings(derandomize=True, database=None, deadline=None)
@given(st.text(max_size=400), st.sets(st.text(min_size=1, max_size=4), max_size=4))
def test_an_excerpt_is_a_stretch_of_the_text(text: str, words: set[str]) -> None:
    # When an excerpt of anything is taken
    pieces = excerpt(text, frozenset(words))
    # Then its pieces together are a stretch of the text, and none is empty
    shown = "".join(one.text for one in pieces)
    plain = " ".join(text.split())
    assert all(one.text for one in pieces)
    assert shown.removesuffix("…").removeprefix("…") in plain or shown.strip("…") in plain
