"""What a server answers, taken apart: good, odd and hostile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire_worker.answers import (
    State,
    Structure,
    by_uid,
    complete,
    listed,
    sections,
    state,
    structure,
)

#: What imapclient makes of an answer: bytes, numbers, NIL, and lists of these.
ATOMS = st.one_of(st.none(), st.integers(), st.binary(max_size=12))
NESTED = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=5).map(tuple), max_leaves=20)


def items(**changed: Any) -> dict[bytes, Any]:
    """A message as a good server describes it, but for what is changed."""
    return {
        b"FLAGS": (b"\\Seen",),
        b"RFC822.SIZE": 100,
        b"INTERNALDATE": b" 7-Feb-2024 02:44:25 -0700",
        b"BODY[HEADER]<0>": b"Subject: a\r\n",
        **{name.encode().replace(b"_", b"."): value for name, value in changed.items()},
    }


def test_a_good_answer_is_taken_as_it_is() -> None:
    assert structure(3, items(MODSEQ=(12,), BODYSTRUCTURE=(b"TEXT", b"PLAIN"))) == Structure(
        uid=3,
        flags=("\\Seen",),
        modseq=12,
        internaldate=datetime(2024, 2, 7, 9, 44, 25, tzinfo=UTC),
        size=100,
        header=b"Subject: a\r\n",
        bodystructure=(b"TEXT", b"PLAIN"),
    )


@pytest.mark.parametrize(
    "date",
    [
        b"17-Jul-2024 02:44:25 +9900",
        b"17-Jul-2024 02:44:25 -2400",
        b"17-Jul-9999 23:44:25 -0700",
        b"99-Foo-2024 02:44:25 +0000",
        b"17-Jul-1901 02:44:25 +0000",
        b"",
        b"\0\xff",
        5,
        None,
        (b"x",),
    ],
)
def test_a_date_that_cannot_be_is_none(date: object) -> None:
    assert structure(1, items(INTERNALDATE=date)).internaldate is None


def test_flags_can_be_kept_whatever_they_are() -> None:
    # Given flags with NUL, with bytes that are no text, of great length and number
    flags = (b"\\Se\0en", b"\xff", 7, None, b"x" * 5000, *[b"k%d" % n for n in range(5000)])

    # When they are read
    read = structure(1, items(FLAGS=flags)).flags

    # Then they are bounded, and PostgreSQL takes them
    assert len(read) == 100
    assert max(map(len, read)) == 200
    assert "\0" not in "".join(read)
    assert structure(1, items(FLAGS=b"\\Seen")).flags == ()


@pytest.mark.parametrize("number", [-1, 2**63, 10**40, None, b"1", (1,)])
def test_numbers_that_cannot_be_kept_are_none(number: object) -> None:
    read = structure(1, items(RFC822_SIZE=number, MODSEQ=(number,)))
    assert (read.size, read.modseq) == (0, None)


def test_an_answer_is_complete_with_header_and_size() -> None:
    assert complete(items())
    assert not complete({b"FLAGS": (), b"RFC822.SIZE": 1})
    assert not complete({b"BODY[HEADER]<0>": b""})


def test_names_of_items_are_read_in_any_case() -> None:
    assert by_uid([1, (b"uid", 5, b"Flags", ())], {5}) == {5: {b"UID": 5, b"FLAGS": ()}}


def test_sections_go_by_what_was_asked_for() -> None:
    answer = {b"UID": 1, b"BODY[1.2]<0>": b"a", b"BODY[]": b"b", b"BODY[2]": None}
    assert sections(answer) == {"1.2": b"a", "": b"b", "2": b""}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({b"UIDVALIDITY": 1, b"UIDNEXT": 2}, State(1, 2)),
        ({b"UIDVALIDITY": 0, b"UIDNEXT": 2}, None),
        ({b"UIDVALIDITY": 1, b"UIDNEXT": 0}, None),
        ({b"UIDVALIDITY": 2**32, b"UIDNEXT": 1}, None),
        ({b"UIDVALIDITY": 2**32 - 1, b"UIDNEXT": 2**32}, State(2**32 - 1, 2**32)),
        ({b"UIDVALIDITY": b"1", b"UIDNEXT": 2}, None),
        ({}, None),
    ],
)
def test_a_mailbox_stands_somewhere_or_it_is_not_said(
    answer: dict[bytes, Any], wanted: State | None
) -> None:
    assert state(answer) == wanted


def test_a_listing_of_odd_values_is_read() -> None:
    (one,) = listed([((b"\\HasNoChildren", 5), b"/", "2024")])
    assert one.attributes == {"\\hasnochildren", "5"}


@given(st.lists(NESTED, max_size=8))
def test_any_answer_is_read_or_refused(parsed: list[Any]) -> None:
    try:
        answers = by_uid(parsed, {0, 1, 2})
    except ValueError:
        return
    for uid, found in answers.items():
        assert sections(found) is not None
        assert complete(found) in {True, False}
        if complete(found):
            assert structure(uid, found).uid == uid


@given(st.dictionaries(st.sampled_from(list(items())), NESTED))
def test_any_description_is_read(odd: dict[bytes, Any]) -> None:
    read = structure(1, {**items(), **odd})
    assert read.size >= 0
    assert "\0" not in "".join(read.flags)


def test_ids_of_either_kind_are_told_apart() -> None:
    gmail = structure(1, {**items(), b"X-GM-MSGID": 2**64 - 1, b"X-GM-THRID": b"0123"})
    assert (gmail.server_id, gmail.server_thread) == (f"gm:{2**64 - 1}", "x-gm-thrid:0123")
    other = structure(1, items(EMAILID=(b"M-1_a",), THREADID=None))
    assert (other.server_id, other.server_thread) == ("emailid:M-1_a", None)


def test_labels_go_by_the_names_that_list_has() -> None:
    said = (b"\\Inbox", b"\\Draft", b"\\STARRED", b"Entw&APw-rfe", 42, b"&AAA-", None, (b"x",), b"")
    assert structure(1, {**items(), b"X-GM-LABELS": said}).labels == (
        *("42", "Entwürfe", "INBOX", "\\Drafts", "\\Flagged"),
    )
    assert structure(1, {**items(), b"X-GM-LABELS": ()}).labels == ()
    assert structure(1, {**items(), b"X-GM-LABELS": b"x"}).labels is None


@given(NESTED, NESTED)
def test_no_id_and_no_label_is_too_odd(id_: Any, labels: Any) -> None:
    told = structure(1, {**items(), b"X-GM-MSGID": id_, b"THREADID": id_, b"X-GM-LABELS": labels})
    assert all(
        len(one) < 300 and one.isascii() for one in (told.server_id or "", told.server_thread or "")
    )
    assert all(name == name.replace("\0", "") for name in told.labels or ())
