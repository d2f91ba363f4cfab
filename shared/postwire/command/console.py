"""What a command says: results on standard output, all else on standard error.

No line is longer than `WIDTH`, and nothing that came from elsewhere reaches the terminal as a
control sequence.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import click
import msgspec

#: Columns of the narrowest terminal that shows everything.
WIDTH = 100
_GAP = "  "
#: A column is not cut to less.
_NARROWEST = 8


def about(does: str, *examples: str) -> str:
    """The text of `--help`; its first sentence stands in the list of commands."""
    # The mark tells click to leave the lines as they are.
    lines = "\n".join(f"  {example}" for example in examples)
    return f"{does}\n\n\b\n{lines}"


def say(words: str) -> None:
    """Say something that is no result."""
    for line in words.splitlines():
        click.echo(fill(line), err=True)


def out(line: str = "") -> None:
    """Write one line of the result."""
    click.echo(line)


def as_json(value: object) -> None:
    """Write the result for machines."""
    out(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def plain(value: object) -> str:
    """`value` as text that does nothing to a terminal."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(one if one.isprintable() else "?" for one in text)


def fill(text: str, indent: int = 0, first: int | None = None) -> str:
    """`text` in lines of `WIDTH`, indented; the first line by `first`."""
    begin = " " * (indent if first is None else first)
    return textwrap.fill(
        text, WIDTH, initial_indent=begin, subsequent_indent=" " * indent, break_on_hyphens=False
    )


def listing(pairs: Sequence[tuple[str, object]]) -> None:
    """Write what is known of one thing, a name and a value a line, the values below each other."""
    width = max(len(name) for name, _ in pairs) + len(_GAP)
    for name, value in pairs:
        out(fill(f"{name:<{width}}{plain(value)}", indent=width, first=0))


def table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], notes: Sequence[str | None] = ()
) -> None:
    """Write rows under their header; what is too wide is cut, the widest column first.

    `notes` stand each under its row, where there is one.
    """
    texts = [list(header), *([plain(cell) for cell in row] for row in rows)]
    widths = _widths(texts)
    for line, note in zip_longest(texts, (None, *notes)):
        cells = (_cut(cell, width).ljust(width) for cell, width in zip(line, widths, strict=True))
        out(_GAP.join(cells).rstrip())
        if note:
            out(fill(plain(note), indent=4))


def _widths(lines: list[list[str]]) -> list[int]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    # An id is of no use when it is cut, and stands first.
    while (
        sum(widths) + len(_GAP) * (len(widths) - 1) > WIDTH
        and max(widths[1:], default=0) > _NARROWEST
    ):
        widest = max(range(1, len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
