"""Ids out of paths and queries."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire.errors import NotFound
from postwire_api import ids


def test_what_the_api_gave_out_is_read_back() -> None:
    # Given ids as answers hold them
    account = str(uuid4())
    # Then they are what they were, an account's in either case
    assert ids.account_id(account) == account
    assert ids.account_id(account.upper()) == account
    assert ids.message_id("9223372036854775807") == 2**63 - 1
    assert ids.thread_id("9223372036854775807") == 2**63 - 1
    assert ids.job_id(f"sync-{account}-1759449600000") == f"sync-{account}-1759449600000"


@given(text=st.text(max_size=60))
def test_any_other_text_names_nothing(text: str) -> None:
    for read in (ids.account_id, ids.job_id):
        with pytest.raises(NotFound):
            read(text)
    if not (text.isascii() and text.isdigit() and not text.startswith("0")):
        for read in (ids.message_id, ids.thread_id):
            with pytest.raises(NotFound):
                read(text)
