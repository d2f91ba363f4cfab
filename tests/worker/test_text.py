"""What others wrote, made fit to be kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire_worker.text import clean, decoded, in_range, moment, text_of, whole_number


@given(st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Cc", "Lu"]))))
def test_clean_text_can_be_kept(text: str) -> None:
    kept = clean(text)
    assert "\0" not in kept
    assert kept.encode().decode() == kept


@given(st.one_of(st.binary(), st.integers(), st.none(), st.text()))
def test_any_value_is_text(value: object) -> None:
    assert "\0" not in text_of(value)


def test_bytes_that_are_no_utf_8_are_read_as_latin_1() -> None:
    assert text_of("Grüße €".encode()) == "Grüße €"
    assert text_of("Grüße".encode("latin-1")) == "Grüße"


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?nowhere?q?x?=", "=?nowhere?q?x?="),
        ("=?utf-8?b?A?=", "=?utf-8?b?A?="),
        ("a\0b", "a\ufffdb"),
        ("=?iso-8859-1?q?Zo=EB?=.pdf", "Zoë.pdf"),
        ("one =?utf-8?q?two?= three", "one two three"),
        ("=?utf-8?b?w6TDtsM=?= =?utf-8?b?vA==?=", "äöü"),
    ],
)
def test_encoded_words_are_read_where_they_can_be(field: str, wanted: str) -> None:
    assert decoded(field) == wanted


@given(st.text())
def test_any_field_is_decoded(field: str) -> None:
    assert "\0" not in decoded(field)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Wed, 17 Jul 2024 02:44:25 +0200", datetime(2024, 7, 17, 0, 44, 25, tzinfo=UTC)),
        (" 7-Jul-2024 02:44:25 -0000", datetime(2024, 7, 7, 2, 44, 25, tzinfo=UTC)),
        ("Wed, 17 Jul 2024 02:44:25 +9959", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Thu, 1 Jan 1950 00:00:00 +0000", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_a_date_is_one_or_none(text: str, wanted: datetime | None) -> None:
    assert moment(text) == wanted


@given(st.text())
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = moment(text)
    assert found is None or found.tzinfo is UTC


def test_a_date_is_kept_in_utc() -> None:
    assert in_range(datetime(2024, 1, 1)) == datetime(2024, 1, 1, tzinfo=UTC)  # noqa: DTZ001
    far = timezone(timedelta(hours=23, minutes=59))
    assert in_range(datetime(1, 1, 1, tzinfo=far)) is None


@pytest.mark.parametrize(
    ("value", "wanted"), [(5, 5), (0, 0), (-1, 0), (2**63 - 1, 2**63 - 1), (2**63, 0), ("5", 0)]
)
def test_a_number_is_one_that_can_be_kept(value: object, wanted: int) -> None:
    assert whole_number(value) == wanted
