"""Search: who finds what, in which order, and what is refused in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.model import Address, Attachment, Body, Mailbox
from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


FOUND: list[tuple[str, list[str]]] = [
    ("payment", ["News", "Payment plan", "Reminder"]),
    ("PAYMENT overdue", ["News", "Reminder"]),
    ('"payment for"', ["Reminder"]),
    ('"overdue payment"', []),
    ("plan or overdue", ["News", "Payment plan", "Reminder"]),
    ("payment -overdue", ["Payment plan"]),
    ("payment -subject:payment -has:attachment", ["News", "Reminder"]),
    ("-payment", ["Re: Reminder", "東京都の天気"]),
    ("overd*", ["News", "Reminder"]),
    ("malmo", ["Reminder"]),
    ("MALMÖ", ["Reminder"]),
    ("4711", ["Reminder"]),
    ("4711-b", ["Reminder"]),
    ("offices", ["Reminder"]),
    ("anna@offices.example.co.uk", ["Reminder"]),
    ("from:anna", ["Reminder"]),
    ('from:"anna lindqvist"', ["Reminder"]),
    ('from:"offices anna"', []),
    ("from:anna or from:bob reminder", ["Re: Reminder", "Reminder"]),
    ("to:anna", []),
    ("to:ann@example.com -from:bob", ["Reminder"]),
    ("subject:payment", ["Payment plan"]),
    ("ubersicht 2025", ["Payment plan"]),
    ("has:attachment", ["Payment plan"]),
    ("has:attachment larger:4m", ["Payment plan"]),
    ("payment smaller:2000", ["News", "Reminder"]),
    ("京都", ["東京都の天気"]),
    ("都", ["東京都の天気"]),
    ("東京都の天気", ["東京都の天気"]),
    ("都京", []),
    ("is:read", ["東京都の天気"]),
    ("payment is:unread", ["News", "Payment plan", "Reminder"]),
    ("in:sent", ["Re: Reminder"]),
    ("reminder -in:SENT", ["Reminder"]),
    ("reminder in:gesendet/2025", ["Re: Reminder"]),
    ('in:"Gesendet/2025"', ["Re: Reminder"]),
    ("in:nowhere", []),
    ("after:2025-03-01 before:2025-03-02 payment", ["News", "Payment plan", "Reminder"]),
    ("before:2025-03-01 payment", []),
    ("after:2025-03-02", []),
    ("re: reminder", ["Re: Reminder"]),
    ("' & ! | ( \\ : payment <-> plan", ["Payment plan"]),
]

REFUSED = [
    ("", "Say what to look for"),
    (" !!! ", "Say what to look for"),
    ("before:soon", "before: needs a date as 2026-01-31, not “soon”."),
    ("after:2025-02-30", "after: needs a date"),
    ("-after:2025-02-03", "-after: cannot be; say before: instead."),
    ("from:", "from: needs a word, for example from:anna"),
    ('subject:"?"', "subject: needs a word"),
    ("has:legs", "has: knows has:attachment only, not “legs”."),
    ("is:great", "is: knows is:unread and is:read, not “great”."),
    ("in:", "in: needs the name of a mailbox"),
    ("in:a\0b", "in: needs the name of a mailbox"),
    ("in:a in:b", "in: can be given once"),
    ("larger:huge", "larger: needs a size"),
    ("a or in:b", "`or` can stand between words"),
    ("in:b or a", "`or` can stand between words"),
    ("a " * 65, "more than 64 words"),
]


def search(client: Client, q: str, **parameters: object) -> dict[str, Any]:
    answer = client.get("/api/search", params={"q": q, **parameters})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.json()
    return answer.json()  # type: ignore[no-any-return]


def subjects(client: Client, q: str, **parameters: object) -> list[str]:
    found = search(client, q, **parameters)["results"]
    return sorted(one["message"]["subject"] for one in found)


@pytest.fixture
def inbox(store: Pool) -> Mailbox:
    """An INBOX with four messages and a Sent with one."""
    account = rows.active(store)
    box = rows.mailbox(store, account)
    anna = (Address("Anna Lindqvist", "anna@offices.example.co.uk"),)
    body = Body(text="The payment for invoice 4711-b is overdue.\n\nSee you in Malmö.")
    attached = (Attachment("2", "Übersicht_2025.pdf", "application/pdf", 9, None, "attachment"),)
    rows.store_batch(
        store,
        rows.batch(
            box,
            replace(rows.incoming(1, subject="Reminder", from_=anna), body=body),
            replace(rows.incoming(2, subject="Payment plan"), attachments=attached, size=5_000_000),
            rows.incoming(3, subject="東京都の天気", flags=["\\Seen"]),
            replace(
                rows.incoming(4, subject="News"),
                body=Body(html="<p>x</p>", visible="Overdue & <b>bold</b> payment terms"),
            ),
        ),
    )
    sent = rows.mailbox(store, account, "Gesendet/2025", "\\Sent")
    rows.store_batch(store, rows.batch(sent, rows.incoming(9, subject="Re: Reminder")))
    return box


def test_what_is_asked_for_is_found_and_nothing_else(ann: Client, inbox: Mailbox) -> None:
    # Given an INBOX and a Sent mailbox
    assert inbox
    # When each of these is looked for
    found = {q: subjects(ann, q) for q, _ in FOUND}
    # Then these are found
    assert found == {q: sorted(expected) for q, expected in FOUND}


def test_what_cannot_be_understood_is_refused_in_words(ann: Client) -> None:
    for q, said in REFUSED:
        # When something is asked that nobody can mean
        answer = ann.get("/api/search", params={"q": q})
        # Then the answer says what is wrong
        assert answer.status_code == 400, q
        assert answer.json()["type"] == "/problems/bad-query"
        assert said in answer.json()["detail"]


def test_a_search_that_is_too_long_is_refused(ann: Client) -> None:
    # When the search has more characters than any person types, then it is refused before parsing
    answer = ann.get("/api/search", params={"q": "x" * 1001})
    assert answer.status_code == 400
    assert "q" in answer.json()["detail"]


def test_a_result_has_the_message_and_an_excerpt_in_pieces(ann: Client, inbox: Mailbox) -> None:
    # Given a message that has HTML only, when it is found
    assert inbox
    (result,) = search(ann, "overdue bold")["results"]
    # Then what was looked for is marked, and what looks like markup is plain text
    assert result["message"]["subject"] == "News"
    assert result["snippet"] == [
        {"text": "Overdue", "match": True},
        {"text": " & <b>", "match": False},
        {"text": "bold", "match": True},
        {"text": "</b> payment terms", "match": False},
    ]
    assert result["rank"] > 0


def test_a_match_in_the_subject_comes_before_one_in_the_text(ann: Client, store: Pool) -> None:
    # Given two messages of one age, one about the word and one that mentions it
    box = rows.mailbox(store, rows.active(store))
    about = replace(rows.incoming(1, subject="Zebra"), internaldate=rows.NOON)
    mentions = replace(
        rows.incoming(2, subject="Animals"), body=Body(text="a zebra"), internaldate=rows.NOON
    )
    # And one with the same subject, a year older
    old = replace(
        rows.incoming(3, subject="Zebra long ago"), internaldate=rows.NOON - timedelta(days=999)
    )
    rows.store_batch(store, rows.batch(box, about, mentions, old))
    # Then the first is best, and the old one last
    found = [one["message"]["subject"] for one in search(ann, "zebra")["results"]]
    assert found == ["Zebra", "Animals", "Zebra long ago"]


def test_pages_meet_without_gap_or_overlap_and_new_mail_moves_nothing(
    ann: Client, store: Pool
) -> None:
    # Given more matches than a window holds, in two accounts
    boxes = [rows.mailbox(store, rows.active(store, "ann", f"{n}@example.com")) for n in "ab"]
    for half, box in enumerate(boxes):
        uids = range(1 + half, 261, 2)
        rows.store_batch(store, rows.batch(box, *(rows.incoming(n) for n in uids)))
    # When they are read page by page, while new mail arrives
    seen: list[str] = []
    page = search(ann, "message", limit=150)
    new = replace(rows.START, uidnext=260)
    rows.store_batch(store, rows.batch(boxes[0], rows.incoming(999), before=new))
    while True:
        seen += [one["message"]["subject"] for one in page["results"]]
        if page["nextCursor"] is None:
            break
        page = search(ann, "message", limit=150, cursor=page["nextCursor"])
    # Then each came once
    assert len(seen) == len(set(seen)) == 260
    assert "Message 999" not in seen


def test_nobody_finds_the_mail_of_another(ann: Client, store: Pool) -> None:
    # Given mail of bob that holds the word, in an account whose id ann knows
    theirs = rows.active(store, "bob", "bob@example.com")
    rows.store_batch(store, rows.batch(rows.mailbox(store, theirs), rows.incoming(1)))
    # When ann looks for the word, or names the account, or its mark
    # Then there is nothing
    assert subjects(ann, "message") == []
    assert subjects(ann, "@" + theirs.id.replace("-", "")) == []
    assert ann.get(f"/api/search?q=message&accountId={theirs.id}").status_code == 404


def test_one_account_alone_is_searched_where_it_is_named(ann: Client, store: Pool) -> None:
    # Given the word in two accounts
    first, second = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    for n, account in enumerate((first, second), start=1):
        rows.store_batch(store, rows.batch(rows.mailbox(store, account), rows.incoming(n)))
    # Then the one that is named gives its own
    assert subjects(ann, "message", accountId=first.id) == ["Message 1"]


def test_what_was_expunged_is_not_found(ann: Client, store: Pool) -> None:
    # Given two messages, one of which is gone from the server
    rows.store_batch(
        store,
        rows.batch(rows.mailbox(store, rows.active(store)), rows.incoming(1), rows.incoming(2)),
    )
    with transaction(store) as connection:
        connection.execute("UPDATE message SET expunged_at = now() WHERE subject = 'Message 1'")
    # Then only the other is found, by word and by filter
    assert subjects(ann, "message") == ["Message 2"]
    assert subjects(ann, "is:unread") == ["Message 2"]


def test_a_cursor_that_nobody_gave_out_is_refused(ann: Client) -> None:
    # When a made-up cursor comes
    answer = ann.get("/api/search?q=a&cursor=W10")
    # Then it is refused in words
    assert answer.status_code == 400
    assert "cursor" in answer.json()["detail"]
