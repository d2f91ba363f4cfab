"""What of an account is synced: which mailboxes, and how far back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from litestar import patch
from litestar.params import FromPath, RequestBody
from msgspec import UNSET

from postwire.store import accounts, jobs, mailboxes
from postwire.store.pool import transaction
from postwire_api import ids, problems
from postwire_api.parts import Queue, Store, User
from postwire_api.schemas import Account, Scope


@patch(
    "/accounts/{account_id:str}",
    summary="Change which mailboxes of an account are synced, and how far back",
    responses=problems.documented(_404="There is no such account.", _413=problems.TOO_LONG),
    sync_to_thread=True,
)
def change_scope(
    *, user: User, store: Store, queue: Queue, account_id: FromPath[str], data: RequestBody[Scope]
) -> Account:
    """A sync begins at once; a wider window is filled, a narrower one takes nothing away."""
    with transaction(store) as connection:
        account = accounts.get_of_user(connection, user, ids.account_id(account_id))
        terms = account.mailboxes if data.mailboxes is UNSET else data.mailboxes
        days = account.window_days if data.window_days is UNSET else data.window_days
        if (terms, days) != (account.mailboxes, account.window_days):
            account = accounts.set_scope(connection, account, terms, days)
            start = datetime.now(UTC).date() - timedelta(days=days) if days else None
            mailboxes.widen(connection, account.id, start)
        asked = jobs.ask(connection, account.id, user, "manual")
        unread = accounts.unread_of_user(connection, user)
    queue.enqueue([asked])
    return Account.of(account, unread.get(account.id, 0))
