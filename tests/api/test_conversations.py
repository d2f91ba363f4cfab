"""Conversations over HTTP: pages, one of them, its messages."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

from postwire.model import Account, Incoming
from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


def letter(n: int, *references: int) -> Incoming:
    """The message of minute `n`, in answer to those of other minutes."""
    return rows.incoming(n, references=tuple(f"<{one}@example.com>" for one in references))


def store_in(store: Pool, account: Account, name: str, *letters: Incoming) -> None:
    rows.store_batch(store, rows.batch(rows.mailbox(store, account, name), *letters))


def test_a_conversation_has_the_contracts_shape(ann: Client, store: Pool) -> None:
    # Given a message and its answer
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(2, 1))
    # When it is read
    conversation = ann.get("/api/conversations/1").json()
    # Then everything is there
    assert conversation == {
        "id": "1",
        "accountId": account.id,
        "subject": "Message 1",
        "participants": [
            {"name": "Bob", "address": "bob@example.com"},
            {"name": "", "address": "ann@example.com"},
        ],
        "senders": [{"name": "Bob", "address": "bob@example.com"}],
        "snippet": "Text 2",
        "lastMessageAt": "2025-03-01T12:02:00Z",
        "messages": 2,
        "unread": 2,
        "hasAttachments": False,
        "revision": conversation["revision"],
    }
    # And the list shows the same, and each message names it
    assert ann.get("/api/conversations").json() == {
        "conversations": [conversation],
        "nextCursor": None,
    }
    named = [one["conversationId"] for one in ann.get("/api/messages").json()["messages"]]
    assert named == ["1", "1"]


def test_pages_of_conversations_and_of_their_messages_meet(ann: Client, store: Pool) -> None:
    # Given three conversations, the oldest with three messages
    store_in(
        store, rows.active(store), "INBOX", letter(1), letter(2), letter(3), letter(4, 1),
        letter(5, 1),
    )  # fmt: skip
    # Then pages of the list are newest first, those of a conversation oldest first
    assert pages(ann, "/api/conversations", "conversations") == [
        ["Message 1", "Message 3"],
        ["Message 2"],
    ]
    path = "/api/conversations/1/messages"
    assert pages(ann, path, "messages") == [["Message 1", "Message 4"], ["Message 5"]]
    # And newest first too, where that is asked for
    assert pages(ann, f"{path}?order=newest", "messages") == [
        ["Message 5", "Message 4"],
        ["Message 1"],
    ]
    assert ann.get(f"{path}?order=size").status_code == 400


def pages(client: Client, path: str, name: str) -> list[list[str]]:
    """The subjects, page by page of two."""
    found, cursor = [], ""
    while cursor is not None:
        mark = "&" if "?" in path else "?"
        page = client.get(f"{path}{mark}limit=2{cursor and f'&cursor={cursor}'}").json()
        found.append([one["subject"] for one in page[name]])
        cursor = page["nextCursor"]
    return found


def test_conversations_are_narrowed_by_account_and_mailbox(ann: Client, store: Pool) -> None:
    # Given two accounts, one of them with a second mailbox
    account, other = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    store_in(store, account, "INBOX", letter(1), letter(3))
    store_in(store, account, "Sent", letter(4, 1))
    store_in(store, other, "INBOX", letter(2))

    def subjects(query: str) -> list[str]:
        listed = ann.get(f"/api/conversations?{query}").json()["conversations"]
        return [one["subject"] for one in listed]

    # Then each filter narrows down
    assert subjects(f"accountId={account.id}") == ["Message 1", "Message 3"]
    assert subjects("mailbox=INBOX") == ["Message 1", "Message 3", "Message 2"]
    assert subjects(f"accountId={account.id}&mailbox=Sent") == ["Message 1"]
    assert subjects(f"accountId={other.id}&mailbox=Sent") == []


def test_the_id_of_a_merged_conversation_goes_on_to_answer(ann: Client, store: Pool) -> None:
    # Given two conversations that became one
    account = rows.active(store)
    store_in(store, account, "INBOX", letter(1), letter(2))
    store_in(store, account, "Sent", letter(3, 1, 2))
    # When the id that is no more is asked for
    answer = ann.get("/api/conversations/2")
    # Then the one it became part of answers, and says its own id
    assert (answer.status_code, answer.json()["id"], answer.json()["messages"]) == (200, "1", 3)
    assert len(ann.get("/api/conversations/2/messages").json()["messages"]) == 3


def test_what_a_worker_of_the_release_before_stored_is_listed(ann: Client, store: Pool) -> None:
    # Given messages that have no thread
    store_in(store, rows.active(store), "INBOX", letter(1), letter(2, 1))
    with transaction(store) as connection:
        connection.execute("UPDATE message SET thread_id = NULL")
        connection.execute("DELETE FROM thread")
        connection.execute("DELETE FROM thread_reference")
    assert ann.get("/api/messages/1").json()["conversationId"] is None
    # When conversations are listed
    (conversation,) = ann.get("/api/conversations").json()["conversations"]
    # Then theirs is there
    assert conversation["messages"] == 2


def test_what_is_no_conversation_id_or_cursor_is_refused(ann: Client) -> None:
    for id_ in ["0", "-1", "abc", "%00", "9223372036854775808", "1"]:
        assert ann.get(f"/api/conversations/{id_}").status_code == 404, id_
        assert ann.get(f"/api/conversations/{id_}/messages").status_code == 404, id_
    assert "conversation" in ann.get("/api/conversations/0").json()["detail"]
    assert ann.get("/api/conversations?cursor=x").status_code == 400
    assert ann.get("/api/conversations/1/messages?cursor=x").status_code == 400
    assert ann.get("/api/conversations?mailbox=%00").status_code == 400
    assert ann.get("/api/conversations?accountId=x").status_code == 404
