"""Images inside the HTML of a message: those at hand are put in, the others named.

The frame that shows the HTML has no credentials, so an image comes to it as a data: URL or not at
all. Whoever shows the message fetches what is not at hand yet.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from postwire import model
from postwire.model import Attachment
from postwire.store import contents
from postwire.store.pool import Pool, transaction
from postwire_api import html
from postwire_api.attachments import IMAGES
from postwire_api.schemas import InlineImage

#: Bytes of one image that is put in, and of all of a message together.
_EACH = 256 * 1024
_TOTAL = 2 * 1024 * 1024


def at_hand(store: Pool, message: model.Message) -> dict[str, str]:
    """The small images that are kept already, as data: URLs by content id."""
    shown = dict(_images(message))
    if not shown or not (message.body and message.body.html):
        return {}
    with transaction(store) as connection:
        kept = contents.find_small(
            connection, message.account_id, message.id, IMAGES, each=_EACH, total=_TOTAL
        )
    return {
        html.content_id(part.content_id or ""): _data_url(part.content_type, kept[n])
        for n, part in shown.items()
        if n in kept
    }


def missing(sanitised: str | None, message: model.Message) -> list[InlineImage]:
    """The images that the HTML shows and does not have."""
    wanted = html.content_ids(sanitised or "")
    return [
        InlineImage(cid=cid, n=n, content_type=part.content_type, size=part.size)
        for n, part in _images(message)
        if (cid := html.content_id(part.content_id or "")) in wanted
    ]


def _images(message: model.Message) -> Iterator[tuple[int, Attachment]]:
    for n, part in enumerate(message.attachments, start=1):
        if part.content_id and part.content_type in IMAGES:
            yield n, part


def _data_url(content_type: str, content: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"
