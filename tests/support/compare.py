"""A user's mail as the server has it and as the database has it, in one shape."""

from __future__ import annotations

from typing import TypeAlias

from postwire.model import AccountId, Mailbox
from postwire.store import mailboxes
from postwire.store.pool import Pool, transaction
from support.mailbox import MailUser

#: UIDVALIDITY, UIDNEXT and number of messages of each mailbox, and the flags by UID.
Mail: TypeAlias = dict[str, tuple[tuple[int | None, ...], dict[int, set[str]]]]


def on_the_server(user: MailUser) -> Mail:
    """What a client sees that has just logged in."""
    found: Mail = {}
    with user.session() as client:
        for _, _, name in client.list_folders():
            said = client.select_folder(name, readonly=True)
            flags = client.get_flags(client.search()) if said[b"EXISTS"] else {}
            state = (said[b"UIDVALIDITY"], said[b"UIDNEXT"], said[b"EXISTS"])
            found[name] = (state, {uid: _named(flags[uid]) for uid in flags})
    return found


def in_the_database(pool: Pool, account_id: AccountId) -> Mail:
    """What is stored, once there is nothing left to do."""
    with transaction(pool) as connection:
        known = mailboxes.list_all(connection, account_id)
        found: Mail = {mailbox.name: (_state(mailbox), {}) for mailbox in known}
        placed = connection.execute(
            "SELECT name, uid, flags FROM placement JOIN mailbox ON mailbox.id = mailbox_id"
            " WHERE placement.account_id = %s",
            [account_id],
        )
        for name, uid, flags in placed:
            found[name][1][uid] = set(flags)
    return found


def _named(flags: tuple[bytes, ...]) -> set[str]:
    return {flag.decode() for flag in flags} - {r"\Recent"}


def _state(mailbox: Mailbox) -> tuple[int | None, ...]:
    assert mailbox.cursor
    assert mailbox.cursor.backfill_uid == 0
    return mailbox.cursor.uidvalidity, mailbox.cursor.uidnext, mailbox.messages
