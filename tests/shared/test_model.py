"""What everything speaks of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postwire.model import Account, AccountId, Headers, Message, MessageId
from support.rows import NOON

MESSAGE = Message(
    id=MessageId(1),
    account_id=AccountId("a"),
    headers=Headers(),
    internaldate=NOON,
    size=1,
    direction="inbound",
    snippet="",
    mailboxes=("INBOX",),
    flags=(),
    has_attachments=False,
    revision=1,
    problem=None,
    thread_id=None,
)


@pytest.mark.parametrize(
    ("flags", "unread"), [((), True), (("\\Flagged",), True), (("\\Seen", "$Work"), False)]
)
def test_a_message_is_unread_until_a_copy_of_it_was_seen(
    flags: tuple[str, ...], *, unread: bool
) -> None:
    assert replace(MESSAGE, flags=flags).unread is unread


def test_an_account_shows_its_credential_to_no_log() -> None:
    # Given an account
    account = Account(
        **dict.fromkeys(Account.__dataclass_fields__, None)  # type: ignore[arg-type]
        | {"credential": b"sealed-bytes"}
    )
    # Then what a log would print of it does not have the credential
    assert "sealed-bytes" not in repr(account)
