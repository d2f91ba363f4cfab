"""Messages set aside: what could not be stored of an account, why, and another try."""

from __future__ import annotations

import re
from typing import Any

from litestar import Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK

from postwire.errors import NotFound
from postwire.model import MailboxId
from postwire.store import accounts, jobs, set_aside
from postwire.store.jobs import Asked
from postwire.store.pool import Pool, transaction
from postwire_api import filenames, ids, problems
from postwire_api.parts import Queue, Store, User
from postwire_api.schemas import Aside, AsideList, AsideRetry
from postwire_api.sync import refuse

#: Messages that are listed; with more than so many it is no message that is wrong.
_LIMIT = 500
_NONE = "There is no such account."
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")


@get(
    "/accounts/{account_id:str}/set-aside",
    summary="List the messages set aside",
    responses=problems.documented(_404=_NONE),
    sync_to_thread=True,
)
def list_set_aside(user: User, store: Store, account_id: FromPath[str]) -> AsideList:
    """Those that could not be served or read, the latest first, at most 500."""
    with transaction(store) as connection:
        account = accounts.get_of_user(connection, user, ids.account_id(account_id))
        listed = set_aside.list_of_account(connection, account.id, _LIMIT)
    return AsideList(set_aside=[Aside.of(one) for one in listed])


@post(
    "/accounts/{account_id:str}/set-aside/retry",
    summary="Try the messages set aside again",
    status_code=HTTP_200_OK,
    responses=problems.documented(
        _404=_NONE, _409="The account is paused, or its login was refused."
    ),
)
async def retry_set_aside(
    user: User, store: Store, queue: Queue, account_id: FromPath[str]
) -> AsideRetry:
    """All of them with the account's next sync, which begins at once.

    What is stored by it leaves the list; what fails again stays, with the error of now.
    """
    due, asked = await sync_to_thread(_retry, store, user, account_id)
    if asked:
        queue.enqueue([asked])
    return AsideRetry(due=due, job_id=asked.id if asked else None)


def _retry(store: Pool, user: str, account_id: str) -> tuple[int, Asked | None]:
    with transaction(store) as connection:
        account = accounts.get_of_user(connection, user, ids.account_id(account_id))
        refuse(account.state)
        due = set_aside.make_due(connection, account.id)
        return due, jobs.ask(connection, account.id, user, "manual") if due else None


@get(
    "/accounts/{account_id:str}/set-aside/{mailbox_id:str}/{uid:str}/raw",
    summary="Read the bytes of a message set aside",
    responses={200: ResponseSpec(None, description="The bytes.", media_type="message/rfc822")}
    | problems.documented(_404="There is no such message, or none of its bytes could be had."),
    sync_to_thread=True,
)
def read_set_aside(
    user: User,
    store: Store,
    account_id: FromPath[str],
    mailbox_id: FromPath[str],
    uid: FromPath[str],
) -> Response[Any]:
    """The message as the server has it, at most its first megabyte."""
    number, of_mailbox = _number(uid), MailboxId(_number(mailbox_id))
    with transaction(store) as connection:
        account = accounts.get_of_user(connection, user, ids.account_id(account_id))
        raw = set_aside.get_raw(connection, account.id, of_mailbox, number)
    name = f"message-{of_mailbox}-{number}.eml"
    headers = {
        "Content-Disposition": filenames.disposition("attachment", name),
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
    return Response(raw, media_type="message/rfc822", headers=headers)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > ids.MAX_BIGINT:
        raise NotFound("There is no such message set aside.")
    return int(text)
