"""Finding messages: the newest matches, ranked in windows (decision record 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from psycopg import Connection
from psycopg.errors import QueryCanceled
from psycopg.rows import TupleRow

from postwire.errors import StoreUnavailable
from postwire.model import AccountId, Message, MessageId
from postwire.store import documents, messages

#: Matches that are ranked against each other: the newest ones, then the next so many.
WINDOW = 200
#: How many months back the index is asked at first; then in all.
_SPANS = (1, 4, 16)
#: Seconds a search may take.
TIMEOUT = 5
#: Characters of a text that are read for an excerpt.
_EXCERPTED = 20_000
#: Days after which a match counts for half.
_HALF = 90.0

#: Where a message lies in the order: newest first.
Position: TypeAlias = tuple[datetime, MessageId]
_Candidate: TypeAlias = tuple[datetime, MessageId, AccountId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for. `words` is a tsquery of quoted words and marks; None matches all.

    `indexed` says that each alternative of `words` demands a word, so that the index can find it.
    `marked` are the words to be marked in an excerpt.
    """

    words: str | None = None
    indexed: bool = False
    marked: frozenset[str] = frozenset()
    after: datetime | None = None
    before: datetime | None = None
    larger: int | None = None
    smaller: int | None = None
    unread: bool | None = None
    mailbox: str | None = None
    not_mailboxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A message that was found, the text to take an excerpt from, and how well it fits."""

    message: Message
    text: str
    rank: float


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a window's matches, best first; `top` is the window's newest, `last` its oldest.

    `matches` is how many the window has; there may be more below it where that is `WINDOW`.
    """

    found: list[Found]
    matches: int
    top: Position | None
    last: Position | None


def find(
    connection: Connection[TupleRow],
    user_id: str,
    query: Query,
    *,
    account_id: AccountId | None,
    below: Position | None,
    offset: int,
    limit: int,
) -> Page:
    """The user's messages that match, window by window, best first within each.

    A window is the newest `WINDOW` matches below the position `below`; only they are ranked, so
    that a word that is everywhere costs no more than a rare one.

    Raises:
        StoreUnavailable: it took longer than `TIMEOUT`.
    """
    try:
        # The documents are far larger than the planner thinks: a scan of them all is never right.
        connection.execute(
            """
            SELECT set_config('statement_timeout', %s, true),
                   set_config('enable_seqscan', 'off', true)
            """,
            [f"{TIMEOUT}s"],
        )
        candidates = _candidates(
            connection, _accounts(connection, user_id, account_id), query, below
        )
        ranks = _ranks(connection, candidates, query)
        shown = sorted(candidates, key=lambda one: (ranks[one[1]], one), reverse=True)
        found = _load(connection, shown[offset : offset + limit], ranks)
    except QueryCanceled:
        raise StoreUnavailable(
            f"The search took longer than {TIMEOUT} s. Add a word, or narrow it down with after:."
        ) from None
    top, last = (candidates[0][:2], candidates[-1][:2]) if candidates else (None, None)
    return Page(found, len(candidates), top, last)


def _accounts(
    connection: Connection[TupleRow], user_id: str, account_id: AccountId | None
) -> list[AccountId]:
    rows = connection.execute(
        """
        SELECT id FROM account
         WHERE user_id = %(user)s AND (%(account)s::uuid IS NULL OR id = %(account)s)
        """,
        {"user": user_id, "account": account_id},
    )
    return [id_ for (id_,) in rows]


def _candidates(
    connection: Connection[TupleRow],
    accounts: Iterable[AccountId],
    query: Query,
    below: Position | None,
) -> list[_Candidate]:
    found = [
        (at, id_, account)
        for account in accounts
        for at, id_ in _newest(connection, account, query, below)
    ]
    return sorted(found, reverse=True)[:WINDOW]


