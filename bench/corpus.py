"""Mail as people have it, the same in each run: 10,000 messages are 1.5 GB, most of them small.

Half are text and HTML, a fifth carry one to three files, some have pictures in their HTML, two in
five answer another; ten character sets, all transfer encodings, and one in forty is broken the way
mail in the wild is.
"""

from __future__ import annotations

import base64
import os
import quopri
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from functools import cache

from support.mailbox import MailUser

#: Words of each character set.
_WORDS = {
    "utf-8": "meeting invoice report deadline thanks draft please review café plan Größe budget",
    "us-ascii": "please find attached the report for the last quarter and let me know about it",
    "iso-8859-1": "façade élève déjà garçon Übung schön señorita año mañana crème brûlée",
    "iso-8859-15": "prix en € œuvre cœur Žižek déjà façade élève",
    "windows-1252": "“quoted” text with dashes … and € signs naïve café",
    "koi8-r": "привет отчёт встреча завтра договор счёт спасибо письмо срочно",
    "iso-2022-jp": "会議 資料 添付 明日 東京 報告 お願い します 確認",
    "gb2312": "会议 报告 附件 明天 北京 谢谢 请 查看 文件",
    "big5": "會議 報告 附件 明天 台北 謝謝 請 查看 文件",
    "euc-kr": "회의 보고서 첨부 내일 서울 감사합니다 확인 부탁",
}
_CHARSETS = list(_WORDS)
_CHARSET_WEIGHTS = [60, 12, 6, 2, 6, 3, 4, 3, 2, 2]
_PEOPLE = [(f"Person {n}", f"person{n}@company{n % 40}.example") for n in range(300)]
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
#: One of so many is broken.
_BROKEN = 40


def messages(count: int, seed: int = 1) -> Iterator[bytes]:
    """So many messages, with LF, as they lie in a maildir."""
    for number in range(count):
        yield message(number, seed)


def message(number: int, seed: int = 1) -> bytes:
    """The message of that number: always the same bytes."""
    draw = random.Random(f"{seed}:{number}")  # noqa: S311 - nothing is secret
    kind = draw.random()
    content = _text_and_html(draw) if kind < 0.52 else _text(draw)  # noqa: PLR2004
    if draw.random() < 0.05:  # noqa: PLR2004 - the shares are those of the description
        content = _multipart("related", [_html(draw), *(_picture(draw, n) for n in (1, 2))], draw)
    if draw.random() < 0.21:  # noqa: PLR2004
        files = [_file(draw, n) for n in range(draw.randint(1, 3))]
        content = _multipart("mixed", [content, *files], draw)
    head = _head(draw, number, seed)
    if draw.random() < 1 / _BROKEN:
        head, content = _broken(draw, head, content)
    return head + b"MIME-Version: 1.0\n" + content


def fill(user: MailUser, count: int, *, first: int = 0, seed: int = 1) -> int:
    """Put so many into INBOX as files, for APPEND takes longer than a sync; bytes of them all."""
    with user.session() as mail:
        mail.select_folder("INBOX")
    folder = user.server.ca_file.parent / "mail" / user.name / "Maildir" / "cur"
    owner = folder.stat()
    size = 0
    for number in range(first, first + count):
        content = message(number, seed)
        # Dovecot takes the size from the name, and INTERNALDATE from the time of the file.
        file = folder / f"{1_700_000_000 + number}.M{number}.bench,S={len(content)}:2,S"
        file.write_bytes(content)
        moment = (_FIRST + timedelta(minutes=number)).timestamp()
        os.utime(file, (moment, moment))
        os.chown(file, owner.st_uid, owner.st_gid)
        size += len(content)
    return size


def _head(draw: random.Random, number: int, seed: int) -> bytes:
    sender, receivers = draw.choice(_PEOPLE), draw.sample(_PEOPLE, draw.choice([1, 1, 1, 2, 5]))
    subject = _sentence(draw, draw.choices(_CHARSETS, _CHARSET_WEIGHTS)[0], 6)
    fields = [
        *(
            f"Received: from mx{n}.example (mx{n}.example [192.0.2.{n}])\n"
            f"\tby mail.example with ESMTPS id {draw.getrandbits(64):016x}"
            for n in range(1, 4)
        ),
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; h=from:to:subject:date;\n\tb="
        + base64.b64encode(draw.randbytes(192)).decode(),
        f"From: {sender[0]} <{sender[1]}>",
        "To: " + ",\n\t".join(f'"{name}" <{address}>' for name, address in receivers),
        f"Subject: {Header(subject, 'utf-8').encode() if not subject.isascii() else subject}",
        f"Date: {format_datetime(_FIRST + timedelta(minutes=number))}",
        f"Message-ID: <{seed}.{number}@bench.example>",
    ]
    if number and draw.random() < 0.42:  # noqa: PLR2004
        # Conversations have a few messages, as those of people have.
        root = number - number % 8
        chain = [f"<{seed}.{n}@bench.example>" for n in range(root, number)] or ["<gone@x.example>"]
        fields += [f"In-Reply-To: {chain[-1]}", "References: " + "\n\t".join(chain)]
    return ("\n".join(fields) + "\n").encode()


