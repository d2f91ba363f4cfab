"""Words are the same for what is stored and for what is asked."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postwire import words


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("anna.lindqvist@mail.example.co.uk", ["anna", "lindqvist", "mail", "example", "co", "uk"]),
        ("1,234.50 € user_name", ["1", "234", "50", "user", "name"]),
        ("Malmö MALMÖ Malmo\u0308", ["malmo"] * 3),
        ("Straße Łódź Ørsted İstanbul", ["strasse", "lodz", "orsted", "istanbul"]),
        ("ﬁnance \uff21\uff22\uff23", ["finance", "abc"]),
        ("Ёлка й", ["елка", "и"]),
        ("東京都 abc안녕", ["東京都", "abc", "안녕"]),
        ("हिन्दी", ["हिन्दी"]),
        ("\0 \ud800 !?", []),
    ],
)
def test_words_are_folded_and_cut(text: str, runs: list[str]) -> None:
    # When a text is cut, then these are its words
    assert words.runs(text) == runs


def test_a_run_without_spaces_is_found_by_each_part_and_what_follows_follows() -> None:
    # When a text of two scripts is cut
    placed = sorted(words.placed("東京都 abc", 100))
    # Then the pairs have places one after another, and the last character shares one
    assert placed == [(0, "東京"), (1, "京都"), (1, "都"), (2, "abc")]


def test_no_more_places_are_given_than_there_are() -> None:
    # When a text has more words than a tsvector has places, then the rest is left out
    assert list(words.placed("a b c", 2)) == [(0, "a"), (1, "b")]


def test_a_word_without_end_is_known_by_its_beginning() -> None:
    # When a word is longer than any word is, then only its beginning is kept
    assert words.pairs("x" * 9999) == ["x" * words.MAX_WORD]


@settings(deadline=None, derandomize=True, database=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_folding_twice_is_folding_once_and_words_can_be_quoted(text: str) -> None:
    # When any text is folded and cut
    folded = words.fold(text)
    # Then folding again changes nothing, and no word has a sign that means something in a tsquery
    assert words.fold(folded) == folded
    for _, word in words.placed(text, 1000):
        assert not set(word) & set("'\\:&|!()<>* \0@")
        assert 0 < len(word) <= words.MAX_WORD


def test_a_large_text_is_cut_in_reasonable_time() -> None:
    # Given texts of a hundred thousand characters that are hard to cut
    for text in ("a-" * 50_000, "ä" * 100_000, "京" * 100_000, "é京" * 50_000, "\u0300" * 100_000):
        began = time.monotonic()
        # When one is cut
        list(words.placed(text, 16_383))
        # Then it takes no time that anybody would notice
        assert time.monotonic() - began < 2
