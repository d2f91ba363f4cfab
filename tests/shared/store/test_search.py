"""Finding: by index or one by one, the newest matches are found, and in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from postwire.errors import StoreUnavailable
from postwire.store import search
from postwire.store.pool import Pool, transaction
from postwire.store.search import Page, Query
from support import rows


def find(store: Pool, query: Query) -> Page:
    with transaction(store) as connection:
        return search.find(
            connection, "ann", query, account_id=None, below=None, offset=0, limit=200
        )


def test_matches_are_the_newest_however_far_apart_they_lie(store: Pool) -> None:
    # Given a word in every second of some messages, five of them a month
    box = rows.mailbox(store, rows.active(store))
    messages = [
        replace(
            rows.incoming(n, subject="word" if n % 2 else "other"),
            internaldate=rows.NOON + timedelta(days=6 * n),
        )
        for n in range(1, 421)
    ]
    rows.store_batch(store, rows.batch(box, *messages))
    # When it is looked for by the index, and one message after the other
    query = Query(words="'word'", indexed=True)
    page = find(store, query)
    with transaction(store) as connection:
        walked = search._walk(connection, box.account_id, query, None)
    # Then both give the same newest matches
    assert page.matches == len(walked) == search.WINDOW
    assert (page.top, page.last) == (walked[0], walked[-1])
    assert {one.message.id for one in page.found} == {id_ for _, id_ in walked}


def test_filters_hold_for_the_index_too(store: Pool) -> None:
    # Given a rare word, in a read and an unread message of two mailboxes
    account = rows.active(store)
    inbox, archive = (rows.mailbox(store, account, name) for name in ("INBOX", "Archive"))
    rows.store_batch(store, rows.batch(inbox, rows.incoming(1, flags=["\\Seen"])))
    rows.store_batch(store, rows.batch(archive, rows.incoming(2)))
    # When the word is narrowed down, then only what fits is found
    for narrowed, ids in (
        (Query(words="'message'", indexed=True, unread=True), [2]),
        (Query(words="'message'", indexed=True, unread=False), [1]),
        (Query(words="'message'", indexed=True, mailbox="archive"), [2]),
        (Query(words="'message'", indexed=True, not_mailboxes=("archive",)), [1]),
        (Query(words="'message'", indexed=True, larger=999, smaller=1001), [2, 1]),
        (Query(words="'message'", indexed=True, before=rows.NOON), []),
    ):
        assert [one.message.id for one in find(store, narrowed).found] == ids


def test_a_search_that_takes_too_long_is_ended_in_words(
    store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a search that must wait, for the table is locked
    rows.store_batch(store, rows.batch(rows.mailbox(store, rows.active(store)), rows.incoming(1)))
    monkeypatch.setattr(search, "TIMEOUT", 1)
    with transaction(store) as other:
        other.execute("LOCK TABLE search")
        # When it is run, then it ends with what may be done about it
        with pytest.raises(StoreUnavailable, match=r"longer than 1 s\. Add a word"):
            find(store, Query(words="'message'", indexed=True))
    # And the connection is as good as before
    assert find(store, Query(words="'message'", indexed=True)).matches == 1
