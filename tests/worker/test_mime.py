"""Reading mail: good, odd, broken and hostile, and good mail as the standard library does."""

from __future__ import annotations

import base64
import email
import email.policy
import quopri
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postwire.model import Address, Attachment, Headers
from postwire_worker import mime
from postwire_worker.structure import Part


def part(charset: str = "utf-8", encoding: str = "8bit", subtype: str = "plain") -> Part:
    return Part("1", "text", subtype, charset, encoding, 0, None, None, None)


def read(block: str | bytes) -> Headers:
    """The fields of a header block that has no problem."""
    raw = block if isinstance(block, bytes) else block.encode()
    headers, problem = mime.headers(raw.replace(b"\n", b"\r\n") + b"\r\n")
    assert problem is None
    return headers


def test_all_fields_are_read() -> None:
    headers = read(
        'From: "Lindqvist, Anna" <anna@northwind.example>\n'
        "To: Robin <robin@postwire.example>, kim@postwire.example\n"
        "Cc: =?utf-8?q?J=C3=BCrgen?= <j@postwire.example>\n"
        "Bcc: hidden@postwire.example\nReply-To: desk@northwind.example\n"
        "Subject: =?utf-8?b?R3LDvMOfZQ==?= from\n =?iso-8859-1?q?K=F6ln?=\n"
        "Date: Wed, 17 Jul 2024 02:44:25 +0200\n"
        "Message-ID: <one@northwind.example>\nIn-Reply-To: <zero@postwire.example>\n"
        "References: <a@x>\n <b@x> <zero@postwire.example>\n"
    )
    assert headers == Headers(
        message_id="<one@northwind.example>",
        in_reply_to="<zero@postwire.example>",
        references=("<a@x>", "<b@x>", "<zero@postwire.example>"),
        subject="Grüße from Köln",
        date=datetime(2024, 7, 17, 0, 44, 25, tzinfo=UTC),
        from_=(Address("Lindqvist, Anna", "anna@northwind.example"),),
        to=(Address("Robin", "robin@postwire.example"), Address("", "kim@postwire.example")),
        cc=(Address("Jürgen", "j@postwire.example"),),
        bcc=(Address("", "hidden@postwire.example"),),
        reply_to=(Address("", "desk@northwind.example"),),
    )


@pytest.mark.parametrize("block", ["", "X-Nothing: here\n", "\n"])
def test_a_message_without_fields_has_none(block: str) -> None:
    assert read(block) == Headers()


@pytest.mark.parametrize(
    ("encoded", "subject"),
    [
        ("=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?gb2312?b?xOO6ww==?=", "你好"),
        ("=?koi8-r?b?8NLJ18XU?=", "Привет"),
        ("=?windows-1252?q?=80_5?=", "€ 5"),
        ("=?UTF-8?Q?a_b=20c?=", "a b c"),
        ("=?utf-8?q?one?= =?utf-8?q?two?=", "onetwo"),
    ],
)
def test_encoded_words_of_the_world_are_read(encoded: str, subject: str) -> None:
    assert read(f"Subject: {encoded}\n").subject == subject


def test_a_character_cut_between_two_encoded_words_is_put_together() -> None:
    found = read("Subject: a =?utf-8?b?w6TDtsM=?=\n =?utf-8?b?vA==?=\nTo: b@x.example\n")
    assert found.subject == "a äöü"


def test_raw_bytes_in_a_header_are_read_as_text() -> None:
    # Given headers as mail programs write them that know no MIME
    assert read("Subject: Grüße\n").subject == "Grüße"
    latin = read("Subject: Grüße\n".encode("latin-1")).subject
    assert latin.startswith("Gr")
    assert latin.endswith("e")


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Mon, 1 Jan 0001 00:00:00 +1400",
        "Thu, 1 Jan 1931 00:00:00 +0000",
        "Wed, 17 Jul 2024 02:44:25 +9959",
        "Wed, 99 Foo 2024 99:99:99 +0000",
        "yesterday",
        "",
    ],
)
def test_a_date_that_cannot_be_is_none_or_in_range(date: str) -> None:
    found = read(f"Subject: x\nDate: {date}\n").date
    assert found is None or 1970 <= found.year < 2200


