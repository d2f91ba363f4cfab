"""HTML mail made fit to be shown: nothing runs, nothing loads, nothing leaves its frame.

What comes in is as hostile as its sender, so the rules are lists of what may stay. They are
applied when a message is read, not when it is stored: a better rule mends old mail too.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Mapping
from html import escape, unescape
from types import MappingProxyType
from urllib.parse import unquote

import nh3

#: Characters of the largest HTML that is taken apart: some parsers' checks grow with its square.
MAX_LENGTH = 512 * 1024
#: Elements inside each other; a deep one costs a look at each around it.
MAX_DEPTH = 1000
#: Elements; each that a table lets go is put among all that it has let go before.
MAX_ELEMENTS = 40_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup"
    " dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i"
    " img ins kbd li main mark ol p pre q rp rt ruby s samp section small span strike strong sub"
    " summary sup table tbody td tfoot th thead time tr tt u ul var wbr"
)
#: Whose content goes with them; of all others that are not listed the content stays.
_WITH_CONTENT = _words(
    "script style svg math iframe frame object embed applet noscript noembed noframes template"
    " title textarea select audio video canvas"
)
_CELL = _words("align valign width height bgcolor colspan rowspan nowrap")
_ATTRIBUTES = {
    "*": {"style", "title", "dir", "lang", "align"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height", "border", "hspace", "vspace"},
    "font": {"color", "face", "size"},
    "table": {*_CELL, "border", "cellpadding", "cellspacing"},
    "tr": set(_CELL),
    "td": set(_CELL),
    "th": {*_CELL, "scope"},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
    "ol": {"start", "type"},
    "ul": {"type"},
    "li": {"type", "value"},
    "hr": {"width", "size", "color", "noshade"},
    "div": {"bgcolor"},
}
#: Without those that load something (background-image, list-style-image, cursor, content) or
#: take the content out of its place (position, z-index).
_PROPERTIES = _words(
    "background background-color border border-bottom border-bottom-color border-bottom-style"
    " border-bottom-width border-collapse border-color border-left border-left-color"
    " border-left-style border-left-width border-radius border-right border-right-color"
    " border-right-style border-right-width border-spacing border-style border-top"
    " border-top-color border-top-style border-top-width border-width box-sizing clear color"
    " direction display float font font-family font-size font-style font-variant font-weight"
    " height letter-spacing line-height list-style-type margin margin-bottom margin-left"
    " margin-right margin-top max-height max-width min-height min-width overflow-wrap padding"
    " padding-bottom padding-left padding-right padding-top table-layout text-align"
    " text-decoration text-indent text-overflow text-transform vertical-align visibility"
    " white-space width word-break word-spacing word-wrap"
)
#: A value calls no function but these, and hides none behind an escape or a comment.
_VALUE = re.compile(r"(?:[^()\\<>{}@*]|\b(?:rgb|rgba|hsl|hsla)\([0-9.,%\s/]*\))*", re.IGNORECASE)
#: What browsers strip from the ends of a URL, and what they take out of its middle.
_URL_ENDS = "".join(map(chr, range(0x21)))
_URL_HOLES = str.maketrans("", "", "\t\n\r")

#: Stands before the address of a remote image until the whole is written; nobody can guess it.
_REMOTE = f"remote{secrets.token_hex(16)}:"
#: Stands before the content id of an image in the same way.
_EMBEDDED = f"embedded{secrets.token_hex(16)}:"
_EMBEDDED_SRC = re.compile(f' src="{_EMBEDDED}([^"]*)"')
_CID = re.compile(r' src="cid:([^"]*)"')

#: Elements that HTML closes by itself do not pile up.
_CLOSED_BY_ITSELF = _words(
    "p li dt dd tr td th tbody thead tfoot option br img hr input meta link col colgroup area base"
    " wbr source"
)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
#: An image inside the HTML; it would be dropped, and is often what makes the mail large.
_INLINE = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=\s]{64,}")


class TooMuch(Exception):
    """The HTML is too large, of too many elements or too deeply nested to be taken apart."""


def sanitise(html: str, images: Mapping[str, str] = MappingProxyType({})) -> str:
    """`html` with what is safe to show; remote images wait in `data-src`.

    Images shown by a content id (RFC 2392) get the address that `images` has for it; the others
    keep their `src="cid:…"`.

    Raises:
        TooMuch: taking it apart would take too long.
    """
    html = _INLINE.sub("", html)
    if len(html) > MAX_LENGTH or _is_much(html):
        raise TooMuch
    cleaned = _CLEANER.clean(html).replace(f' src="{_REMOTE}', ' data-src="')

    def embedded(match: re.Match[str]) -> str:
        return f' src="{escape(images.get(content_id(match[1]), f"cid:{unescape(match[1])}"))}"'

    return _EMBEDDED_SRC.sub(embedded, cleaned)


def content_ids(sanitised: str) -> set[str]:
    """The content ids of the images that `sanitise` left to be filled in."""
    return {content_id(found) for found in _CID.findall(sanitised)}


def content_id(url: str) -> str:
    """The content id that is named in what follows `cid:` in HTML."""
    return unquote(unescape(url)).strip("<> ")


def _is_much(html: str) -> bool:
    open_elements: Counter[str] = Counter()
    depth = 0
    tags = _TAG.findall(html)
    if sum(not closing for closing, _ in tags) > MAX_ELEMENTS:
        return True
    for closing, name in tags:
        tag = name.lower()
        if tag in _CLOSED_BY_ITSELF:
            continue
        if not closing:
            open_elements[tag] += 1
            depth += 1
        elif open_elements[tag]:
            open_elements[tag] -= 1
            depth -= 1
        if depth > MAX_DEPTH:
            return True
    return False


def _filter(tag: str, attribute: str, value: str) -> str | None:
    match tag, attribute:
        case "img", "src":
            return _image(_url(value))
        case "a", "href":
            return _link(_url(value))
        case _, "style":
            return _style(value)
        case _:
            return value


def _url(value: str) -> str:
    """The URL that a browser reads in `value` (WHATWG URL, basic URL parser, steps 1 to 3)."""
    return value.strip(_URL_ENDS).translate(_URL_HOLES)


def _image(url: str) -> str | None:
    if url.lower().startswith("cid:"):
        return _EMBEDDED + url[len("cid:") :]
    # Whatever else there is would be looked for on our own server.
    return _REMOTE + url if url.lower().startswith(("http://", "https://")) else None


def _link(url: str) -> str | None:
    return url if url.lower().startswith(("http://", "https://", "mailto:")) else None


def _style(style: str) -> str | None:
    """The declarations that only change how the text looks (CSS Style Attributes §3)."""
    kept = []
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        if name.strip().lower() in _PROPERTIES and _VALUE.fullmatch(value.strip()):
            kept.append(f"{name.strip().lower()}:{value.strip()}")
    return ";".join(kept) or None


_CLEANER = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags=set(_WITH_CONTENT),
    attributes=_ATTRIBUTES,
    attribute_filter=_filter,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto", "cid"},
    url_relative="deny",
)
