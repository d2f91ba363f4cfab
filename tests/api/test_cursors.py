"""Cursors, opaque to the client and hostile to us."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import ClientException

from postwire_api import cursors
from postwire_api.cursors import JobPosition, MessagePosition
from support.rows import NOON

#: As PostgreSQL gives them.
TIMES = st.datetimes(timezones=st.just(UTC))


@given(at=TIMES, id_=st.integers(1, 2**63 - 1))
def test_a_cursor_leads_back_to_where_the_page_ended(at: datetime, id_: int) -> None:
    # Given a page with one row more than was asked for
    shown, cursor = cursors.page([id_, 0], 1, lambda row: MessagePosition(at, row))
    # Then its cursor holds the last row that was shown, in letters that need no escaping
    assert shown == [id_]
    assert cursor is not None
    assert cursor.replace("-", "").replace("_", "").isalnum()
    position = cursors.decode(cursor, MessagePosition)
    assert position is not None
    assert (position.at, position.id) == (at, id_)


def test_the_last_page_has_no_cursor() -> None:
    assert cursors.page([1, 2], 2, lambda row: MessagePosition(NOON, row)) == ([1, 2], None)
    assert cursors.page([], 2, lambda row: MessagePosition(NOON, row)) == ([], None)
    assert cursors.decode(None, JobPosition) is None


@given(text=st.text(max_size=40) | st.sampled_from(["", "W10", "bnVsbA", "!!!!", "é"]))
def test_what_was_never_given_out_is_refused(text: str) -> None:
    for kind in (MessagePosition, JobPosition):
        with pytest.raises(ClientException):
            cursors.decode(text, kind)


@pytest.mark.parametrize(
    "position",
    [
        MessagePosition(NOON, 0),
        MessagePosition(NOON, -1),
        MessagePosition(NOON.replace(tzinfo=None), 1),
    ],
)
def test_a_position_that_no_row_has_is_refused(position: MessagePosition) -> None:
    # Given a well-formed cursor that somebody made
    _, cursor = cursors.page([1, 2], 1, lambda _: position)
    # Then it leads nowhere
    with pytest.raises(ClientException):
        cursors.decode(cursor, MessagePosition)