def test_huge_headers_are_cut_and_do_not_take_long() -> None:
    # Given a quarter of a megabyte of each
    huge = 256 * 1024
    block = (
        f"Subject: {'x' * huge}\nTo: {'a@b.example, ' * (huge // 13)}z@b.example\n"
        f"References: {'<a@b> ' * (huge // 6)}<last@b>\n"
    )

    # When they are read
    started = time.process_time()
    headers = read(block)
    used = time.process_time() - started

    # Then what is kept is bounded, the newest reference among it, and little time was spent
    assert len(headers.subject) == 2000
    assert len(headers.to) == 200
    assert len(headers.references) == 100
    assert headers.references[-1] == "<last@b>"
    assert used < 2


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("utf-8", "Grüße €"),
        ("iso-2022-jp", "日本語"),
        ("gb2312", "你好"),
        ("gb18030", "你好"),
        ("big5", "中文"),
        ("euc-kr", "안녕"),
        ("shift_jis", "日本"),
        ("koi8-r", "Привет"),
        ("windows-1251", "Привет"),
        ("iso-8859-15", "€"),
        ("us-ascii", "plain"),
    ],
)
@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_text_in_the_charsets_of_the_world_is_read(charset: str, text: str, encoding: str) -> None:
    content = text.encode(charset)
    written = {
        "8bit": content,
        "base64": base64.encodebytes(content),
        "quoted-printable": quopri.encodestring(content),
    }[encoding]
    found, problem = mime.part_text(part(charset, encoding), written)
    assert found.strip() == text
    assert problem is None


def test_windows_1252_that_says_it_is_latin_1_is_read_as_what_it_is() -> None:
    # As all mail programs and browsers do (WHATWG Encoding)
    found, problem = mime.part_text(part("iso-8859-1"), "“5 €”".encode("windows-1252"))
    assert (found, problem) == ("“5 €”", None)


@pytest.mark.parametrize("charset", ["nowhere-8", "", "x" * 500, "utf-8\r\nSubject: x", "\0", "ü"])
def test_an_unknown_charset_is_guessed(charset: str) -> None:
    found, _ = mime.part_text(part(charset), b"plain words")
    assert found == "plain words"


@pytest.mark.parametrize("encoding", ["x-uuencode", "", "7bit\r\n\r\n", "\0", "base-64"])
def test_an_unknown_transfer_encoding_is_taken_as_it_is(encoding: str) -> None:
    found, _ = mime.part_text(part(encoding=encoding), b"plain words")
    assert "plain words" in found


@pytest.mark.parametrize(
    ("encoding", "content", "start"),
    [
        ("base64", base64.b64encode(b"words to read, and more of them")[:-3], "words to read"),
        ("base64", b"d29yZHM=!!!!\0\0", "words"),
        ("base64", b"d29yZHM", "words"),
        ("quoted-printable", b"words to=20read=", "words to read"),
        ("quoted-printable", b"words =C3", "words"),
        ("quoted-printable", b"words =zz here", "words"),
    ],
)
def test_text_that_was_cut_is_read_as_far_as_it_goes(
    encoding: str, content: bytes, start: str
) -> None:
    found, _ = mime.part_text(part(encoding=encoding), content)
    assert found.startswith(start)


def test_text_has_no_nul_and_no_surrogates() -> None:
    found, _ = mime.part_text(part(), b"a\0b\xed\xa0\x80c")
    assert "\0" not in found
    assert found.encode().decode() == found


def test_flowed_text_is_kept_as_it_came() -> None:
    found, _ = mime.part_text(part(), b"one \r\ntwo\r\n")
    assert found.split() == ["one", "two"]


def test_the_snippet_is_of_the_text_and_else_of_what_the_html_shows() -> None:
    html = (
        "<html><head><title>no</title><style>p{}</style></head>"
        "<body><script>no()</script><p>Dear&nbsp;Robin,</p><p>all\u200b is   well</p></body></html>"
    )
    assert mime.body("  words\n\n here ", html).snippet == "words here"
    assert mime.body(" \n", html).snippet == "Dear Robin, all is well"
    assert mime.body(None, html).snippet == "Dear Robin, all is well"
    assert mime.body(None, None).snippet == ""
    assert len(mime.body("x" * 9999, None).snippet) == 200


