"""File names as they are shown, saved and written into a header."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire_api.filenames import disposition, shown


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\ann\\plan.doc", "plan.doc"),
        ("invoice 1/2.pdf", "invoice 1_2.pdf"),
        ("a\r\nSet-Cookie: x.txt", "a Set-Cookie_ x.txt"),
        ("nul\0byte.txt", "nulbyte.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        (" .hidden. ", "hidden"),
        ("Übersicht 2025.ods", "Übersicht 2025.ods"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
        ("x" * 300, "x" * 120),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("folder/lpt1 .txt", "folder_lpt1 .txt"),
        ("./COM3 .txt", "_COM3 .txt"),
        ("contract.pdf", "contract.pdf"),
    ],
)
def test_a_name_is_shown_without_what_could_do_harm(given_name: str, name: str) -> None:
    assert shown(given_name, "application/pdf", 1) == name


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("image/png", "part-2.png"),
        ("image/jpeg", "part-2.jpg"),
        ("message/rfc822", "part-2.eml"),
        ("text/calendar", "part-2.ics"),
        ("application/x-nobody-knows", "part-2.bin"),
    ],
)
def test_a_part_without_a_name_gets_one_from_its_place_and_type(
    content_type: str, name: str
) -> None:
    for nothing in (None, "", " ", "...", "\u202e"):
        assert shown(nothing, content_type, 2) == name


def test_a_message_is_saved_as_one() -> None:
    assert shown("Re: lunch", "message/rfc822", 1) == "Re_ lunch.eml"
    assert shown("lunch.EML", "message/rfc822", 1) == "lunch.EML"


def test_a_header_has_the_name_in_ascii_and_as_it_is() -> None:
    assert disposition("attachment", "a b.pdf") == 'attachment; filename="a b.pdf"'
    assert disposition("inline", "Zoë's 100%.png") == (
        "inline; filename=\"Zoe's 100_.png\"; filename*=UTF-8''Zo%C3%AB%27s%20100%25.png"
    )
    assert disposition("attachment", "報告.pdf") == (
        "attachment; filename=\".pdf\"; filename*=UTF-8''%E5%A0%B1%E5%91%8A.pdf"
    )


@given(name=st.text(max_size=300), content_type=st.text(max_size=20))
def test_any_name_is_safe_to_show_and_to_send(name: str, content_type: str) -> None:
    found = shown(name, content_type, 3)
    assert 0 < len(found) <= 125
    assert not set(found) & set('/\\:*?"<>|\r\n\0')
    assert not {unicodedata.category(one) for one in found} & {"Cc", "Cf", "Cs"}
    header = disposition("attachment", found)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