def _newest(
    connection: Connection[TupleRow], account_id: AccountId, query: Query, below: Position | None
) -> list[Position]:
    """The newest matches of one account.

    The index gives matches in no order, thus all or none: it is asked for the newest months first,
    so that of a word that is everywhere only these are read.
    """
    if not query.indexed:
        return _walk(connection, account_id, query, below)
    found: list[Position] = []
    for owner in _owners(account_id, _latest(connection, account_id, query, below)):
        found = _look_up(connection, account_id, query, below, owner)
        if len(found) == WINDOW:
            break
    return found


def _owners(account_id: AccountId, latest: datetime) -> Iterator[str]:
    """The tsqueries of the account's newest months, more and more of them, then of all."""
    newest = documents.month(latest)
    for span in _SPANS:
        months = range(newest, newest - span, -1)
        yield " | ".join(f"'{documents.owner(account_id, month)}'" for month in months)
    yield f"'{documents.owner(account_id)}'"


def _latest(
    connection: Connection[TupleRow], account_id: AccountId, query: Query, below: Position | None
) -> datetime:
    """The time after which there is no match."""
    bounds = [bound for bound in (query.before, below and below[0]) if bound]
    if bounds:
        return min(bounds)
    row = connection.execute(
        """
        SELECT internaldate FROM message
         WHERE account_id = %s AND expunged_at IS NULL
         ORDER BY internaldate DESC LIMIT 1
        """,
        [account_id],
    ).fetchone()
    return row[0] if row else datetime.now(UTC)


#: What both ways of finding ask of a row of `message`; what is NULL is not asked.
_FILTERS = r"""
    (%(larger)s::bigint IS NULL OR message.size > %(larger)s)
    AND (%(smaller)s::bigint IS NULL OR message.size < %(smaller)s)
    AND (%(mailbox)s::text IS NULL OR EXISTS (
         SELECT FROM placement
          WHERE placement.account_id = %(account)s AND placement.message_id = message.id
            AND placement.mailbox_id = ANY (ARRAY(
                SELECT id FROM mailbox
                 WHERE mailbox.account_id = %(account)s
                   AND (lower(name) = lower(%(mailbox)s)
                        OR lower(special_use) = '\' || lower(%(mailbox)s))))))
    AND (%(not_mailboxes)s::text[] = '{}' OR NOT EXISTS (
         SELECT FROM placement
          WHERE placement.account_id = %(account)s AND placement.message_id = message.id
            AND placement.mailbox_id = ANY (ARRAY(
                SELECT id FROM mailbox, unnest(%(not_mailboxes)s::text[]) AS unwanted
                 WHERE mailbox.account_id = %(account)s
                   AND (lower(name) = lower(unwanted)
                        OR lower(special_use) = '\' || lower(unwanted))))))
    AND (%(unread)s::boolean IS NULL OR %(unread)s <> EXISTS (
         SELECT FROM placement
          WHERE placement.account_id = %(account)s AND placement.message_id = message.id
            AND '\Seen' = ANY (placement.flags)))
"""


def _walk(
    connection: Connection[TupleRow],
    account_id: AccountId,
    query: Query,
    below: Position | None,
) -> list[Position]:
    """The newest matches by looking at one message after the other."""
    return connection.execute(
        """
        SELECT message.internaldate, message.id
          FROM (SELECT internaldate, id, size
                  FROM message
                 WHERE account_id = %(account)s AND expunged_at IS NULL
                   AND (%(at)s::timestamptz IS NULL OR (internaldate, id) < (%(at)s, %(id)s))
                   AND (%(after)s::timestamptz IS NULL OR internaldate >= %(after)s)
                   AND (%(before)s::timestamptz IS NULL OR internaldate < %(before)s)
                 ORDER BY internaldate DESC, id DESC OFFSET 0) AS message
         WHERE """  # noqa: S608 - both parts are written here
        + _FILTERS
        + """
           AND (%(words)s::tsquery IS NULL OR (
                SELECT document @@ %(words)s::tsquery FROM search
                 WHERE search.account_id = %(account)s AND search.message_id = message.id))
         ORDER BY message.internaldate DESC, message.id DESC
         LIMIT %(window)s
        """,
        _parameters(account_id, query, below) | {"words": query.words},
        prepare=False,
    ).fetchall()