def test_a_whole_message_is_taken_apart() -> None:
    # Given a message with everything
    message = EmailMessage()
    message.set_content("the text")
    message.add_alternative("<p>the html</p>", subtype="html")
    message.add_attachment(b"%PDF", "application", "pdf", filename="Grüße.pdf")

    # When it is read whole
    body, attachments, problem = mime.whole(message.as_bytes())

    # Then its attachments are known by their place
    assert problem is None
    assert (body.text or "").strip() == "the text"
    assert (body.html or "").strip() == "<p>the html</p>"
    assert attachments == (
        Attachment(
            section="whole:1",
            filename="Grüße.pdf",
            content_type="application/pdf",
            size=attachments[0].size,
            content_id=None,
            disposition="attachment",
        ),
    )
    assert attachments[0].size > 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"\r\n",
        b"no header at all",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 5000,
        b"Content-Type: text/plain; charset=nowhere\r\n\r\n\xff\xfe",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
        b": x\r\n: y\r\n\r\nz",
    ],
    ids=range(10),
)
def test_a_broken_message_is_read_as_well_as_can_be(raw: bytes) -> None:
    body, attachments, _ = mime.whole(raw)
    assert len(body.snippet) <= 200
    assert all(attachment.size >= 0 for attachment in attachments)


def test_of_a_message_with_parts_without_end_the_first_are_read() -> None:
    # Given a message with many more parts than anybody sends
    head = b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nthe text\r\n"
    raw = head + b"".join(b"--B\r\nContent-Type: a/b\r\n\r\n%d\r\n" % n for n in range(60_000))

    # When it is read
    body, attachments, problem = mime.whole(raw)

    # Then the first parts are there, each is found again, and it says that there were more
    assert body.text == "the text"
    assert 10_000 < len(attachments) < 30_000
    assert mime.attachment(raw, len(attachments)) == b"%d" % (len(attachments) - 1)
    assert mime.attachment(raw, len(attachments) + 1) is None
    assert problem == "There are too many parts; the first ones were read."


def test_a_message_in_a_thousand_layers_is_read_in_time() -> None:
    # Given multiparts in multiparts
    raw = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(2000)
    )

    # When it is read
    started = time.process_time()
    mime.whole(raw + b"\r\ndeep")

    # Then that did not take for ever
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "hostile",
    [
        b"Subject: " + b"=?" * 2_000_000,
        b"Subject: " + b"=?a?q?" * 600_000,
        b"X: " + b"=?utf-8?q?a?= " * 300_000,
        b"To: " + b"=?utf-8?q?a?=\r\n " * 300_000,
        b"Content-Type: a/b; name=" + b"=?utf-8?q?a?=\r\n\t" * 300_000,
        b"Subject: a" + b"\r\n b" * 1_000_000,
        b"Content-Type: a/b" + b"".join(b"; name*%d=a" % n for n in range(200_000)),
        b"Content-Type: " + b"(" * 4_000_000,
        b"To: " + b'"' * 4_000_000,
        b"References: " + b"<a" * 2_000_000,
        b"Content-Type: multipart/mixed; boundary=" + b"-" * 4_000_000,
        b"Content-Type: multipart/mixed; boundary=-\r\n\r\n" + b"-" * 4_000_000,
        b"Content-Type: message/rfc822\r\n\r\n" * 200_000,
        b"=?\r\n" * 1_000_000,
    ],
    ids=range(14),
)
def test_four_megabytes_of_the_worst_are_read_in_time(hostile: bytes) -> None:
    # When it is the head of a message, and of a part; time that grew with its square would be hours
    part = b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n" + hostile
    for raw in (hostile, part):
        body, attachments, _ = mime.whole(raw + b"\r\n\r\ntext\r\n--B--\r\n")
        mime.attachment(raw, len(attachments))
        # Then what is read of it is bounded
        assert len(body.snippet) <= mime.SNIPPET


def test_a_damaged_header_with_comments_in_comments_is_read_without_them() -> None:
    # Given what the standard library reads where fast-mail-parser refuses, and breaks on
    found = mime._stdlib_headers(b"To: " + b"(" * 100_000 + b"\r\nSubject: here\r\n\r\n")
    assert (found.subject, found.to) == ("here", ())


