"""Flags and expunged messages after they were stored, against Dovecot with and without help."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import IMAPClient
from worker.conftest import Accounts

from postwire.errors import TransientError
from postwire.model import Account, Flagged, Message
from postwire.store import accounts, mailboxes, messages, placements
from postwire.store.pool import transaction
from postwire_worker.changes import missing
from postwire_worker.imap import connect
from postwire_worker.listing import Committed
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.compare import in_the_database, on_the_server
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter


def run(runtime: Runtime, account: Account) -> list[Committed]:
    with transaction(runtime.pool) as connection:
        account = accounts.get(connection, account.id)
    password = runtime.password(account)
    with connect(account, password, runtime.dialer, "sync") as session:
        return list(sync(session, runtime.pool, account))


def kinds(committed: list[Committed]) -> list[str]:
    return [one.kind for one in committed]


def stored(runtime: Runtime, account: Account) -> dict[str, Message]:
    with transaction(runtime.pool) as connection:
        listed = messages.list_of_user(
            connection, account.user_id, account_id=account.id, mailbox=None, before=None, limit=200
        )
    return {message.headers.subject: message for message in listed}


def tombstones(runtime: Runtime, account: Account) -> set[str]:
    with transaction(runtime.pool) as connection:
        found = connection.execute(
            "SELECT subject FROM message WHERE account_id = %s AND expunged_at IS NOT NULL",
            [account.id],
        )
        return {subject for (subject,) in found}


def set_scope(runtime: Runtime, account: Account, *names: str) -> None:
    with transaction(runtime.pool) as connection:
        accounts.set_scope(connection, account, names or None, account.window_days)


@pytest.fixture
def account(runtime: Runtime, add_account: Accounts, owner: MailUser) -> Account:
    """An account of the user with all mailboxes, synced with nothing but `one` and `two`."""
    account = add_account.add(
        owner, password=owner.server.password, host=owner.server.host, port=owner.server.port
    )
    # The password of the account is sealed; only the server is another.
    set_scope(runtime, account, "*")
    owner.append(letter("one"), letter("two"))
    with owner.session() as mail:
        mail.create_folder("Archive")
    run(runtime, account)
    return account


@pytest.fixture
def mail(owner: MailUser) -> Iterator[IMAPClient]:
    """Another client of the user's, with INBOX open."""
    with owner.session() as client:
        client.select_folder("INBOX")
        yield client


def test_a_flag_that_was_set_and_one_that_was_cleared_are_taken_over(
    runtime: Runtime, account: Account, mail: IMAPClient
) -> None:
    # Given a message that another client reads
    before = stored(runtime, account)["one"]
    mail.add_flags([1], [r"\Seen", "$Work"])
    # When the account is synced
    committed = run(runtime, account)
    # Then it is read, and has a new revision
    after = stored(runtime, account)["one"]
    assert kinds(committed) == ["flags"]
    assert set(after.flags) == {r"\Seen", "$Work"}
    assert after.revision == committed[0].stored.revision > before.revision
    # And when it is marked as unread again, so it is here
    mail.remove_flags([1], [r"\Seen"])
    assert kinds(run(runtime, account)) == ["flags"]
    assert stored(runtime, account)["one"].unread
    assert run(runtime, account) == []


def test_an_expunged_message_is_a_tombstone_and_comes_back_as_what_it_was(
    runtime: Runtime, account: Account, mail: IMAPClient, owner: MailUser
) -> None:
    # Given a message that another client expunges
    before = stored(runtime, account)["one"]
    raw = mail.fetch([1], ["BODY.PEEK[]"])[1][b"BODY[]"]
    mail.delete_messages([1])
    mail.expunge([1])
    # When the account is synced
    committed = run(runtime, account)
    # Then it is gone
    assert kinds(committed) == ["expunged"]
    assert committed[0].stored.new == 0
    assert set(stored(runtime, account)) == {"two"}
    assert tombstones(runtime, account) == {"one"}
    # And when it is put back, it is the message it was, and no body was fetched
    owner.append(raw)
    (back,) = run(runtime, account)
    assert back.batch.incoming[0].body is None
    assert stored(runtime, account)["one"].id == before.id
    assert tombstones(runtime, account) == set()


def test_a_moved_message_keeps_its_id_and_is_never_without_a_place(
    runtime: Runtime, account: Account, mail: IMAPClient
) -> None:
    # Given a message that is moved to another mailbox
    before = stored(runtime, account)["one"]
    mail.move([1], "Archive")
    # When the account is synced, and looked at after each commit
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        fresh = replace(account, mailboxes=["*"])
        seen = []
        for one in sync(session, runtime.pool, fresh):
            seen.append((one.kind, stored(runtime, account)["one"].mailboxes))
            assert tombstones(runtime, account) == set()
    # Then it was found before it was missed
    assert seen == [("new", ("Archive", "INBOX")), ("expunged", ("Archive",))]
    assert stored(runtime, account)["one"].id == before.id


def test_a_message_moved_while_the_sync_runs_is_not_missed(
    runtime: Runtime, account: Account, mail: IMAPClient, owner: MailUser
) -> None:
    # Given a sync that has looked at Archive already, for there was new mail
    owner.append(letter("three"), mailbox="Archive")
    mail.delete_messages([2])
    mail.expunge([2])
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        going = sync(session, runtime.pool, replace(account, mailboxes=["*"]))
        assert next(going).kind == "new"
        # When a message is moved to Archive now
        mail.move([1], "Archive")
        for _ in going:
            # Then it is never shown as expunged
            assert tombstones(runtime, account) <= {"two"}
    assert stored(runtime, account)["one"].mailboxes == ("Archive",)


