"""Messages as nobody should write them, and as they arrive all the same.

Each is made here from a few lines, so that it can be read what is wrong with it. `expected` is what
a reader must find of it at least; that each is stored or set aside, and stops nothing, is expected
of all.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Torture:
    """A message and what has to be found in it, where it is stored."""

    name: str
    raw: bytes
    #: A piece of the subject, the text or the HTML as the API gives them.
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    #: File names as they are shown.
    filenames: tuple[str, ...] | None = None
    #: A piece of the problem in words.
    problem: str | None = None
    #: Bytes of the first attachment.
    content: bytes | None = field(default=None, repr=False)


def corpus() -> list[Torture]:
    """All of them; each has its name in a field of its own, so that no two are the same."""
    return [*_headers(), *_texts(), *_structures(), *_names(), *_contents()]


def _message(name: str, *lines: bytes | str, body: bytes | str = b"body") -> bytes:
    fields = [b"X-Torture: " + name.encode(), *map(_bytes, lines)]
    return b"\r\n".join(fields) + b"\r\n\r\n" + _bytes(body)


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode().replace(b"\n", b"\r\n")


def _headers() -> list[Torture]:
    def one(name: str, *lines: bytes | str, subject: str | None = None) -> Torture:
        return Torture(name, _message(name, *lines), subject=subject, text="body")

    return [
        one("no fields but one"),
        one("raw utf-8 in the subject", "Subject: Grüße aus Köln", subject="Grüße aus Köln"),
        one("raw latin-1 in the subject", b"Subject: Gr\xfc\xdfe", subject="Gr"),
        one("raw bytes of no charset", b"Subject: \x80\x81\xfe\xff ok", subject="ok"),
        one("an encoded word that never ends", "Subject: =?utf-8?q?half", subject="half"),
        one("an encoded word of no charset", "Subject: =?x-none?b?aGVsbG8=?="),
        one("an encoded word with a NUL", "Subject: =?utf-8?q?a=00b?=", subject="a\ufffdb"),
        one("an encoded surrogate", "Subject: =?utf-8?b?7aCA?="),
        one(
            "a character cut between two encoded words",
            "Subject: =?utf-8?b?w6TDtsM=?= =?utf-8?b?vA==?=",
            subject="äöü",
        ),
        one("a header of a megabyte", b"X-Long: " + b"a" * 2**20, "Subject: long"),
        one("a subject of 100,000 characters", "Subject: " + "x" * 100_000, subject="xxx"),
        one("ten thousand fields", *[f"X-{n}: y" for n in range(10_000)], "Subject: many"),
        one("a field folded a thousand times", "Subject: a" + "\n b" * 1000, subject="a"),
        one("a field without a name", ": nothing", "Subject: nameless"),
        one("a line that is no field", "this is no field", "Subject: odd line"),
        one("a date in the year 0", "Date: Mon, 1 Jan 0000 00:00:00 +0000"),
        one("a date in the year 99999", "Date: Mon, 1 Jan 99999 00:00:00 +0000"),
        one("a date with an impossible zone", "Date: Mon, 1 Jan 2024 00:00:00 +9999"),
        one("a date that is none", "Date: yesterday evening"),
        one("a date of the 13th month", "Date: 1 Foo 2024 25:61:61 +0000"),
        one(
            "ten thousand recipients",
            "To: " + ",\n ".join(f"a{n}@x.example" for n in range(10_000)),
        ),
        one("a sender without an address", "From: Nobody At All"),
        one("a sender with open quotes", 'From: "open <a@x.example>'),
        one("a group without members", "To: undisclosed-recipients:;"),
        one("three senders", "From: a@x.example", "From: b@x.example", "From: c@x.example"),
        one("a Message-ID with spaces", "Message-ID: <a b c@x>", "References: < > <<>> <a@b"),
        one(
            "ten thousand references", "References: " + " ".join(f"<{n}@x>" for n in range(10_000))
        ),
    ]


def _texts() -> list[Torture]:
    def one(
        name: str, content_type: str, body: bytes | str, text: str | None, *more: str
    ) -> Torture:
        raw = _message(name, "MIME-Version: 1.0", f"Content-Type: {content_type}", *more, body=body)
        return Torture(name, raw, text=text)

    plain = "text/plain; charset="
    return [
        one("windows-1252 that says latin-1", f"{plain}iso-8859-1", b"\x93quoted\x94", "“quoted”"),
        one("latin-1 that says utf-8", f"{plain}utf-8", b"Gr\xfc\xdfe", "Gr"),
        one("utf-8 that says us-ascii", f"{plain}us-ascii", "Grüße", "Gr"),
        one("a charset that is none", f"{plain}x-mac-klingon", "hello there", "hello there"),
        one("an empty charset", f"{plain}", "hello there", "hello there"),
        one("a charset with quotes and spaces", f'{plain}" utf-8 "', "Grüße", "Gr"),
        one("utf-16 without a mark", f"{plain}utf-16", "hi".encode("utf-16-le"), None),
        one("gb2312 that is gbk", f"{plain}gb2312", "镕基".encode("gbk"), "镕基"),
        one("utf-7", f"{plain}utf-7", b"Hi +AGEAYg-", None),
        one("NUL bytes in the text", f"{plain}utf-8", b"before\0after", "before"),
        one("an empty content type", "", "plain enough", None),
        one("a content type that is none", "nonsense", "plain enough", None),
        one("flowed text", "text/plain; format=flowed", "one \ntwo\n> a \n> b", "one two\n> a b"),
        one(
            "flowed with DelSp",
            "text/plain; format=Flowed; DelSp=Yes",
            "Donau \ndampf",
            "Donaudampf",
        ),
        one("lines of 100,000 characters", f"{plain}utf-8", "x" * 100_000, "xxxx"),
        one("bare line feeds", f"{plain}utf-8", b"one\ntwo\nthree", "two"),
        one(
            "two megabytes of text", f"{plain}utf-8", b"0123456789abcde\r\n" * 130_000, "0123456789"
        ),
        one(
            "base64 with garbage",
            f"{plain}utf-8",
            "aGVs!!bG8\n\n gd29y\nbGQ=",
            "hello world",
            "Content-Transfer-Encoding: base64",
        ),
        one(
            "base64 that is not",
            f"{plain}utf-8",
            "this is no base64, but text",
            None,
            "Content-Transfer-Encoding: base64",
        ),
        one(
            "broken quoted-printable",
            f"{plain}utf-8",
            "a=ZZ b=3D c=",
            "b= c",
            "Content-Transfer-Encoding: quoted-printable",
        ),
        one(
            "a transfer encoding that is none",
            f"{plain}utf-8",
            "as it is",
            "as it is",
            "Content-Transfer-Encoding: x-rot13",
        ),
    ]


def _multipart(name: str, body: bytes | str, *, content_type: str | None = None) -> bytes:
    kind = content_type or 'multipart/mixed; boundary="B"'
    return _message(
        name, f"Subject: {name}", "MIME-Version: 1.0", f"Content-Type: {kind}", body=body
    )


def _structures() -> list[Torture]:
    text = "--B\nContent-Type: text/plain\n\nhello\n"
    mixed = "Content-Type: multipart/mixed; boundary="
    png = "Content-Type: image/png; name=cut.png\nContent-Transfer-Encoding: base64\n\niVBORw0KGg"
    rfc822 = "--B\nContent-Type: message/rfc822\n\n"
    inner = "Subject: inner\nContent-Type: text/plain\n\ninner text\n"

    def one(name: str, body: bytes | str, text: str | None, kind: str | None = None) -> Torture:
        return Torture(name, _multipart(name, body, content_type=kind), subject=name, text=text)

    return [
        one("a boundary that never comes", "no boundary here", None),
        one("a last boundary that is missing", text, "hello"),
        one("a multipart without a boundary", text + "--B--\n", None, "multipart/mixed"),
        one("an empty boundary", "--\n\nhello\n----\n", None, 'multipart/mixed; boundary=""'),
        one("a multipart without parts", "--B--\n", None),
        one("an empty multipart", "", None),
        one("text before and after the parts", f"preamble\n{text}--B--\nepilogue", "hello"),
        one("the same boundary in both layers", f"--B\n{mixed}B\n\n{text}--B--\n--B--\n", None),
        one("a boundary that begins another", f"--B\n{mixed}BB\n\n-{text}--BB--\n--B--\n", None),
        one("a thousand empty parts", "--B\n\n" * 1000 + text + "--B--\n", "hello"),
        one("two hundred layers", _layers(200), None),
        one("two thousand layers", _layers(2000), None),
        one("fifty messages in messages", _nested(50), None),
        one("a part without a blank line", "--B\nContent-Type: text/plain\n--B--\n", None),
        one("multipart that is base64", base64.encodebytes(_bytes(text)), None),
        Torture(
            "a message in a message",
            _multipart("a message in a message", f"{text}{rfc822}{inner}--B--\n"),
            text="hello",
            filenames=("part-1.eml",),
            content=_bytes(inner).rstrip(),
        ),
        Torture(
            "a message that is cut",
            _multipart("a message that is cut", f"{text}--B\n{png}"),
            text="hello",
            filenames=("cut.png",),
            content=b"\x89PNG\r\n\x1a",
        ),
        Torture("nothing but a blank line", b"\r\n"),
        Torture("one byte", b"x"),
        Torture("only NUL bytes", b"X-Torture: nul\r\n\r\n" + b"\0" * 1000),
        Torture("open html", _html("open html", "<table><tr><td><b>open"), html="open"),
        Torture("a script", _html("a script", "<p>ok</p><script>x</script>"), html="<p>ok</p>"),
        Torture(
            "html in ten thousand layers",
            _html("html in ten thousand layers", "<div>" * 10_000 + "deep"),
            problem="deeply nested",
        ),
    ]


def _html(name: str, body: str) -> bytes:
    return _message(name, "MIME-Version: 1.0", "Content-Type: text/html", body=body)


def _layers(depth: int) -> str:
    opened = "".join(
        f"--B{n}\nContent-Type: multipart/mixed; boundary=B{n + 1}\n\n" for n in range(depth)
    )
    return opened.replace("--B0\n", "--B\n", 1) + f"--B{depth}\n\ndeep\n"


def _nested(depth: int) -> str:
    inner = f"Subject: {depth}\nContent-Type: message/rfc822\n\n"
    return "--B\nContent-Type: message/rfc822\n\n" + inner * depth + "Subject: last\n\nend\n--B--\n"


def _names() -> list[Torture]:
    def one(name: str, shown: str, *parameters: bytes | str) -> Torture:
        fields = b"\r\n".join([b"--B", *map(_bytes, parameters), b"", b"x", b"--B--", b""])
        return Torture(name, _multipart(name, fields), filenames=(shown,), content=b"x")

    kind = "Content-Type: application/pdf"
    attached = "Content-Disposition: attachment; filename"
    return [
        one(
            "a name in pieces",
            "long name.pdf",
            kind,
            f'{attached}*0="long ";\n filename*1="name.pdf"',
        ),
        one(
            "a name with a charset",
            "Zoë €.pdf",
            kind,
            f"{attached}*=utf-8''Zo%C3%AB%20%E2%82%AC.pdf",
        ),
        one(
            "a name in pieces with a charset",
            "Zoë and more.pdf",
            kind,
            f"{attached}*0*=iso-8859-1'de'Zo%EB;\n filename*1=\" and more.pdf\"",
        ),
        one("a name in encoded words", "Zoë.pdf", kind, f'{attached}="=?iso-8859-1?q?Zo=EB?=.pdf"'),
        one("a name of raw utf-8", "Zoë.pdf", kind, f'{attached}="Zoë.pdf"'),
        one("a name of raw latin-1", "Zoë.pdf", kind, attached.encode() + b'="Zo\xeb.pdf"'),
        one("a name without quotes", "two.pdf", kind, f"{attached}=two.pdf"),
        one("a name of the type alone", "typed.pdf", f"{kind}; name=typed.pdf"),
        one("a name that is a path", "passwd", kind, f'{attached}="../../etc/passwd"'),
        one("a name of a Windows path", "plan.pdf", kind, f'{attached}="C:\\\\docs\\\\plan.pdf"'),
        one(
            "a name that hides its ending",
            "photogpj.exe",
            kind,
            f"{attached}*=utf-8''photo%E2%80%AEgpj.exe",
        ),
        one("a name with a NUL", "a\ufffdb.pdf", kind, f"{attached}*=utf-8''a%00b.pdf"),
        one("an empty name", "part-1.pdf", kind, f'{attached}=""'),
        one("no name", "part-1.png", "Content-Type: image/png", "Content-Disposition: attachment"),
    ]


def _contents() -> list[Torture]:
    def one(name: str, encoding: str, body: bytes | str, content: bytes | None) -> Torture:
        fields = (
            "--B\nContent-Type: application/x-thing; name=a.bin\n"
            f"Content-Transfer-Encoding: {encoding}\n\n"
        )
        raw = _multipart(name, _bytes(fields) + _bytes(body) + b"\r\n--B--\r\n")
        return Torture(name, raw, filenames=("a.bin",), content=content)

    return [
        one("an attachment of nothing", "base64", "", b""),
        one("base64 in one line", "base64", base64.b64encode(b"line" * 9000), b"line" * 9000),
        one("base64 in two runs", "base64", "SGVsbG8=\nIHdvcmxk", b"Hello world"),
        one("base64 in capitals", "BASE64", "SGVsbG8=", b"Hello"),
        one("an unknown encoding", "x-uue", "as it is", b"as it is"),
        one("binary", "binary", b"\x01\xff\x80ok", b"\x01\xff\x80ok"),
    ]