@pytest.mark.parametrize("tag", ["<div>", "<b>", "<table><b>", "<ul><li>", "<svg><g>", "<a><b><p>"])
def test_html_in_a_hundred_thousand_layers_has_a_snippet(tag: str) -> None:
    body = mime.body(None, "<p>to be read</p>" + tag * 100_000 + "deep")
    assert body.snippet.startswith("to be read")


def test_encoded_words_beyond_those_of_any_letter_stay_as_they_are() -> None:
    # Given more of them in one field than are read, and a few in the next
    many = "=?utf-8?q?a?= " * 2_000
    found = read(f"Subject: {many}\nFrom: =?utf-8?q?Zo=C3=AB?= <z@x.example>\n")
    # Then the first ones are read, and those of the next
    assert found.subject.startswith("a" * 200)
    assert found.from_ == (Address("Zoë", "z@x.example"),)


FIELDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=60)


@settings(max_examples=60)
@given(
    subject=FIELDS,
    name=FIELDS,
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=300),
    date=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001
)
def test_good_mail_is_read_as_the_standard_library_reads_it(
    subject: str, name: str, text: str, date: datetime
) -> None:
    # Given a message that the standard library writes
    written = EmailMessage()
    written["Subject"] = " ".join(subject.split())
    written["From"] = email.headerregistry.Address(" ".join(name.split()), "anna", "x.example")
    written["Date"] = format_datetime(date.replace(tzinfo=UTC))
    written.set_content(text)
    raw = written.as_bytes(policy=email.policy.SMTP)

    # When both read it
    theirs = email.message_from_bytes(raw, policy=email.policy.default)
    ours, problem = mime.headers(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    body, _, _ = mime.whole(raw)

    # Then they agree
    assert problem is None
    assert " ".join(ours.subject.split()) == " ".join(str(theirs["Subject"]).split())
    assert ours.from_[0].address == "anna@x.example"
    assert ours.date == date.replace(tzinfo=UTC, microsecond=0)
    content = theirs.get_content()
    assert (body.text or "").splitlines() == content.splitlines()


MAILISH = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Subject: ", b"From: ", b"Date: ", b"To: ", b"Message-ID: ", b"References: ",
                b"Content-Type: multipart/mixed; boundary=x\r\n", b"Content-Type: text/html\r\n",
                b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n",
                b"Content-Transfer-Encoding: quoted-printable\r\n", b"--x\r\n", b"--x--\r\n",
                b"=?utf-8?q?", b"=?utf-8?b?", b"?=", b"\r\n", b"\n", b"\r", b"\0", b"<", b">",
                b"a@b", b'"', b"(", b"; charset=", b"; name*0*=", b"utf-7", b"iso-2022-jp\x1b$",
                b"\xed\xa0\x80", b"=", b"=C3", b"Content-Disposition: attachment; filename=",
            ]
        ),
        st.binary(max_size=30),
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


def kept(value: object) -> bool:
    """Whether PostgreSQL takes all text in the value."""
    shown = repr(value)
    return "\\x00" not in shown and "\\ud8" not in shown and bool(shown.encode())


@settings(max_examples=300)
@given(st.one_of(st.binary(), MAILISH))
def test_any_bytes_are_a_header_block(raw: bytes) -> None:
    headers, _ = mime.headers(raw)
    assert kept(headers)


@settings(max_examples=300)
@given(st.one_of(st.binary(), MAILISH))
def test_any_bytes_are_a_message(raw: bytes) -> None:
    body, attachments, _ = mime.whole(raw)
    assert kept((body, attachments))


@settings(max_examples=300)
@given(
    st.one_of(st.text(max_size=20), st.sampled_from(["utf-8", "utf-7", "utf-16", "iso-2022-jp"])),
    st.one_of(st.text(max_size=20), st.sampled_from(["base64", "quoted-printable", "8bit"])),
    st.one_of(st.binary(), MAILISH),
)
def test_any_bytes_are_a_part(charset: str, encoding: str, content: bytes) -> None:
    text, _ = mime.part_text(part(charset, encoding), content)
    assert kept(text)
    assert kept(mime.body(None, text).snippet)
