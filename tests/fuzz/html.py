"""HTML mail, cleaned: another parser finds nothing in it that may not stay, nor does a second time.

The names of files go through here too: they end in a header and in a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from selectolax.lexbor import LexborHTMLParser

from postwire_api import filenames, html
from support import hostile

#: What a parser adds by itself.
_FRAME = {"html", "head", "body", "-text"}
_KEPT = {name for names in html._ATTRIBUTES.values() for name in names}
_SET = {"target", "rel", "data-src"}
_ADDRESS = re.compile(r"(?:https?|mailto|cid):", re.IGNORECASE)
_ROUNDS = 5
#: What no value may hold, for it calls or hides something.
_LOADS = re.compile(r"(?:url|image|set|expression)\s*\(|[\\@{}<>]", re.IGNORECASE)


def run(data: bytes) -> None:
    """Clean `data`, twice; call a file by it."""
    mail = data.decode("utf-8", "replace")
    with suppress(html.TooMuch):
        shown = html.sanitise(mail)
        _check(shown)
        html.content_ids(shown)
        if "data-src" not in mail:
            _check_stable(shown)
    _check_name(mail)


def _check(shown: str) -> None:
    tree = LexborHTMLParser(shown)
    for node in tree.root.traverse() if tree.root else ():
        assert node.tag in html._TAGS | _FRAME, (node.tag, shown)
        for name, value in node.attributes.items():
            assert name in _KEPT | _SET, (name, shown)
            if name in {"href", "src", "data-src"}:
                assert _ADDRESS.match(value or ""), (value, shown)
            assert name != "style" or not _LOADS.search(value or ""), (value, shown)
            if name == "style":
                named = {one.partition(":")[0] for one in (value or "").split(";")}
                assert named <= html._PROPERTIES, (value, shown)


def _check_stable(shown: str) -> None:
    """Cleaned again, it comes to rest: links in links in tables are sorted out one by one."""
    for _ in range(_ROUNDS):
        # What waits is what is let in, and waits again.
        again = html.sanitise(shown.replace(' data-src="', ' src="'))
        if again == shown:
            return
        _check(again)
        shown = again
    raise AssertionError(shown)


def _check_name(mail: str) -> None:
    name = filenames.shown(mail, "text/html", 1)
    assert 0 < len(name) <= 120
    assert not set(name) & set("/\\\r\n\0\u202e")
    field = filenames.disposition("attachment", name)
    assert field.isascii()
    assert field.isprintable()


def seeds() -> Iterator[bytes]:
    """The hostile corpus, and an ordinary letter."""
    for mail in hostile.corpus().values():
        yield mail.encode()
    yield b'<table width="6"><tr><td style="color: rgb(1, 2, 3)">a<br><a href="mailto:a@b">x</a>'
    yield b'<ul><li><b>a<i>b</b>c</i><p>d<blockquote>e<img src="cid:a@b" alt="&lt;">'