def _text_and_html(draw: random.Random) -> bytes:
    return _multipart("alternative", [_text(draw), _html(draw)], draw)


def _text(draw: random.Random) -> bytes:
    charset = draw.choices(_CHARSETS, _CHARSET_WEIGHTS)[0]
    paragraphs = 1 + int(min(60, draw.lognormvariate(1.2, 0.9)))
    text = "\n\n".join(_sentence(draw, charset, 40) for _ in range(paragraphs))
    return _encoded(draw, text, "plain", charset)


def _encoded(draw: random.Random, text: str, subtype: str, charset: str) -> bytes:
    data = text.encode(charset, "replace")
    encoding = draw.choice(["quoted-printable", "base64", "8bit"])
    if charset == "iso-2022-jp":
        encoding = "7bit"
    elif encoding == "base64":
        data = base64.encodebytes(data)
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data)
    head = f"Content-Type: text/{subtype}; charset={charset}\nContent-Transfer-Encoding: {encoding}"
    return head.encode() + b"\n\n" + data + b"\n"


def _html(draw: random.Random) -> bytes:
    rows = "".join(
        f'<tr><td style="padding:4px;font-family:Arial">{_sentence(draw, "utf-8", 25)}</td>'
        f'<td><a href="https://news.example/{draw.getrandbits(60):x}">more</a></td></tr>\n'
        for _ in range(int(draw.lognormvariate(4.0, 0.8)))
    )
    page = f"<html><head><style>td{{color:#333}}</style></head><body><table>{rows}</table></body>"
    return _encoded(draw, page, "html", "utf-8")


def _file(draw: random.Random, number: int) -> bytes:
    size = int(min(2_000_000, max(50_000, draw.lognormvariate(11.9, 0.9))))
    head = (
        f'Content-Type: application/pdf; name="report-{number}.pdf"\n'
        f'Content-Disposition: attachment; filename="report-{number}.pdf"\n'
        "Content-Transfer-Encoding: base64\n\n"
    )
    return head.encode() + _base64(draw, size)


def _picture(draw: random.Random, number: int) -> bytes:
    head = (
        f"Content-Type: image/png\nContent-ID: <picture{number}@bench.example>\n"
        f'Content-Disposition: inline; filename="picture{number}.png"\n'
        "Content-Transfer-Encoding: base64\n\n"
    )
    return head.encode() + _base64(draw, draw.randint(5_000, 80_000))


def _base64(draw: random.Random, size: int) -> bytes:
    """So many bytes, encoded; cut from one pool, for drawing them would take longest."""
    lines = -(-size // 57)
    pool = _pool()
    start = draw.randrange(len(pool) // 77 - lines) * 77
    return pool[start : start + lines * 77]


@cache
def _pool() -> bytes:
    return base64.encodebytes(random.Random(0).randbytes(4_000_000))  # noqa: S311


def _multipart(subtype: str, parts: list[bytes], draw: random.Random) -> bytes:
    mark = f"=_{draw.getrandbits(96):024x}".encode()
    head = b'Content-Type: multipart/%s;\n\tboundary="%s"\n\n' % (subtype.encode(), mark)
    return head + b"".join(b"--%s\n%s\n" % (mark, part) for part in parts) + b"--%s--\n" % mark


def _broken(draw: random.Random, head: bytes, content: bytes) -> tuple[bytes, bytes]:
    """What senders get wrong."""
    match draw.randrange(6):
        case 0:
            return head, content.replace(b"charset=utf-8", b"charset=x-nobody-knows")
        case 1:
            return head, content[: len(content) * 2 // 3]
        case 2:
            return _without(head, b"Date:"), content
        case 3:
            return _without(head, b"Message-ID:"), content
        case 4:
            return head.replace(b"Subject: ", b"Subject: \xe9t\xe9 "), content
        case _:
            return head, b"Content-Type: text/plain\n\n"


def _without(head: bytes, name: bytes) -> bytes:
    return b"".join(line for line in head.splitlines(keepends=True) if not line.startswith(name))


def _sentence(draw: random.Random, charset: str, words: int) -> str:
    return " ".join(draw.choices(_WORDS[charset].split(), k=words))