def _look_up(
    connection: Connection[TupleRow],
    account_id: AccountId,
    query: Query,
    below: Position | None,
    owner: str,
) -> list[Position]:
    """The newest matches of some months, by the index.

    The subquery's order lets what is asked of each match stop at enough of them.
    """
    return connection.execute(
        """
        SELECT match.internaldate, message.id
          FROM (SELECT internaldate, message_id
                  FROM search
                 WHERE account_id = %(account)s AND document @@ %(words)s::tsquery
                   AND (%(at)s::timestamptz IS NULL
                        OR (internaldate, message_id) < (%(at)s, %(id)s))
                   AND (%(after)s::timestamptz IS NULL OR internaldate >= %(after)s)
                   AND (%(before)s::timestamptz IS NULL OR internaldate < %(before)s)
                 ORDER BY internaldate DESC, message_id DESC
                OFFSET 0) AS match
          JOIN message ON message.account_id = %(account)s AND message.id = match.message_id
         WHERE message.expunged_at IS NULL AND """  # noqa: S608 - both parts are written here
        + _FILTERS
        + """
         ORDER BY match.internaldate DESC, match.message_id DESC
         LIMIT %(window)s
        """,
        _parameters(account_id, query, below) | {"words": f"({owner}) & ({query.words})"},
        prepare=False,
    ).fetchall()


def _parameters(account_id: AccountId, query: Query, below: Position | None) -> dict[str, object]:
    at, id_ = below or (None, None)
    return {
        "account": account_id,
        "at": at,
        "id": id_,
        "after": query.after,
        "before": query.before,
        "larger": query.larger,
        "smaller": query.smaller,
        "mailbox": query.mailbox,
        "not_mailboxes": list(query.not_mailboxes),
        "unread": query.unread,
        "window": WINDOW,
    }


def _ranks(
    connection: Connection[TupleRow], candidates: Sequence[_Candidate], query: Query
) -> dict[MessageId, float]:
    """How well each candidate fits: by its words, less by its age against the newest of them."""
    fit = _fit(connection, candidates, query.words) if query.words else {}
    newest = candidates[0][0] if candidates else None
    return {
        id_: fit.get(id_, 1.0) / (1 + (newest - at).total_seconds() / 86_400 / _HALF)
        for at, id_, _ in candidates
        if newest
    }


def _fit(
    connection: Connection[TupleRow], candidates: Sequence[_Candidate], words_: str
) -> dict[MessageId, float]:
    rows = connection.execute(
        """
        SELECT message_id, ts_rank(document, %(words)s::tsquery, 1)
          FROM search
         WHERE account_id = ANY (%(accounts)s::uuid[]) AND message_id = ANY (%(ids)s)
        """,
        {"words": words_, "accounts": list({one[2] for one in candidates}),
         "ids": [one[1] for one in candidates]},
        prepare=False,
    )  # fmt: skip
    return dict(rows.fetchall())


def _load(
    connection: Connection[TupleRow], shown: Sequence[_Candidate], ranks: Mapping[MessageId, float]
) -> list[Found]:
    accounts, ids = list({one[2] for one in shown}), [one[1] for one in shown]
    loaded = {one.id: one for one in messages.list_of_ids(connection, accounts, ids)}
    texts = _texts(connection, accounts, ids)
    return [
        Found(loaded[id_], texts.get(id_) or loaded[id_].snippet, ranks[id_]) for _, id_, _ in shown
    ]


def _texts(
    connection: Connection[TupleRow], accounts: Sequence[AccountId], ids: Sequence[MessageId]
) -> dict[MessageId, str]:
    rows = connection.execute(
        """
        SELECT body.message_id, coalesce(left(visible, %(most)s), left(body.text, %(most)s), '')
          FROM body
          LEFT JOIN search ON search.account_id = body.account_id
                          AND search.message_id = body.message_id
         WHERE body.account_id = ANY (%(accounts)s::uuid[]) AND body.message_id = ANY (%(ids)s)
        """,
        {"accounts": list(accounts), "ids": list(ids), "most": _EXCERPTED},
        prepare=False,
    )
    return dict(rows.fetchall())
