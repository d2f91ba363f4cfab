"""Bytes of a message to what is kept of it (RFC 5322, RFC 2045-2047, RFC 2231).

fast-mail-parser reads, for it is thirty times faster than the standard library; what it refuses,
the standard library reads. Nothing that a message contains is fatal: what cannot be read is
marked in words, and the rest is kept.
"""

from __future__ import annotations

import binascii
import email
import email.policy
import re
from collections.abc import Iterable, Sequence
from email.message import Message as StdlibMessage
from email.utils import getaddresses
from itertools import islice
from string import ascii_letters, digits

import fast_mail_parser as fmp
from selectolax.lexbor import LexborHTMLParser

from postwire.model import Address, Attachment, Body, Flow, Headers
from postwire_worker.structure import Part
from postwire_worker.text import clean, decoded, moment, text_of

#: Characters of the preview in a list.
SNIPPET = 200
#: Characters that are looked at for a snippet, and of HTML for what is read of it.
_SNIPPET_SOURCE = 100_000
#: Characters of a header field that are kept, and people in one.
_FIELD = 2_000
_PEOPLE = 200
_REFERENCES = 100
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")
_SUBJECT = re.compile(rb"^subject:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)
#: Stands for what could not be read.
_LOST = "\ufffd"
_TOKEN = re.compile(r"[^A-Za-z0-9_.:+-]")
_NOT_BASE64 = bytes(set(range(256)) - set(ascii_letters.encode() + digits.encode() + b"+/"))
#: Bytes of a damaged message that the standard library is given: it takes minutes for a large one
#: with hundreds of layers.
_DAMAGED = 1024 * 1024
#: Lines of a whole message that may delimit a part (RFC 2046 §5.1.1). Each part costs a kilobyte of
#: memory; what lies beyond is left out.
_DELIMITERS = 20_000
_DELIMITER = re.compile(rb"\n--")
#: Encoded words of one field that are read (RFC 2047): readers look for the end of each in all that
#: follows, which takes hours where a message is read whole and has nothing else.
_WORDS = 500
_WORD = b"=?"
#: A line with those that continue it (RFC 5322 §2.2.3).
_UNFOLDED = re.compile(rb"[^\n]+(?:\n[ \t][^\n]*)*")
#: What is not seen and is no space to Python; senders fill previews with it.
_INVISIBLE = re.compile(r"[\u200b-\u200d\u034f\ufeff\u00ad]+")


def headers(block: bytes) -> tuple[Headers, str | None]:
    """The fields of a header block, and what could not be read in words."""
    block = _few_words(block)
    try:
        parsed = fmp.parse_email(block, mode="metadata")
    except fmp.ParseError:
        return _stdlib_headers(block), "The header is damaged."
    fields = {name.lower(): values for name, values in parsed.headers.items()}
    return (
        Headers(
            message_id=_message_id(fields.get("message-id", ())),
            in_reply_to=_message_id(fields.get("in-reply-to", ())),
            references=_references(fields.get("references", ())),
            subject=_subject(clean(parsed.subject), block)[:_FIELD],
            # Not `date_parsed`, which raises for a year that Python does not know.
            date=moment(fields.get("date", [""])[0]),
            from_=_people([parsed.from_] if parsed.from_ else []),
            to=_people(parsed.to),
            cc=_people(parsed.cc),
            bcc=_people(parsed.bcc),
            reply_to=_people(parsed.reply_to),
        ),
        None,
    )


def part_text(part: Part, content: bytes) -> tuple[str, str | None]:
    """The text of one part, and what could not be read in words."""
    encoding = _token(part.encoding)
    if encoding == "base64":
        encoding, content = "8bit", _base64(content)
    # The same reader for a part as for a message: a part is a message with two fields.
    head = (
        f"Content-Type: text/plain; charset={_token(part.charset) or 'utf-8'}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    text, _, problem = _texts(head.encode("ascii", "replace") + content)
    return text or "", problem


def _base64(content: bytes) -> bytes:
    # Where a text was cut off in the middle of a group, fast-mail-parser decodes nothing at all.
    said = content.translate(None, _NOT_BASE64)
    return binascii.a2b_base64(said[: len(said) - (len(said) % 4 == 1)] + b"==")


def whole(raw: bytes) -> tuple[Body, tuple[Attachment, ...], str | None]:
    """Body and attachments of a whole message, and what could not be read in words."""
    raw = _few_words(raw)
    few = _few(raw)
    text, html, problem = _texts(few)
    if few is not raw:
        problem = problem or "There are too many parts; the first ones were read."
    try:
        parts = fmp.parse_email(few, mode="metadata").attachments
    except fmp.ParseError:
        return body(text, html), (), problem or "The attachments cannot be listed."
    # Where the server's structure cannot be trusted, neither can its sections: such an
    # attachment is found again by its place in the whole message.
    attachments = tuple(
        Attachment(
            section=f"whole:{n}",
            filename=clean(part.filename) or None,
            content_type=clean(part.mimetype),
            size=part.encoded_size,
            content_id=part.content_id and clean(part.content_id),
            disposition=part.disposition and clean(part.disposition),
        )
        for n, part in enumerate(parts, start=1)
    )
    return body(text, html), attachments, problem


def attachment(raw: bytes, number: int) -> bytes | None:
    """The bytes of the `number`-th attachment of a whole message, as `whole` counts them."""
    try:
        parts = fmp.parse_email(_few(_few_words(raw)), mode="lazy").attachments
        return bytes(parts[number - 1].content) if 0 < number <= len(parts) else None
    except fmp.ParseError:
        return None


def _few(raw: bytes) -> bytes:
    """The message up to where it has too many parts."""
    beyond = next(islice(_DELIMITER.finditer(raw), _DELIMITERS, None), None)
    return raw[: beyond.start()].removesuffix(b"\r") if beyond else raw


def _few_words(raw: bytes) -> bytes:
    """As long as `raw`, with no more encoded words in any field than are read."""
    if raw.count(_WORD) <= _WORDS:
        return raw
    # In place: a message may have millions of lines.
    read = bytearray(raw)
    for field in _UNFOLDED.finditer(raw):
        if raw.count(_WORD, *field.span()) > _WORDS:
            read[field.start() : field.end()] = _first_words(field[0])
    return bytes(read)


def _first_words(field: bytes) -> bytes:
    *first, rest = field.split(_WORD, _WORDS)
    return _WORD.join([*first, rest.replace(b"?", b"_")])


def body(text: str | None, html: str | None, flow: Flow = "") -> Body:
    """A body with its snippet; from the HTML only where there is no text."""
    visible = None if text and text.strip() else _spaced(_visible(html or ""))
    source = text if visible is None else visible
    snippet = _spaced((source or "")[:_SNIPPET_SOURCE])[:SNIPPET]
    return Body(text, html, snippet, flow, visible or None)


def _texts(raw: bytes) -> tuple[str | None, str | None, str | None]:
    try:
        parsed = fmp.parse_email(raw, mode="lazy")
    except fmp.ParseError:
        return *_stdlib_texts(raw), "A part is damaged; it was read as well as could be."
    problem = "The character set is unknown; it was guessed." if parsed.warnings else None
    return _joined(parsed.text_plain), _joined(parsed.text_html), problem


def _stdlib_texts(raw: bytes) -> tuple[str | None, str | None]:
    found: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    try:
        for part in email.message_from_bytes(raw[:_DAMAGED], policy=email.policy.compat32).walk():
            kind = part.get_content_type()
            if kind in found and part.get_content_disposition() != "attachment":
                found[kind].append(_stdlib_decoded(part))
    except RecursionError:
        # Layers without end: what was found so far is all there is.
        pass
    return _joined(found["text/plain"]), _joined(found["text/html"])


def _stdlib_decoded(part: StdlibMessage) -> str:
    content = part.get_payload(decode=True)
    data = content if isinstance(content, bytes) else b""
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError, ValueError):
        return data.decode("latin-1")


def _stdlib_headers(block: bytes) -> Headers:
    fields = email.message_from_bytes(block, policy=email.policy.compat32)

    def people(name: str) -> tuple[Address, ...]:
        try:
            pairs = getaddresses([str(value) for value in fields.get_all(name, [])])
        except RecursionError:
            # Comments in comments, without end.
            return ()
        return tuple(
            Address(decoded(display)[:_FIELD], clean(address)[:_FIELD])
            for display, address in pairs[:_PEOPLE]
        )

    return Headers(
        message_id=_message_id([str(fields.get("message-id", ""))]),
        in_reply_to=_message_id([str(fields.get("in-reply-to", ""))]),
        references=_references([str(fields.get("references", ""))]),
        subject=decoded(str(fields.get("subject", "")))[:_FIELD],
        date=moment(str(fields.get("date", ""))),
        from_=people("from"),
        to=people("to"),
        cc=people("cc"),
        bcc=people("bcc"),
        reply_to=people("reply-to"),
    )


def _subject(read: str, block: bytes) -> str:
    # Mail programs cut a character in two between encoded words, which RFC 2047 §5 forbids and
    # fast-mail-parser does not mend.
    found = _SUBJECT.search(block) if _LOST in read else None
    if found is None:
        return read
    again = decoded(text_of(found[1].replace(b"\r", b"").replace(b"\n", b"")).strip())
    return again if again.count(_LOST) < read.count(_LOST) else read


def _people(parsed: Iterable[fmp.PyAddress]) -> tuple[Address, ...]:
    people = [
        Address(clean(person.display_name or "")[:_FIELD], clean(person.address)[:_FIELD])
        for person in parsed
    ]
    return tuple(people[:_PEOPLE])


def _message_id(values: Sequence[str]) -> str | None:
    found = _MESSAGE_ID.search(values[0]) if values else None
    return clean(found[0]) if found else None


def _references(values: Iterable[str]) -> tuple[str, ...]:
    # The oldest and the newest matter most; a thread grows at its end.
    return tuple(clean(id_) for value in values for id_ in _MESSAGE_ID.findall(value))[
        -_REFERENCES:
    ]


def _joined(texts: Sequence[str]) -> str | None:
    return clean("\n\n".join(texts)) if texts else None


def _spaced(text: str) -> str:
    return " ".join(_INVISIBLE.sub(" ", text).split())


def _visible(html: str) -> str:
    if not html:
        return ""
    tree = LexborHTMLParser(html[:_SNIPPET_SOURCE])
    tree.strip_tags(["script", "style", "head", "title"])
    return tree.body.text(separator=" ") if tree.body else ""


def _token(value: str) -> str:
    # It goes into a header of our own making: nothing in it may end the line.
    return _TOKEN.sub("", value)[:64]
