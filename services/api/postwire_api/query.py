"""What a person types into the search field, to what the store looks for.

    invoice "payment due" or reminder -draft from:"anna lindqvist" after:2026-01-31 in:archive

Words and phrases, `or`, `-`, as PostgreSQL's websearch has them, `word*` for beginnings, and
filters. Whatever is typed is either understood or refused with `BadQuery`. What goes out is a
tsquery in which all that was typed is letters and digits between quotes; it is a parameter still.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from postwire import words
from postwire.errors import BadQuery
from postwire.store.search import Query

#: Characters of a search, and the words and filters in it.
MAX_LENGTH = 1_000
_MAX_TERMS = 64
#: Letters that a beginning needs; fewer are the beginning of too much.
_BEGINNING = 2
#: `-`, a filter's name, and a value in quotes or up to the next space.
_TERM = re.compile(
    r'(?P<minus>-?)(?:(?P<name>[A-Za-z]+):)?(?:"(?P<quoted>[^"]*)(?:"|\Z)|(?P<plain>\S*))'
)
_SIZE = re.compile(r"([0-9]{1,12})([km]?)b?", re.IGNORECASE | re.ASCII)
_UNIT = {"": 1, "k": 1024, "m": 1024 * 1024}
#: Characters of a value that an error repeats.
_REPEATED = 40


@dataclass(frozen=True, slots=True)
class _Term:
    minus: bool
    name: str
    value: str
    quoted: bool


def parse(text: str) -> Query:
    """What `text` asks for.

    Raises:
        BadQuery: in words, what is wrong with it.
    """
    if len(text) > MAX_LENGTH:
        raise BadQuery(f"The search is longer than {MAX_LENGTH} characters.")
    reader = _Reader()
    for term in _terms(text):
        reader.read(term)
    return reader.query()


def _terms(text: str) -> list[_Term]:
    terms = []
    at = 0
    while match := _TERM.match(text, at):
        # Where nothing matches but nothing, what stands there is a space.
        at = max(match.end(), at + 1)
        if match.group():
            quoted = match["quoted"]
            value = match["plain"] if quoted is None else quoted
            terms.append(_term(match, value or "", quoted=quoted is not None))
        if at > len(text):
            break
    if len(terms) > _MAX_TERMS:
        raise BadQuery(f"The search has more than {_MAX_TERMS} words and filters.")
    return terms


def _term(match: re.Match[str], value: str, *, quoted: bool) -> _Term:
    name = (match["name"] or "").lower()
    if name and name not in _NAMES:
        # `re: hello` or `https://…`: what looks like a filter and is none are words.
        return _Term(bool(match["minus"]), "", f"{name}:{value}", quoted)
    return _Term(bool(match["minus"]), name, value, quoted)


@dataclass(slots=True)
class _Alternative:
    """What must all be true; `demands` a word where not everything is `-`."""

    asked: list[str] = field(default_factory=list)
    demands: bool = False


@dataclass(slots=True)
class _Reader:
    """Alternatives of words, and filters on columns, which hold for all of them."""

    alternatives: list[_Alternative] = field(default_factory=lambda: [_Alternative()])
    marked: set[str] = field(default_factory=set)
    columns: dict[str, object] = field(default_factory=dict)
    not_mailboxes: list[str] = field(default_factory=list)
    #: What the last term was, for `or` stands between words only.
    after_or: bool = False
    after_column: bool = False

    def read(self, term: _Term) -> None:
        if term == _Term(minus=False, name="", value=term.value, quoted=False) and (
            term.value.lower() == "or"
        ):
            self.after_or = True
        elif term.name in _COLUMNS:
            self._no_or(self.after_or)
            _COLUMNS[term.name](self, term)
            self.after_column = True
        elif asked := _asked(term):
            self._no_or(self.after_or and self.after_column)
            self._add(asked, demands=not term.minus)
            if not term.minus and not term.name:
                self.marked |= _marked(term)

    def query(self) -> Query:
        filled = [one for one in self.alternatives if one.asked]
        if not filled and not self.columns and not self.not_mailboxes:
            raise BadQuery("Say what to look for: a word, or a filter such as from:anna.")
        return Query(
            words=" | ".join(f"({' & '.join(one.asked)})" for one in filled) or None,
            indexed=bool(filled) and all(one.demands for one in filled),
            marked=frozenset(self.marked),
            not_mailboxes=tuple(self.not_mailboxes),
            **self.columns,  # type: ignore[arg-type]
        )

    def _no_or(self, stands_there: bool) -> None:  # noqa: FBT001 - it reads as a sentence
        if stands_there:
            raise BadQuery(
                "`or` can stand between words, phrases, from:, to:, subject: and has: only."
            )

    def _add(self, asked: str, *, demands: bool) -> None:
        if self.after_or and self.alternatives[-1].asked:
            self.alternatives.append(_Alternative())
        self.alternatives[-1].asked.append(asked if demands else f"!({asked})")
        self.alternatives[-1].demands |= demands
        self.after_or = self.after_column = False


# What becomes part of the tsquery

#: The marks of `postwire.store.documents`.
_FIELDS = {"": "", "from": "f:", "to": "t:", "subject": "s:"}


def _asked(term: _Term) -> str:
    """The tsquery of one term; empty where there is no letter and no digit in it."""
    if term.name == "has":
        if words.fold(term.value) not in {"attachment", "attachments"}:
            raise BadQuery(f"has: knows has:attachment only, not {_repeat(term)}.")
        return "'h:attachment'"
    pieces = [
        # One character is looked for anywhere in a run, thus at the beginning of a pair too.
        f"'{_FIELDS[term.name]}{piece}'{':*' if words.unspaced(piece) and len(piece) == 1 else ''}"
        for run in words.runs(term.value)
        for piece in words.pairs(run)
    ]
    if not pieces and term.name:
        raise BadQuery(f"{term.name}: needs a word, for example {_EXAMPLES[term.name]}.")
    if _is_beginning(term):
        pieces[-1] = pieces[-1].removesuffix(":*") + ":*"
    return f"({' <-> '.join(pieces)})" if len(pieces) > 1 else "".join(pieces)


def _is_beginning(term: _Term) -> bool:
    if term.quoted or not term.value.endswith("*"):
        return False
    runs = words.runs(term.value)
    return bool(runs) and len(runs[-1]) >= _BEGINNING


def _marked(term: _Term) -> set[str]:
    runs = [run[: words.MAX_WORD] for run in words.runs(term.value)]
    if _is_beginning(term):
        runs[-1] += "*"
    return set(runs)


# What is asked of columns


def _read_date(reader: _Reader, term: _Term) -> None:
    _refuse_minus(term, "before:" if term.name == "after" else "after:")
    try:
        day = datetime.strptime(f"{term.value} +0000", "%Y-%m-%d %z")
    except ValueError:
        raise BadQuery(f"{term.name}: needs a date as 2026-01-31, not {_repeat(term)}.") from None
    reader.columns[term.name] = day


def _read_size(reader: _Reader, term: _Term) -> None:
    _refuse_minus(term, "smaller:" if term.name == "larger" else "larger:")
    match = _SIZE.fullmatch(term.value)
    if match is None:
        raise BadQuery(
            f"{term.name}: needs a size in bytes, or as 500k or 10M, not {_repeat(term)}."
        )
    reader.columns[term.name] = int(match[1]) * _UNIT[match[2].lower()]


def _read_is(reader: _Reader, term: _Term) -> None:
    states = {"unread": True, "read": False}
    state = states.get(term.value.lower())
    if state is None:
        raise BadQuery(f"is: knows is:unread and is:read, not {_repeat(term)}.")
    reader.columns["unread"] = state is not term.minus


def _read_in(reader: _Reader, term: _Term) -> None:
    name = term.value.strip().removeprefix("\\").encode("utf-8", "replace").decode()
    if not name or "\0" in name:
        raise BadQuery(f"in: needs the name of a mailbox, for example {_EXAMPLES['in']}.")
    if term.minus:
        reader.not_mailboxes.append(name)
    elif "mailbox" in reader.columns:
        raise BadQuery("in: can be given once; -in: leaves further mailboxes out.")
    else:
        reader.columns["mailbox"] = name


def _refuse_minus(term: _Term, instead: str) -> None:
    if term.minus:
        raise BadQuery(f"-{term.name}: cannot be; say {instead} instead.")


def _repeat(term: _Term) -> str:
    return f"“{term.value[:_REPEATED]}”" if term.value else "nothing"


_COLUMNS: dict[str, Callable[[_Reader, _Term], None]] = {
    "before": _read_date,
    "after": _read_date,
    "larger": _read_size,
    "smaller": _read_size,
    "is": _read_is,
    "in": _read_in,
}
_EXAMPLES = {
    "from": 'from:anna or from:"anna lindqvist"',
    "to": "to:bob@example.com",
    "subject": "subject:invoice",
    "in": 'in:inbox or in:"Projects/2026"',
}
_NAMES = {"has", *_FIELDS, *_COLUMNS}
