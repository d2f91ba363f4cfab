from __future__ import annotations

import pytest

from postwire.command.console import WIDTH, fill, plain, table


def test_a_table_fits_and_keeps_its_first_column_whole(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ID", "ADDRESS", "ERROR"), [("i" * 40, "a" * 30, "e" * 90), ("i", "a", None)])
    header, long, short = capsys.readouterr().out.splitlines()
    assert len(long) == WIDTH
    assert long.startswith("i" * 40 + "  " + "a" * 27)
    assert long.endswith("e…")
    assert [header.index("ERROR")] == [short.rindex("-")]


def test_a_note_stands_under_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ID",), [("1",), ("2",)], [None, "broke"])
    assert capsys.readouterr().out == "ID\n1\n2\n    broke\n"


def test_a_table_without_rows_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ID", "STATE"), [])
    assert capsys.readouterr().out == "ID  STATE\n"


def test_what_came_from_elsewhere_does_nothing_to_a_terminal() -> None:
    assert plain("a\x1b[2Jb\nc\u202e") == "a?[2Jb?c?"
    assert (plain(None), plain(""), plain(0)) == ("-", "-", "0")


def test_text_is_broken_between_words_and_indented() -> None:
    first, second = fill("word " * 22, indent=4, first=2).splitlines()
    assert first.startswith("  word")
    assert second.startswith("    word")
