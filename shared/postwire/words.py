"""Text to the words that a search compares, the same for what is stored and for what is asked.

Nothing here knows a language: no stemming, no stop words. Case and accents are folded. A word is a
run of letters and digits, so an address, a host or an amount is found by its parts, and whole as
the phrase of them. Scripts that put no spaces between words are cut into pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata

#: Characters of a word that count; what is longer is found by its beginning.
MAX_WORD = 64

#: Letters that Unicode does not take for an accented form of another one.
_STROKED = {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe"}
_IS_STROKED = re.compile(f"[{''.join(_STROKED)}]")
#: Accents of Latin, Greek and Cyrillic; the marks of other scripts are letters of theirs.
_ACCENTS = re.compile("[\u0300-\u036f]+")
_ASCII = re.compile(r"[a-z0-9]+")
#: Thai to Burmese, Khmer, kana, Han and Hangul: words that no space parts.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
)
#: Vowel signs of Hebrew, Arabic and the scripts of India, which `\w` leaves out.
_SIGNS = "\u0591-\u05c7\u0610-\u065f\u0900-\u0903\u093a-\u0dff"
_RUN = re.compile(rf"[\w{_SIGNS}{_UNSPACED}]+")
#: A run may go from one kind of script to the other.
_PIECE = re.compile(rf"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")


def fold(text: str) -> str:
    """`text` without what a search does not tell apart: case, accents, forms of one letter."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = _IS_STROKED.sub(lambda found: _STROKED[found[0]], _ACCENTS.sub("", plain))
    return unicodedata.normalize("NFC", bare)


def runs(text: str) -> list[str]:
    """The words of `text`, folded; what has no spaces is one run."""
    folded = fold(text)
    if folded.isascii():
        return _ASCII.findall(folded)
    # An underscore is a letter to the pattern, and none to us.
    found = _RUN.findall(folded.replace("_", " "))
    return [piece for run in found for piece in _cut(run)]


def _cut(run: str) -> list[str]:
    return [run] if run.isascii() else _PIECE.findall(run)


def placed(text: str, most: int) -> list[tuple[int, str]]:
    """The words of a stored `text`, each with its place, from 0 to below `most`.

    The last character of a run without spaces shares its place with the pair that it ends, so that
    one character alone is found anywhere in the run, and what follows still follows.
    """
    found: list[tuple[int, str]] = []
    at = 0
    for run in runs(text):
        if at >= most:
            break
        if unspaced(run):
            pieces = pairs(run)
            found += enumerate(pieces, at)
            at += len(pieces)
            if len(run) > 1:
                found.append((at - 1, run[-1]))
        else:
            found.append((at, run[:MAX_WORD]))
            at += 1
    return [one for one in found if one[0] < most] if at > most else found


def pairs(run: str) -> list[str]:
    """What of a run is compared: itself, or its pairs of characters where it has no spaces."""
    if len(run) < 2 or not unspaced(run):  # noqa: PLR2004 - a pair
        return [run[:MAX_WORD]]
    return [run[at : at + 2] for at in range(len(run) - 1)]


def unspaced(run: str) -> bool:
    """Whether the run is of a script that puts no spaces between words."""
    return not run.isascii() and _IS_UNSPACED.match(run) is not None
