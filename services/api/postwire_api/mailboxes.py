"""The mailboxes of an account."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from postwire.store import accounts, mailboxes
from postwire.store.pool import transaction
from postwire_api import ids, problems
from postwire_api.parts import Store, User
from postwire_api.schemas import Mailbox, Mailboxes


@get(
    "/accounts/{account_id:str}/mailboxes",
    summary="List the mailboxes of an account",
    responses=problems.documented(_404="There is no such account."),
    sync_to_thread=True,
)
def list_mailboxes(user: User, store: Store, account_id: FromPath[str]) -> Mailboxes:
    """INBOX first, the others by name, with what is stored of each."""
    with transaction(store) as connection:
        account = accounts.get_of_user(connection, user, ids.account_id(account_id))
        listed = mailboxes.list_of_account(connection, account.id)
    return Mailboxes(mailboxes=[Mailbox.of(counted) for counted in listed])
