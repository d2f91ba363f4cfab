"""BODYSTRUCTURE: what Dovecot says of real mail, what broken servers say, and anything at all."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker.conftest import unsaved

from postwire_worker.imap import connect
from postwire_worker.structure import Part, Untrustworthy, leaves
from support.dovecot import Dovecot
from support.local import local_dialer
from support.mailbox import MailUser, letter

ATOMS = st.one_of(st.none(), st.integers(), st.binary(max_size=12))
NESTED = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=9).map(tuple), max_leaves=40)

TEXT = (b"TEXT", b"PLAIN", (b"CHARSET", b"utf-8"), None, None, b"7BIT", 12, 1)


def parts_of(dovecot: Dovecot, user: MailUser, raw: bytes) -> list[Part]:
    """The parts of `raw` as Dovecot sees them."""
    user.append(raw)
    account = unsaved(dovecot.host, dovecot.port, username=user.name)
    with connect(account, dovecot.password, local_dialer(), "sync") as session:
        session.select("INBOX")
        (structure,) = session.uid_fetch_structures([1])
        parts = leaves(structure.bodystructure)
        # What a section says must be what is served under it.
        served = session.uid_fetch_sections([1], [part.section for part in parts], 1 << 20)[1]
    assert {part.section: part.size for part in parts} == {k: len(v) for k, v in served.items()}
    return parts


def raw(*lines: str) -> bytes:
    return "\r\n".join((*lines, "")).encode()


def test_plain_text_is_one_part(dovecot: Dovecot, user: MailUser) -> None:
    (part,) = parts_of(dovecot, user, letter(text="Grüße"))
    assert (part.section, part.type, part.subtype) == ("1", "text", "plain")
    assert (part.charset, part.encoding) == ("utf-8", "8bit")
    assert part.is_body


def test_text_without_charset_or_type_is_text(dovecot: Dovecot, user: MailUser) -> None:
    # Given a message as RFC 822 had it
    (part,) = parts_of(dovecot, user, raw("From: a@b.example", "", "Hello"))

    # Then its text is text, with the default charset (RFC 2045 §5.2)
    assert part.is_body
    assert part.charset in {"", "us-ascii"}


def test_alternatives_are_both_bodies(dovecot: Dovecot, user: MailUser) -> None:
    parts = parts_of(dovecot, user, letter(html="<p>Hello</p>"))
    assert [(part.section, part.subtype, part.is_body) for part in parts] == [
        ("1", "plain", True),
        ("2", "html", True),
    ]


def test_an_attachment_stays_one_with_alternatives_beside_it(
    dovecot: Dovecot, user: MailUser
) -> None:
    parts = parts_of(dovecot, user, letter(html="<p>Hello</p>", attachment=b"\0" * 99))
    assert [(part.section, part.is_body) for part in parts] == [
        ("1.1", True),
        ("1.2", True),
        ("2", False),
    ]
    attachment = parts[2].as_attachment()
    assert attachment.filename == "data.bin"
    assert attachment.content_type == "application/octet-stream"
    assert attachment.disposition == "attachment"


def test_an_image_in_the_text_has_its_content_id(dovecot: Dovecot, user: MailUser) -> None:
    # Given HTML with an image of its own
    message = EmailMessage()
    message.set_content('<img src="cid:logo@x">', subtype="html")
    message.add_related(
        b"\x89PNG", "image", "png", cid="<logo@x>", disposition="inline", filename="logo.png"
    )

    # When it is looked at
    html, image = parts_of(dovecot, user, message.as_bytes())

    # Then the image can be found by what the text calls it
    assert html.is_body
    assert (image.content_id, image.disposition, image.filename) == ("logo@x", "inline", "logo.png")


def test_a_message_in_a_message_is_one_attachment(dovecot: Dovecot, user: MailUser) -> None:
    # Given a forwarded message, with an attachment of its own
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("inner text")
    inner.add_attachment(b"x", "application", "pdf", filename="inner.pdf")
    outer = EmailMessage()
    outer.set_content("see below")
    outer.add_attachment(inner, filename="inner.eml")

    # When it is looked at
    text, forwarded = parts_of(dovecot, user, outer.as_bytes())

    # Then what is inside is no body of the outer one
    assert text.is_body
    assert forwarded.as_attachment().content_type == "message/rfc822"
    assert forwarded.filename == "inner.eml"
    assert not forwarded.is_body


def test_text_that_is_attached_is_no_body(dovecot: Dovecot, user: MailUser) -> None:
    message = EmailMessage()
    message.set_content("see the log")
    message.add_attachment("a log", filename="today.log")
    parts = parts_of(dovecot, user, message.as_bytes())
    assert [part.is_body for part in parts] == [True, False]


@pytest.mark.parametrize(
    ("parameter", "filename"),
    [
        ('filename="a.pdf"', "a.pdf"),
        ("filename*=utf-8''Rechnung%20%E2%82%AC.pdf", "Rechnung €.pdf"),
        ("filename*0*=iso-8859-1''Gr%FC;\r\n filename*1*=%DFe;\r\n filename*2=.pdf", "Grüße.pdf"),
        ('filename*0="part one ";\r\n filename*1="and two.pdf"', "part one and two.pdf"),
        ('filename="=?utf-8?q?Gr=C3=BC=C3=9Fe.pdf?="', "Grüße.pdf"),
        ("filename*=nowhere''x%FF.pdf", "xÿ.pdf"),
        ("filename*=utf-8''a%00b.pdf", "a\ufffdb.pdf"),
    ],
)
def test_a_file_name_is_read_as_it_was_meant(
    dovecot: Dovecot, user: MailUser, parameter: str, filename: str
) -> None:
    # Given an attachment whose name is written in one of the ways there are (RFC 2231, RFC 2047)
    (part,) = parts_of(
        dovecot,
        user,
        raw(
            "MIME-Version: 1.0",
            "Content-Type: application/pdf",
            f"Content-Disposition: attachment;\r\n {parameter}",
            "",
            "x",
        ),
    )

    # Then it is the name that its sender saw
    assert part.filename == filename


def test_a_name_of_the_type_is_the_file_name_too(dovecot: Dovecot, user: MailUser) -> None:
    content_type = "Content-Type: application/pdf; name*=utf-8''%C3%A4.pdf"
    (part,) = parts_of(dovecot, user, raw("MIME-Version: 1.0", content_type, "", "x"))
    assert part.filename == "ä.pdf"


@pytest.mark.parametrize(
    "broken",
    [
        None,
        b"",
        b"TEXT",
        5,
        (),
        (b"TEXT",),
        ((TEXT, TEXT),),
        (TEXT, TEXT, None),
        (TEXT, TEXT, 5),
        (TEXT, None, b"MIXED"),
        ((), b"MIXED"),
        TEXT[:6],
        (*TEXT[:6], b"12", 1),
        (*TEXT[:6], None, 1),
        (*TEXT[:6], -1, 1),
        (*TEXT[:6], 2**63, 1),
        (None, *TEXT[1:]),
        (TEXT[0], None, *TEXT[2:]),
        (*TEXT[:2], (b"CHARSET",), *TEXT[3:]),
        (*TEXT[:2], 5, *TEXT[3:]),
        (*[TEXT] * 1001, b"MIXED"),
    ],
    ids=range(21),
)
def test_what_is_no_structure_is_not_trusted(broken: Any) -> None:
    with pytest.raises(Untrustworthy):
        leaves(broken)


def test_what_is_too_deep_is_not_trusted() -> None:
    nested: Any = TEXT
    for _ in range(60):
        nested = (nested, b"MIXED")
    with pytest.raises(Untrustworthy):
        leaves(nested)


@pytest.mark.parametrize(
    "name",
    [
        b"=?utf-8?q?a?= " * 1_000_000,
        b"=?" * 4_000_000,
        b"%" * 4_000_000,
        b"utf-8''" + b"%C3" * 1_000_000,
    ],
    ids=range(4),
)
def test_a_file_name_of_megabytes_is_read_in_time(name: bytes) -> None:
    # Given a name in each of the ways there are; time that grew with its square would be hours
    for parameters in ((b"filename", name), (b"filename*", name), (b"filename*0*", name)):
        (part,) = leaves((*TEXT[:7], 1, None, (b"attachment", parameters)))
        assert len(part.filename or "") <= 500
    for line in (b"attachment; filename=" + name, b'attachment; "' + b";" * 4_000_000):
        (part,) = leaves((*TEXT[:7], 1, None, line))
        assert len(part.filename or "") <= 500


def test_a_structure_with_gaps_is_good_enough() -> None:
    # Given a part without parameters, id, encoding or anything after its size
    (part,) = leaves((b"TEXT", b"HTML", None, None, None, None, 0))

    # Then it is read with the defaults (RFC 2045 §6.1)
    assert (part.encoding, part.charset, part.filename) == ("7bit", "", None)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b'attachment; filename="quarter.csv"', "quarter.csv"),
        (b"ATTACHMENT;filename=a.csv", "a.csv"),
        (b"attachment; filename*=utf-8''%e2%82%ac.csv", "€.csv"),
        (b"attachment; filename==?utf-8?q?=E2=82=AC=2Ecsv?=", "€.csv"),
        (b"attachment", None),
    ],
)
def test_a_disposition_written_as_its_header_field_is_read(line: bytes, name: str | None) -> None:
    # Given a part as pymap describes it: a string where a list belongs
    described = (b"text", b"plain", None, None, None, b"7bit", 9, 1, None, line, None, None)

    # When it is read
    (part,) = leaves(described)

    # Then it is an attachment with its name
    assert part.disposition == "attachment"
    assert part.filename == name
    assert not part.is_body


def test_odd_parameters_do_not_hide_a_part() -> None:
    for odd in ((b"CHARSET", None), (b"CHARSET", 7), (None, b"x"), (b"name*99999*", b"'''%")):
        (part,) = leaves((*TEXT[:2], odd, *TEXT[3:]))
        assert part.is_body or part.filename is not None


@given(NESTED)
def test_anything_is_a_structure_or_not_trusted(anything: Any) -> None:
    try:
        parts = leaves(anything)
    except Untrustworthy:
        return
    assert parts


@given(NESTED, NESTED, NESTED, NESTED, st.lists(NESTED, max_size=5))
def test_any_part_is_read_to_what_can_be_kept(
    parameters: Any, content_id: Any, description: Any, encoding: Any, more: list[Any]
) -> None:
    # Given a part with a type and a size, and anything else
    node = (b"text", b"plain", parameters, content_id, description, encoding, 3, *more)
    try:
        (part,) = leaves(node)
    except Untrustworthy:
        return

    # Then its words can be kept
    words = [part.charset, part.encoding, part.filename, part.content_id, part.disposition]
    assert "\0" not in "".join(word or "" for word in words)
    assert max(len(word or "") for word in words) <= 500


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"filename", b"filename*", b"filename*0*", b"filename*1", b"filename*0"]
            ),
            st.binary(),
        )
    )
)
def test_any_file_name_is_read_to_what_can_be_kept(given: list[tuple[bytes, bytes]]) -> None:
    flat = tuple(value for pair in given for value in pair)
    node = (b"a", b"b", None, None, None, None, 3, None, (b"attachment", flat))
    try:
        (part,) = leaves(node)
    except Untrustworthy:
        return
    assert part.filename is None or "\0" not in part.filename.encode().decode()
