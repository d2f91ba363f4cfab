"""Images inside the HTML of a message."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient

from postwire.model import Body
from postwire.store.pool import Pool
from support import rows

Client = TestClient[Litestar]


def read(ann: Client, store: Pool, html: str, contents: dict[str, bytes]) -> dict[str, Any]:
    """A message with images, by content id; those with bytes are kept."""
    parts = tuple(
        rows.attachment("a.png", "image/png", section=str(n), content_id=cid)
        for n, cid in enumerate(contents, start=2)
    )
    message = replace(rows.incoming(1), body=Body(None, html, ""), attachments=parts)
    rows.store_batch(store, rows.batch(rows.mailbox(store, rows.active(store)), message))
    for n, content in enumerate(contents.values(), start=1):
        if content:
            rows.keep(store, 1, n, content)
    found: dict[str, Any] = ann.get("/api/messages/1").json()
    return found


def test_what_is_kept_is_put_in_and_what_is_not_is_named(ann: Client, store: Pool) -> None:
    # Given two images, of which one is kept, and one that nothing shows
    html = '<img src="cid:logo%40x"><img src="CID:later@x"><img src="cid:nobody">'
    message = read(ann, store, html, {"logo@x": b"png", "later@x": b"", "unused@x": b""})
    # Then the one is in the HTML, and the other is named with its place
    assert message["html"] == (
        '<img src="data:image/png;base64,cG5n"><img src="cid:later@x"><img src="cid:nobody">'
    )
    assert message["inlineImages"] == [
        {"cid": "later@x", "n": 2, "contentType": "image/png", "size": 100}
    ]


def test_no_more_is_put_in_than_a_message_may_weigh(ann: Client, store: Pool) -> None:
    # Given one image that is too large, and more small ones than fit
    kept = {f"{n}@x": os.urandom(250 * 1024) for n in range(9)} | {"big@x": bytes(257 * 1024)}
    html = "".join(f'<img src="cid:{cid}">' for cid in kept)
    message = read(ann, store, html, kept)
    # Then the rest is named
    assert message["html"].count("data:image/png") == 8
    assert [one["cid"] for one in message["inlineImages"]] == ["8@x", "big@x"]


def test_a_content_id_cannot_break_out_of_its_attribute(ann: Client, store: Pool) -> None:
    html = """<img src='cid:"><script>alert(1)</script>'><p> src="cid:x@x"</p>"""
    message = read(ann, store, html, {"x@x": b"png"})
    assert "<script" not in message["html"]
    assert "data:" not in message["html"]
