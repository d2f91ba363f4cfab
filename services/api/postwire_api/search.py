"""Search over subject, people, names of attachments and text."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from postwire.model import MessageId
from postwire.store import accounts, search
from postwire.store.pool import transaction
from postwire_api import cursors, excerpts, ids, problems, query
from postwire_api.cursors import DEFAULT_LIMIT, Cursor, Limit, SearchPosition
from postwire_api.parts import Store, User
from postwire_api.schemas import MessageSummary, SearchResult, SearchResults

_SYNTAX = (
    'Words, "phrases", `or`, `-not`, `begin*`; filters from:, to:, subject:, before:2026-01-31, '
    "after: (the day itself included), has:attachment, in:<mailbox or special use>, is:unread, "
    "is:read, larger:10M, smaller:; values with spaces in quotes."
)


@get(
    "/search",
    summary="Search messages",
    responses=problems.documented(
        _404="There is no such account.",
        _503="The database does not answer right now, or the search took too long.",
    ),
    sync_to_thread=True,
)
def search_messages(
    *,
    user: User,
    store: Store,
    q: Annotated[str, QueryParameter(max_length=query.MAX_LENGTH, description=_SYNTAX)],
    account_id: Annotated[str | None, QueryParameter(name="accountId")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> SearchResults:
    """The newest 200 matches by how well they fit and how new they are, then the next 200."""
    asked = query.parse(q)
    account = ids.account_id(account_id) if account_id is not None else None
    at = cursors.decode(cursor, SearchPosition)
    with transaction(store) as connection:
        if account is not None:
            accounts.get_of_user(connection, user, account)
        page = search.find(
            connection,
            user,
            asked,
            account_id=account,
            below=(at.at, MessageId(at.id)) if at else None,
            offset=at.offset if at else 0,
            limit=limit,
        )
    return SearchResults(
        results=[
            SearchResult(
                message=MessageSummary.of(one.message),
                snippet=excerpts.excerpt(one.text, asked.marked),
                rank=one.rank,
            )
            for one in page.found
        ],
        next_cursor=_following(page, (at.offset if at else 0) + limit),
    )


def _following(page: search.Page, shown: int) -> str | None:
    if page.top is None or page.last is None:
        return None
    if shown < page.matches:
        # From the window's newest on, so that new mail does not move the window.
        at, id_ = page.top
        return cursors.encode(SearchPosition(at, id_ + 1, shown))
    if page.matches < search.WINDOW:
        return None
    return cursors.encode(SearchPosition(*page.last, 0))
