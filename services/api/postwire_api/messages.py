"""Messages: the list, and one with its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from postwire import model
from postwire.model import MessageId
from postwire.store import accounts, messages
from postwire.store.pool import transaction
from postwire_api import cursors, flowed, html, ids, inline, problems, schemas
from postwire_api.cursors import DEFAULT_LIMIT, Cursor, Limit, MessagePosition
from postwire_api.parts import Store, User
from postwire_api.schemas import Message, Messages, MessageSummary

_TOO_MUCH = "The HTML of this message is too large or too deeply nested to be shown safely."


@get(
    "/messages",
    summary="List messages, newest first",
    responses=problems.documented(_404="There is no such account."),
    sync_to_thread=True,
)
def list_messages(
    *,
    user: User,
    store: Store,
    account_id: Annotated[str | None, QueryParameter(name="accountId")] = None,
    mailbox: Annotated[
        str | None,
        QueryParameter(max_length=1000, pattern=r"\A[^\x00]*\Z", description="Name of a mailbox."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Messages:
    """Those of all accounts of the caller, unless `accountId` or `mailbox` narrows it down."""
    account = ids.account_id(account_id) if account_id is not None else None
    before = cursors.decode(cursor, MessagePosition)
    with transaction(store) as connection:
        if account is not None:
            accounts.get_of_user(connection, user, account)
        found = messages.list_of_user(
            connection,
            user,
            account_id=account,
            mailbox=mailbox,
            before=(before.at, MessageId(before.id)) if before else None,
            limit=limit + 1,
        )
    shown, following = cursors.page(found, limit, _position)
    return Messages(messages=[MessageSummary.of(one) for one in shown], next_cursor=following)


def _position(message: model.Message) -> MessagePosition:
    return MessagePosition(message.internaldate, message.id)


@get(
    "/messages/{message_id:str}",
    summary="Read a message",
    responses=problems.documented(_404="There is no such message."),
    sync_to_thread=True,
)
def read_message(user: User, store: Store, message_id: FromPath[str]) -> Message:
    """The message with its bodies; the HTML is sanitised and loads nothing by itself."""
    with transaction(store) as connection:
        message = messages.get_of_user(connection, user, ids.message_id(message_id))
    # Not inside the transaction: a connection is not for waiting while HTML is taken apart.
    return _whole(message, inline.at_hand(store, message))


def _whole(message: model.Message, images: Mapping[str, str]) -> Message:
    body = message.body or model.Body()
    problem = message.problem
    try:
        shown = None if body.html is None else html.sanitise(body.html, images)
    except html.TooMuch:
        shown, problem = None, problem or _TOO_MUCH
    headers = message.headers
    return Message(
        **msgspec.structs.asdict(MessageSummary.of(message)) | {"problem": problem},
        cc=schemas.people(headers.cc),
        bcc=schemas.people(headers.bcc),
        reply_to=schemas.people(headers.reply_to),
        message_id=headers.message_id,
        in_reply_to=headers.in_reply_to,
        references=list(headers.references),
        text=None if body.text is None else flowed.unwrap(body.text, body.flow),
        html=shown,
        attachments=schemas.attachments(message.attachments),
        inline_images=inline.missing(shown, message),
    )
