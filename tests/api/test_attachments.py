"""The bytes of attachments, as a browser gets them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.model import AccountId, Attachment
from postwire.store import accounts, contents
from postwire.store.contents import Failure
from postwire.store.pool import Pool, transaction
from postwire_api import attachments
from support import rows

Client = TestClient[Litestar]
PATH = "/api/messages/1/attachments/1"


def with_attachment(store: Pool, part: Attachment | None = None) -> AccountId:
    """A message with one attachment."""
    account = rows.active(store)
    message = replace(rows.incoming(1), attachments=(part or rows.attachment(),))
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), message))
    return account.id


def test_what_is_kept_is_served_with_headers_that_fence_it_in(ann: Client, store: Pool) -> None:
    # Given an attachment of several chunks
    data = os.urandom(2 * contents.CHUNK + 5)
    with_attachment(store, rows.attachment("Übersicht.pdf"))
    rows.keep(store, 1, 1, data)
    # When it is read
    answer = ann.get(PATH)
    # Then it comes whole, to be saved, and nothing in it can run
    assert answer.status_code == 200
    assert answer.content == data
    etag = f'"{sha256(data).hexdigest()}"'
    assert dict(answer.headers) == {
        "content-type": "application/pdf",
        "content-length": str(len(data)),
        "content-disposition": 'attachment; filename="Ubersicht.pdf"; '
        "filename*=UTF-8''%C3%9Cbersicht.pdf",
        "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "cross-origin-resource-policy": "same-site",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "private, max-age=31536000, immutable",
        "vary": "Authorization",
        "accept-ranges": "bytes",
        "etag": etag,
    }
    # And a second look costs no bytes
    assert ann.get(PATH, headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
    head = ann.head(PATH)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(data)))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=10-", 10, None), ("bytes=-7", -7, None), ("bytes=5-9", 5, 9)],
)
def test_a_range_is_served_across_chunks(
    ann: Client, store: Pool, asked: str, first: int, last: int | None
) -> None:
    data = os.urandom(contents.CHUNK + 8)
    with_attachment(store)
    rows.keep(store, 1, 1, data)
    answer = ann.get(PATH, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == data[first : None if last is None else last + 1]
    assert answer.headers["content-range"].endswith(f"/{len(data)}")


def test_a_range_that_is_none_gives_the_whole_or_416(ann: Client, store: Pool) -> None:
    with_attachment(store)
    rows.keep(store, 1, 1, b"0123456789")
    for odd in ("bytes=-", "bytes=3-1", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4"):
        assert ann.get(PATH, headers={"Range": odd}).content == b"0123456789", odd
    refused = ann.get(PATH, headers={"Range": "bytes=10-"})
    assert refused.status_code == 416
    assert refused.headers["content-range"] == "bytes */10"
    assert "has 10 bytes" in refused.json()["detail"]
    changed = {"Range": "bytes=1-2", "If-Range": '"other"'}
    assert ann.get(PATH, headers=changed).status_code == 200


def test_an_empty_attachment_is_empty(ann: Client, store: Pool) -> None:
    with_attachment(store)
    rows.keep(store, 1, 1, b"")
    answer = ann.get(PATH)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("declared", "served", "shown"),
    [
        ("image/png", "image/png", "inline"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("text/html", "application/octet-stream", "attachment"),
        ("application/javascript", "application/octet-stream", "attachment"),
        ("application/pdf", "application/pdf", "attachment"),
        ("x\r\nSet-Cookie: a=b", "application/octet-stream", "attachment"),
    ],
)
def test_only_a_few_kinds_of_images_are_ever_shown_in_place(
    ann: Client, store: Pool, declared: str, served: str, shown: str
) -> None:
    with_attachment(store, rows.attachment("a.x", declared))
    rows.keep(store, 1, 1, b"x")
    inline, plain = ann.get(f"{PATH}?inline=1"), ann.get(PATH)
    assert inline.headers["content-type"] == plain.headers["content-type"] == served
    assert inline.headers["content-disposition"].startswith(f"{shown};")
    assert plain.headers["content-disposition"].startswith("attachment;")
    assert "set-cookie" not in inline.headers


@contextmanager
def worker(store: Pool, account: AccountId, failure: Failure | None = None) -> Iterator[None]:
    """Somebody who fetches `hello`, or fails, as soon as it is asked for."""

    def serve() -> None:
        deadline = time.monotonic() + 10
        request = None
        while request is None and time.monotonic() < deadline:
            time.sleep(0.02)
            with transaction(store) as connection:
                request = contents.claim(connection, account, "w")
        assert request is not None
        with transaction(store) as connection:
            if failure:
                contents.fail(connection, request, "w", failure, "In words.")
                return
            id_ = contents.begin(connection, account)
            contents.add_chunk(connection, request, "w", contents.Chunk(id_, 0, b"hello"))
            contents.complete(connection, request, id_, sha256(b"hello").digest(), 5)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


def test_what_is_not_here_is_asked_for_and_waited_for(ann: Client, store: Pool) -> None:
    with worker(store, with_attachment(store)):
        assert ann.get(PATH).content == b"hello"


@pytest.mark.parametrize(
    ("failure", "status"), [("gone", 410), ("too_large", 422), ("refused", 409), ("transient", 503)]
)
def test_what_does_not_come_is_a_problem_in_words(
    ann: Client, store: Pool, failure: Failure, status: int
) -> None:
    with worker(store, with_attachment(store), failure):
        answer = ann.get(PATH)
    assert answer.status_code == status
    assert answer.json()["detail"] == "In words."
    # And the next one is told at once, without another try
    assert ann.get(PATH).status_code == status


def test_what_does_not_come_in_time_is_a_503_that_says_when(
    ann: Client, store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "_PATIENCE", 0.2)
    with_attachment(store)
    answer = ann.get(PATH)
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/not-ready"
    assert answer.headers["retry-after"] == "5"


def test_a_paused_account_is_asked_for_nothing_but_serves_what_is_kept(
    ann: Client, store: Pool
) -> None:
    account = with_attachment(store)
    with transaction(store) as connection:
        accounts.pause(connection, "ann", account)
    assert ann.get(PATH).status_code == 409
    with transaction(store) as connection:
        connection.execute("DELETE FROM attachment_request")
    rows.keep(store, 1, 1, b"kept")
    assert ann.get(PATH).content == b"kept"


@pytest.mark.parametrize("n", ["0", "2", "-1", "x", "99999999999999999999"])
def test_an_attachment_that_is_none_is_not_found(ann: Client, store: Pool, n: str) -> None:
    with_attachment(store)
    assert ann.get(f"/api/messages/1/attachments/{n}").status_code == 404
