"""The excerpt of a message that was found, with what was looked for marked.

It is plain text in pieces: nothing in it is markup, and no position in it needs to be counted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from postwire import words
from postwire_api.schemas import Piece

#: Characters of an excerpt, and of it before the first match.
_LENGTH, _LEAD = 200, 60
_SPACE = re.compile(r"\s+")
#: Words as they stand in a text; folding cuts them as `postwire.words` does.
_STANDING = re.compile(r"(?:\w|[^\x00-\x7f])+")


def excerpt(text: str, marked: Collection[str]) -> list[Piece]:
    """A stretch of `text` around the first of the words `marked`, or its beginning.

    A word that ends in `*` marks what begins so.
    """
    plain = _SPACE.sub(" ", text).strip()
    matches = _matches(plain, marked)
    first = next(matches, None)
    start = 0 if first is None else _start(plain, first[0])
    shown, end = [], min(start + _LENGTH, len(plain))
    while first is not None and first[0] < end:
        shown.append((first[0], min(first[1], end)))
        first = next(matches, None)
    return list(_pieces(plain, start, end, shown))


def _start(plain: str, match: int) -> int:
    if match <= _LEAD:
        return 0
    # Not in the middle of a word, where a space is near.
    space = plain.find(" ", match - _LEAD, match)
    return match - _LEAD if space < 0 else space + 1


def _pieces(plain: str, start: int, end: int, shown: list[tuple[int, int]]) -> Iterator[Piece]:
    at = start
    opening = "…" if start else ""
    for begin, stop in shown:
        if opening or begin > at:
            yield Piece(text=opening + plain[at:begin], match=False)
        yield Piece(text=plain[begin:stop], match=True)
        at, opening = stop, ""
    rest = opening + plain[at:end] + ("…" if end < len(plain) else "")
    if rest:
        yield Piece(text=rest, match=False)


def _matches(plain: str, marked: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where the marked words stand in the text."""
    whole = {word for word in marked if not word.endswith("*")}
    beginnings = tuple(word[:-1] for word in marked if word.endswith("*"))
    inside = [word for word in whole if words.unspaced(word)]
    if not marked:
        return
    for standing in _STANDING.finditer(plain):
        found = standing.group()
        runs = words.runs(found)
        if any(run[: words.MAX_WORD] in whole for run in runs) or (
            beginnings and any(run.startswith(beginnings) for run in runs)
        ):
            yield standing.span()
        elif inside and not found.isascii():
            yield from _inside(found, inside, standing.start())


def _inside(found: str, inside: list[str], start: int) -> Iterator[tuple[int, int]]:
    """Marked words within a run that has no spaces; as written, for folding may move them."""
    pattern = "|".join(map(re.escape, sorted(inside, key=len, reverse=True)))
    for match in re.finditer(pattern, found):
        yield start + match.start(), start + match.end()
