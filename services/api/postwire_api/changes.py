"""What has changed in an account, for a client that may have missed events."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from postwire.store import changes
from postwire.store.pool import snapshot
from postwire_api import ids, problems
from postwire_api.cursors import DEFAULT_LIMIT, Limit
from postwire_api.ids import MAX_BIGINT
from postwire_api.parts import Store, User
from postwire_api.schemas import Changes


@get(
    "/accounts/{account_id:str}/changes",
    summary="List what has changed in an account since a revision",
    responses=problems.documented(_404="There is no such account."),
    sync_to_thread=True,
)
def list_changes(
    *,
    user: User,
    store: Store,
    account_id: FromPath[str],
    since: Annotated[
        int,
        QueryParameter(ge=0, le=MAX_BIGINT, description="The `revision` that the client has."),
    ],
    epoch: Annotated[
        int, QueryParameter(ge=0, le=MAX_BIGINT, description="The `epoch` it belongs to.")
    ],
    limit: Limit = DEFAULT_LIMIT,
) -> Changes:
    """Ask again from `revision` while there is `more`; at `reset`, load everything again.

    What is in `added` or `changed` takes the place of what the client has under that id, if it
    has any; it may not know what is in `changed` or `expunged`. No revision is split over pages.
    """
    account = ids.account_id(account_id)
    with snapshot(store) as connection:
        told = changes.since(connection, user, account, revision=since, epoch=epoch, limit=limit)
    return Changes.of(account, told)
