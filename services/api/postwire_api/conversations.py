"""Conversations: the list, one of them, and its messages."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.params import FromPath, QueryParameter

from postwire import model
from postwire.model import MessageId
from postwire.store import accounts, conversations, threads
from postwire.store.pool import Pool, snapshot, transaction
from postwire_api import cursors, ids, problems
from postwire_api.cursors import DEFAULT_LIMIT, Cursor, Limit, MessagePosition
from postwire_api.parts import Store, User
from postwire_api.schemas import Conversation, Conversations, Messages, MessageSummary


@get(
    "/conversations",
    summary="List conversations, the one with the newest message first",
    responses=problems.documented(_404="There is no such account."),
    sync_to_thread=True,
)
def list_conversations(
    *,
    user: User,
    store: Store,
    account_id: Annotated[str | None, QueryParameter(name="accountId")] = None,
    mailbox: Annotated[
        str | None,
        QueryParameter(
            max_length=1000,
            pattern=r"\A[^\x00]*\Z",
            description="Name of a mailbox in which some message of the conversation lies.",
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Conversations:
    """Those of all accounts of the caller, unless `accountId` or `mailbox` narrows it down."""
    account = ids.account_id(account_id) if account_id is not None else None
    before = _position(cursor)
    _catch_up(store, user)
    with snapshot(store) as connection:
        if account is not None:
            accounts.get_of_user(connection, user, account)
        found = conversations.list_of_user(
            connection, user, account_id=account, mailbox=mailbox, before=before, limit=limit + 1
        )
    shown, following = cursors.page(found, limit, _end_of_list)
    return Conversations(
        conversations=[Conversation.of(one) for one in shown], next_cursor=following
    )


@get(
    "/conversations/{conversation_id:str}",
    summary="Read a conversation",
    responses=problems.documented(_404="There is no such conversation."),
    sync_to_thread=True,
)
def read_conversation(user: User, store: Store, conversation_id: FromPath[str]) -> Conversation:
    """The conversation; where it became part of another one, that one, with its own `id`."""
    with snapshot(store) as connection:
        found = conversations.get_of_user(connection, user, ids.thread_id(conversation_id))
    return Conversation.of(found)


@get(
    "/conversations/{conversation_id:str}/messages",
    summary="List the messages of a conversation, oldest first unless asked otherwise",
    responses=problems.documented(_404="There is no such conversation."),
    sync_to_thread=True,
)
def list_conversation_messages(
    *,
    user: User,
    store: Store,
    conversation_id: FromPath[str],
    order: Annotated[
        Literal["oldest", "newest"],
        QueryParameter(description="Which message is first; a cursor goes on in its own order."),
    ] = "oldest",
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Messages:
    """All its messages, whichever mailboxes they lie in; of the one it became part of, if any."""
    thread = ids.thread_id(conversation_id)
    at = _position(cursor)
    with snapshot(store) as connection:
        account, whole = conversations.find_thread(connection, user, thread)
        if order == "newest":
            found = conversations.newest_of(connection, account, whole, before=at, limit=limit + 1)
        else:
            found = conversations.messages_of(connection, account, whole, after=at, limit=limit + 1)
    shown, following = cursors.page(found, limit, _end_of_messages)
    return Messages(messages=[MessageSummary.of(one) for one in shown], next_cursor=following)


def _catch_up(store: Pool, user: str) -> None:
    """Nothing is missing that a worker of the release before stored a moment ago."""
    with transaction(store) as connection:
        behind = threads.behind(connection, user)
    for account_id in behind:
        with transaction(store) as connection:
            threads.catch_up(connection, account_id)


def _position(cursor: str | None) -> conversations.Position | None:
    position = cursors.decode(cursor, MessagePosition)
    return (position.at, MessageId(position.id)) if position else None


def _end_of_list(conversation: model.Conversation) -> MessagePosition:
    return MessagePosition(conversation.last_message_at, conversation.newest)


def _end_of_messages(message: model.Message) -> MessagePosition:
    return MessagePosition(message.internaldate, message.id)
