"""Messages: pages of the list, and one with its body."""

from __future__ import annotations

from dataclasses import replace

from litestar import Litestar
from litestar.testing import TestClient

from postwire.model import Address, Attachment, Body
from postwire.store.pool import Pool
from postwire_api import html
from support import rows

Client = TestClient[Litestar]


def subjects(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [message["subject"] for message in answer["messages"]]


def test_pages_of_messages_are_newest_first_and_meet_without_gap_or_overlap(
    ann: Client, store: Pool
) -> None:
    # Given two accounts, whose messages come by turns
    first, second = (
        rows.mailbox(store, rows.active(store, "ann", f"{n}@example.com")) for n in "ab"
    )
    rows.store_batch(store, rows.batch(first, *(rows.incoming(n) for n in (1, 3, 5))))
    rows.store_batch(store, rows.batch(second, *(rows.incoming(n) for n in (2, 4))))
    # When they are read two by two
    pages, cursor = [], ""
    while cursor is not None:
        page = ann.get(f"/api/messages?limit=2{cursor and f'&cursor={cursor}'}").json()
        pages.append(subjects(page))
        cursor = page["nextCursor"]
    # Then each comes once, the newest first, and the last page says that it is the last
    assert pages == [["Message 5", "Message 4"], ["Message 3", "Message 2"], ["Message 1"]]


def test_a_page_that_ends_with_the_last_message_names_no_next_one(ann: Client, store: Pool) -> None:
    # Given two messages
    box = rows.mailbox(store, rows.active(store))
    rows.store_batch(store, rows.batch(box, rows.incoming(1), rows.incoming(2)))
    # When both are asked for
    page = ann.get("/api/messages?limit=2").json()
    # Then there is no cursor to nothing
    assert len(page["messages"]) == 2
    assert page["nextCursor"] is None


def test_messages_are_narrowed_by_account_and_mailbox(ann: Client, store: Pool) -> None:
    # Given an INBOX and a Sent mailbox in one account, and another account
    account, other = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    inbox = rows.mailbox(store, account)
    sent = rows.mailbox(store, account, "Sent", "\\Sent")
    rows.store_batch(store, rows.batch(inbox, rows.incoming(1)))
    rows.store_batch(store, rows.batch(sent, rows.incoming(2)))
    rows.store_batch(store, rows.batch(rows.mailbox(store, other), rows.incoming(3)))
    # Then each filter narrows down
    path = f"/api/messages?accountId={account.id}"
    assert subjects(ann.get(path).json()) == ["Message 2", "Message 1"]
    assert subjects(ann.get(f"{path}&mailbox=Sent").json()) == ["Message 2"]
    assert subjects(ann.get("/api/messages?mailbox=INBOX").json()) == ["Message 3", "Message 1"]
    assert subjects(ann.get("/api/messages?mailbox=None").json()) == []
    assert [one["direction"] for one in ann.get(path).json()["messages"]] == ["outbound", "inbound"]


def test_a_message_has_the_contracts_shape_and_its_html_is_sanitised(
    ann: Client, store: Pool
) -> None:
    # Given a message with everything
    whole = replace(
        rows.incoming(
            1,
            flags=("\\Seen", "$Important"),
            cc=(Address("Carl", "carl@example.com"),),
            reply_to=(Address("", "list@example.com"),),
            in_reply_to="<0@example.com>",
            references=("<0@example.com>",),
        ),
        body=Body(
            text="Hello",
            html='<p onclick="x()">Hello<script>x()</script><img src="https://t.example/p"></p>',
            snippet="Hello",
        ),
        attachments=(Attachment("2", "a.pdf", "application/pdf", 1234, None, "attachment"),),
    )
    account = rows.active(store)
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), whole))
    # When it is read
    message = ann.get("/api/messages/1").json()
    # Then everything is there and nothing runs
    assert message == {
        "id": "1",
        "accountId": account.id,
        "conversationId": "1",
        "mailboxes": ["INBOX"],
        "subject": "Message 1",
        "from": [{"name": "Bob", "address": "bob@example.com"}],
        "to": [{"name": "", "address": "ann@example.com"}],
        "date": "2025-03-01T12:00:00Z",
        "internalDate": "2025-03-01T12:01:00Z",
        "direction": "inbound",
        "snippet": "Hello",
        "unread": False,
        "flags": ["$Important", "\\Seen"],
        "hasAttachments": True,
        "size": 1000,
        "revision": message["revision"],
        "problem": None,
        "cc": [{"name": "Carl", "address": "carl@example.com"}],
        "bcc": [],
        "replyTo": [{"name": "", "address": "list@example.com"}],
        "messageId": "<1@example.com>",
        "inReplyTo": "<0@example.com>",
        "references": ["<0@example.com>"],
        "text": "Hello",
        "html": '<p>Hello<img data-src="https://t.example/p"></p>',
        "attachments": [
            {
                "n": 1,
                "filename": "a.pdf",
                "contentType": "application/pdf",
                "size": 1234,
                "contentId": None,
                "disposition": "attachment",
            }
        ],
        "inlineImages": [],
    }
    # And the list shows the same, without the body
    (summary,) = ann.get("/api/messages").json()["messages"]
    assert summary == {key: message[key] for key in summary}
    assert "html" not in summary


def test_html_that_takes_too_long_to_take_apart_is_left_out_and_said_to_be(
    ann: Client, store: Pool
) -> None:
    # Given a message of nothing but nested elements
    deep = replace(
        rows.incoming(1), body=Body(text="Words", html="<div>" * (html.MAX_DEPTH + 1), snippet="")
    )
    rows.store_batch(store, rows.batch(rows.mailbox(store, rows.active(store)), deep))
    # When it is read
    message = ann.get("/api/messages/1").json()
    # Then the text is there, and words in place of the HTML
    assert message["html"] is None
    assert message["text"] == "Words"
    assert "too deeply nested" in message["problem"]


def test_what_is_no_message_id_is_404(ann: Client) -> None:
    too_large = ["9223372036854775808", "9" * 400]
    for id_ in ["0", "00", "-1", "+1", "1.0", "abc", "%00", "%D9%A1", "1%20", *too_large]:
        assert ann.get(f"/api/messages/{id_}").status_code == 404, id_
