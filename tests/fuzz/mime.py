"""The bytes of a message, to what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator

from postwire.model import Headers
from postwire_worker import mime
from postwire_worker.decoding import decoder
from postwire_worker.structure import Part
from postwire_worker.text import decoded, moment
from support import torture

_ENCODINGS = ["base64", "quoted-printable", "7bit"]
_CHARSETS = ["utf-8", "utf-7", "iso-2022-jp", "utf-16", "gb18030", "idna", "unknown"]
#: Bytes of the longest seed; larger ones say nothing more and are slow.
_SEED = 4_000


def run(data: bytes) -> None:
    """Read `data` as a header block, as a message, and as one part in some encoding."""
    headers, _ = mime.headers(data)
    _check_headers(headers)
    body, attachments, _ = mime.whole(data)
    assert len(body.snippet) <= mime.SNIPPET
    _keepable(body.text, body.html, body.snippet)
    for n, part in enumerate(attachments, start=1):
        _keepable(part.filename, part.content_type, part.content_id, part.disposition)
        mime.attachment(data, n)
    words = data.decode("latin-1")
    _keepable(decoded(words))
    found = moment(words)
    assert found is None or found.tzinfo
    _read_part(data)


def _check_headers(headers: Headers) -> None:
    people = (*headers.from_, *headers.to, *headers.cc, *headers.bcc, *headers.reply_to)
    _keepable(headers.subject, headers.message_id, headers.in_reply_to, *headers.references)
    for person in people:
        _keepable(person.name, person.address)


def _read_part(data: bytes) -> None:
    chosen, content = data[:1] or b"\0", data[1:]
    encoding = _ENCODINGS[chosen[0] % len(_ENCODINGS)]
    charset = _CHARSETS[chosen[0] // len(_ENCODINGS) % len(_CHARSETS)]
    part = Part("1", "text", "plain", charset, encoding, 0, None, None, None)
    _keepable(mime.part_text(part, content)[0])
    # However the pieces come, what comes of them is the same.
    assert _decoded(encoding, content, 7) == _decoded(encoding, content, len(content) + 1)


def _decoded(encoding: str, content: bytes, piece: int) -> bytes:
    reader = decoder(encoding)
    pieces = [reader.feed(content[at : at + piece]) for at in range(0, len(content), piece)]
    return b"".join([*pieces, reader.end()])


def _keepable(*words: str | None) -> None:
    """PostgreSQL takes them."""
    for word in filter(None, words):
        assert "\0" not in word
        word.encode()


def seeds() -> Iterator[bytes]:
    """The torture corpus, as far as it is short."""
    for one in torture.corpus():
        if len(one.raw) < _SEED:
            yield one.raw