def test_a_mailbox_renamed_while_the_sync_runs_is_not_left_alone_under_its_new_name(
    runtime: Runtime, account: Account, mail: IMAPClient, owner: MailUser
) -> None:
    # Given new mail in two mailboxes, and a sync that has opened the first of them
    pair = {"Archive": "Sent", "Sent": "Archive"}
    for _ in range(2):
        run(runtime, account)
        for name in pair:
            owner.append(letter(), mailbox=name)
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        going = sync(session, runtime.pool, replace(account, mailboxes=["*"]))
        # When the other one is renamed, and so cannot be opened
        mail.rename_folder(pair[next(going).batch.mailbox.name], "Renamed")
        with suppress(TransientError):
            list(going)
    owner.append(letter("three"), mailbox="Renamed")
    # Then the next sync finds it
    run(runtime, account)
    assert stored(runtime, account)["three"].mailboxes == ("Renamed",)
    assert in_the_database(runtime.pool, account.id) == on_the_server(owner)


def test_a_copy_is_the_same_message_in_two_mailboxes(
    runtime: Runtime, account: Account, mail: IMAPClient
) -> None:
    # Given a message that is copied
    before = stored(runtime, account)["one"]
    mail.copy([1], "Archive")
    # When the account is synced
    run(runtime, account)
    # Then it is one message in both, and stays when one copy goes
    assert stored(runtime, account)["one"].mailboxes == ("Archive", "INBOX")
    mail.delete_messages([1])
    mail.expunge([1])
    run(runtime, account)
    after = stored(runtime, account)["one"]
    assert (after.id, after.mailboxes) == (before.id, ("Archive",))


def test_new_mail_an_expunged_message_and_a_flag_at_once(
    runtime: Runtime, account: Account, mail: IMAPClient, owner: MailUser
) -> None:
    # Given as many messages as before, of which one is another
    owner.append(letter("three"))
    mail.delete_messages([1])
    mail.expunge([1])
    mail.add_flags([2], [r"\Flagged"])
    # When the account is synced
    assert kinds(run(runtime, account)) == ["new", "flags", "expunged"]
    # Then each change is here
    assert set(stored(runtime, account)) == {"two", "three"}
    assert stored(runtime, account)["two"].flags == (r"\Flagged",)


def test_a_modseq_that_went_down_makes_all_flags_be_compared(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a server that counts anew, and a flag that was set under a lower modseq
    account = add_account.add(user)
    user.append(letter("one"))
    run(runtime, account)
    with user.session() as client:
        client.select_folder("INBOX")
        client.add_flags([1], [r"\Answered"])
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE mailbox SET highestmodseq = 1000000")
        connection.execute("UPDATE placement SET modseq = 1000000")
    # When the account is synced
    assert kinds(run(runtime, account)) == ["flags"]
    # Then the flag is here, and the next sync finds nothing
    assert stored(runtime, account)["one"].flags == (r"\Answered",)
    assert run(runtime, account) == []


def test_flags_without_a_hint_are_compared_every_five_minutes(
    runtime: Runtime, add_account: Accounts, elder_dovecot: Dovecot
) -> None:
    # Given a server without modseqs, and flags that change no count
    user = MailUser(elder_dovecot, elder_dovecot.new_user())
    account = add_account.add(
        user, password=elder_dovecot.password, host=elder_dovecot.host, port=elder_dovecot.port
    )
    user.append(letter("one"))
    run(runtime, account)
    with user.session() as client:
        client.select_folder("INBOX")
        client.add_flags([1], [r"\Answered"])
    # When it is synced at once, then nothing is seen of it
    assert run(runtime, account) == []
    # But five minutes later it is
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE mailbox SET flags_at = flags_at - interval '6 minutes'")
    assert kinds(run(runtime, account)) == ["flags"]
    assert run(runtime, account) == []


def test_flags_of_a_slower_worker_change_nothing(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a sync that has noted down the newest modseq
    account = add_account.add(user)
    user.append(letter("one"))
    run(runtime, account)
    with user.session() as client:
        client.select_folder("INBOX")
        client.add_flags([1], [r"\Seen"])
    run(runtime, account)
    with transaction(runtime.pool) as connection:
        (inbox, _) = mailboxes.list_all(connection, account.id)
        # When an answer from before arrives late
        late = placements.set_flags(connection, inbox, [Flagged(1, (), modseq=1)], force=False)
    # Then the newer flags stay
    assert late is None
    assert not stored(runtime, account)["one"].unread


def test_after_a_new_uidvalidity_what_is_gone_is_a_tombstone(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a mailbox that was made anew with one of its two messages
    account = add_account.add(user)
    kept, lost = letter("kept"), letter("lost")
    user.append(kept, lost, mailbox="Sent")
    run(runtime, account)
    with user.session() as client:
        client.delete_folder("Sent")
        client.create_folder("Sent")
        client.append("Sent", kept)
    # When the account is synced
    assert kinds(run(runtime, account)) == ["reset", "backfill", "expunged"]
    # Then the one is there and the other is not
    assert set(stored(runtime, account)) == {"kept"}
    assert tombstones(runtime, account) == {"lost"}


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_what_is_missing_is_the_difference_of_two_sets(here: set[int], there: set[int]) -> None:
    ranges = [(uid, uid) for uid in sorted(there)]
    assert missing(sorted(here), ranges) == sorted(here - there)


def test_ranges_of_any_size_are_never_expanded() -> None:
    began = time.monotonic()
    assert missing([1, 5, 2**32 - 1], [(2, 2**32 - 2)]) == [1, 2**32 - 1]
    assert time.monotonic() - began < 1
