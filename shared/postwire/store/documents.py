"""The documents that messages are found by (decision record 6).

A document is a tsvector of our own making (`postwire.words` folds and cuts): every word with its
places and a weight, and beside it marks, which no word can look like: `@<account>` and
`@<account>/<month>`, so that one index knows whose a word is and how new; `f:<word>` for who sent
it, `t:` for who received it, `s:` for the subject; `h:attachment`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire import words
from postwire.model import AccountId, Body, Headers, MessageId

#: Characters of a text that are indexed.
INDEXED = 100_000
#: The last place that a tsvector can tell from the next one; see PostgreSQL's limits.
_LAST_PLACE = 16_383
#: Places of one word that are kept; PostgreSQL keeps 255.
_PLACES = 100
#: Seconds of thirty days.
_MONTH = 30 * 86_400
#: Bytes of all different words; with their places they stay below the megabyte of a tsvector.
_BYTES = 500_000
#: Places between two fields, so that no phrase reaches across.
_GAP = 10


@dataclass(frozen=True, slots=True)
class Source:
    """A message as it is indexed; an attachment without a name has an empty one."""

    id: MessageId
    internaldate: datetime
    headers: Headers
    body: Body | None
    filenames: tuple[str, ...] = ()


def index(
    connection: Connection[TupleRow], account_id: AccountId, sources: Iterable[Source]
) -> None:
    """Have the messages found from now on; one that is found already stays as it is."""
    connection.cursor().executemany(
        """
        INSERT INTO search (account_id, message_id, internaldate, document, visible)
        VALUES (%s, %s, %s, %s::tsvector, %s)
        ON CONFLICT DO NOTHING
        """,
        [
            [account_id, one.id, one.internaldate, document(account_id, one),
             one.body and one.body.visible]
            for one in sources
        ],
    )  # fmt: skip


def document(account_id: AccountId, source: Source) -> str:
    """The text of the tsvector that the message is found by."""
    headers = source.headers
    made = _Document()
    made.mark(owner(account_id))
    made.mark(owner(account_id, month(source.internaldate)))
    made.add(headers.subject, "A", "s")
    for person in headers.from_:
        made.add(f"{person.name} {person.address}", "A", "f")
    for person in (*headers.to, *headers.cc, *headers.bcc):
        made.add(f"{person.name} {person.address}", "B", "t")
    for person in headers.reply_to:
        made.add(f"{person.name} {person.address}", "B")
    for filename in source.filenames:
        made.mark("h:attachment")
        made.add(filename, "C")
    if source.body:
        made.add((source.body.text or "").strip() or source.body.visible or "", "D")
    return made.text()


class _Document:
    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}
        self._at = 1
        self._room = _BYTES

    def mark(self, mark: str) -> None:
        self._places[mark] = []

    def add(self, text: str, weight: str, field_: str | None = None) -> None:
        found = words.placed(text[:INDEXED], _LAST_PLACE - self._at)
        by_word: defaultdict[str, list[int]] = defaultdict(list)
        for place, word in found:
            by_word[word].append(self._at + place)
        for word, numbers in by_word.items():
            places = [f"{number}{weight}" for number in numbers[:_PLACES]]
            self._place(word, places)
            if field_:
                self._place(f"{field_}:{word}", places)
        last = self._at + found[-1][0] if found else self._at
        self._at = min(last + _GAP, _LAST_PLACE)

    def _place(self, name: str, places: list[str]) -> None:
        known = self._places.get(name)
        if known is not None:
            known += places[: _PLACES - len(known)]
            return
        self._room -= len(name.encode())
        if self._room >= 0:
            self._places[name] = places.copy()

    def text(self) -> str:
        # Letters and digits, and the signs of the marks: nothing that would end the quotes.
        return " ".join(
            f"'{word}':{','.join(places)}" if places else f"'{word}'"
            for word, places in self._places.items()
        )


def owner(account_id: AccountId, month_: int | None = None) -> str:
    """The mark of the account, or of one month of it, in each of its documents."""
    mark = "@" + account_id.replace("-", "")
    return mark if month_ is None else f"{mark}/{month_}"


def month(at: datetime) -> int:
    """The number of the thirty days that `at` lies in."""
    return int(at.timestamp()) // _MONTH
