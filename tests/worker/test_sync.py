"""One sync of an account, against a real Dovecot and a real PostgreSQL."""

from __future__ import annotations

import resource
from datetime import UTC, datetime, timedelta

import pytest
from worker.conftest import Accounts

from postwire.errors import CursorMoved
from postwire.model import Account, Message
from postwire.store import mailboxes, messages
from postwire.store.pool import transaction
from postwire_worker import listing
from postwire_worker import sync as policy
from postwire_worker.imap import connect
from postwire_worker.listing import Committed
from postwire_worker.pace import Pace
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.mailbox import MailUser, letter


def run(runtime: Runtime, account: Account) -> list[Committed]:
    password = runtime.password(account)
    with connect(account, password, runtime.dialer, "sync") as session:
        return list(sync(session, runtime.pool, account))


def stored(runtime: Runtime, account: Account, mailbox: str | None = None) -> list[Message]:
    with transaction(runtime.pool) as connection:
        return messages.list_of_user(
            connection,
            account.user_id,
            account_id=account.id,
            mailbox=mailbox,
            before=None,
            limit=200,
        )


def subjects(runtime: Runtime, account: Account, mailbox: str | None = None) -> list[str]:
    return [message.headers.subject for message in stored(runtime, account, mailbox)]


def test_the_first_sync_stores_what_the_server_has(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a mailbox with read and unread mail, and something sent
    account = add_account.add(user)
    user.append(letter("read"), flags=(r"\Seen",))
    user.append(letter("unread", "some text", html="<p>some <b>html</b></p>"))
    user.append(letter("sent", sender="robin@postwire.example"), mailbox="Sent")

    # When it is synced for the first time
    run(runtime, account)

    # Then all of it is there, with flags, direction and text
    by_subject = {message.headers.subject: message for message in stored(runtime, account)}
    assert set(by_subject) == {"read", "unread", "sent"}
    assert not by_subject["read"].unread
    assert by_subject["unread"].unread
    assert by_subject["unread"].snippet == "some text"
    assert by_subject["unread"].headers.from_[0].address == "anna@northwind.example"
    assert by_subject["unread"].mailboxes == ("INBOX",)
    assert by_subject["sent"].direction == "outbound"
    assert by_subject["read"].direction == "inbound"


def test_mail_that_was_there_before_is_not_announced(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a mailbox with mail in it
    account = add_account.add(user)
    user.append(letter(), letter())

    # When it is synced for the first time, then mail arrives, and it is synced again
    first = run(runtime, account)
    user.append(letter("new"))
    second = run(runtime, account)

    # Then only the mail that arrived counts as new
    assert [(c.kind, c.stored.new) for c in first] == [("backfill", 2)]
    assert [(c.kind, c.stored.new) for c in second] == [("new", 1)]


def test_a_sync_of_what_is_known_stores_nothing(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account that is up to date
    account = add_account.add(user)
    user.append(letter())
    run(runtime, account)
    before = add_account.get(account).revision

    # When it is synced again
    committed = run(runtime, account)

    # Then nothing was written
    assert committed == []
    assert add_account.get(account).revision == before


def test_many_messages_come_in_batches_and_each_is_one_revision(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given batches of three, and eight messages
    monkeypatch.setattr(policy, "BATCH", 3)
    monkeypatch.setattr(Pace, "of", lambda _, full: full)
    account = add_account.add(user)
    user.append(*[letter(f"no. {n}") for n in range(8)])

    # When they are synced
    committed = run(runtime, account)

    # Then the newest came first, and the revisions have no holes
    assert [c.stored.new for c in committed] == [3, 3, 2]
    assert [c.stored.revision for c in committed] == [1, 2, 3]
    assert [m.headers.subject for m in (i for i in committed[0].batch.incoming)] == [
        "no. 7",
        "no. 6",
        "no. 5",
    ]
    assert len(stored(runtime, account)) == 8


def test_a_sync_that_is_broken_off_goes_on_where_it_stopped(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a first sync that ends after its first batch
    monkeypatch.setattr(policy, "BATCH", 2)
    monkeypatch.setattr(Pace, "of", lambda _, full: full)
    account = add_account.add(user)
    user.append(*[letter(f"no. {n}") for n in range(5)])
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        next(sync(session, runtime.pool, account))

    # When mail arrives and the next sync runs
    user.append(letter("arrived"))
    committed = run(runtime, account)

    # Then the new mail came first, and each message is stored once
    assert [(c.kind, c.stored.new) for c in committed] == [
        ("new", 1),
        ("backfill", 2),
        ("backfill", 1),
    ]
    assert sorted(subjects(runtime, account)) == ["arrived", *[f"no. {n}" for n in range(5)]]


def test_the_loser_of_a_race_leaves_nothing_behind(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given two syncs of one account that have both read the cursor
    account = add_account.add(user)
    run(runtime, account)
    user.append(letter("raced"))
    password = runtime.password(account)
    with connect(account, password, runtime.dialer, "sync") as session:
        slower_run = listing.Run(session, runtime.pool, account)
        assert list(listing.look(slower_run)) == []
        (inbox,) = listing.changed(slower_run)
        slower = policy._forward(slower_run, inbox, session.select("INBOX"))

        # When one commits first
        run(runtime, account)

        # Then the other is told so, and the message is there once
        with pytest.raises(CursorMoved):
            next(slower)
    assert subjects(runtime, account) == ["raced"]
    assert add_account.get(account).revision == 1


def test_mail_older_than_the_window_stays_on_the_server(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given old and recent mail
    account = add_account.add(user, window_days=30)
    user.append(letter("old"), received=datetime.now(UTC) - timedelta(days=40))
    user.append(letter("recent"), received=datetime.now(UTC) - timedelta(days=20))

    # When the account is synced
    run(runtime, account)

    # Then only the recent mail is here
    assert subjects(runtime, account) == ["recent"]


def test_without_a_window_all_mail_comes(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given very old mail
    account = add_account.add(user, window_days=None)
    user.append(letter("ancient"), received=datetime(1999, 12, 31, tzinfo=UTC))

    # When the account is synced
    run(runtime, account)

    # Then it is here
    assert subjects(runtime, account) == ["ancient"]


def test_a_message_of_a_hundred_megabytes_costs_no_more_than_is_kept_of_it(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given such a text, and mail after it
    account = add_account.add(user)
    user.append(letter("huge", "All work and no play.\n" * (100 * 2**20 // 22)), letter("next"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # When it is synced
    run(runtime, account)
    # Then its beginning is stored, which says so, and so is the mail after it
    by_subject = {message.headers.subject: message for message in stored(runtime, account)}
    assert set(by_subject) == {"huge", "next"}
    assert by_subject["huge"].size > 100 * 2**20
    assert "cut off" in (by_subject["huge"].problem or "")
    # And it was never in memory (in KiB; it was, to be delivered)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_new_uidvalidity_keeps_ids_announces_nothing_and_says_reset(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a synced account whose INBOX is then made anew on the server, with the same mail
    account = add_account.add(user)
    kept = letter("kept", message_id="<kept@northwind.example>")
    user.append(kept, mailbox="Sent")
    run(runtime, account)
    (before,) = stored(runtime, account)
    with user.session() as client:
        client.delete_folder("Sent")
        client.create_folder("Sent")
        client.append("Sent", kept)

    # When it is synced again
    committed = run(runtime, account)

    # Then the message has kept its id, history has a new epoch, and no body was fetched again
    (after,) = stored(runtime, account)
    assert after.id == before.id
    assert [(c.kind, c.stored.new) for c in committed] == [("reset", 0), ("backfill", 0)]
    assert committed[-1].batch.incoming[0].body is None
    assert add_account.get(account).epoch == 2
    assert after.mailboxes == ("Sent",)


def test_two_messages_with_one_message_id_stay_two(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given two different messages that claim to be the same
    account = add_account.add(user)
    user.append(
        letter("one", message_id="<same@northwind.example>"),
        letter("two", message_id="<same@northwind.example>"),
    )

    # When they are synced
    run(runtime, account)

    # Then both are there
    assert sorted(subjects(runtime, account)) == ["one", "two"]


def test_a_message_in_two_mailboxes_is_one_message(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given one message that lies in INBOX and in Sent
    account = add_account.add(user)
    both = letter("both")
    user.append(both)
    user.append(both, mailbox="Sent")

    # When they are synced
    run(runtime, account)

    # Then it is one message in two mailboxes
    (message,) = stored(runtime, account)
    assert set(message.mailboxes) == {"INBOX", "Sent"}


def test_a_mailbox_that_one_search_cannot_list_is_searched_in_ranges(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given searches of two UIDs, seven messages of which two in the middle were expunged
    monkeypatch.setattr(policy, "SEARCH_LIMIT", 2)
    account = add_account.add(user, window_days=None)
    user.append(*[letter(f"no. {n}") for n in range(1, 8)])
    with user.session() as client:
        client.select_folder("INBOX")
        client.delete_messages([3, 4])
        client.expunge()

    # When they are synced, and five more arrive
    first = run(runtime, account)
    user.append(*[letter(f"no. {n}") for n in range(8, 13)])
    second = run(runtime, account)

    # Then all were found: what was there newest first, what arrived in its order
    found = [[i.headers.subject for i in c.batch.incoming] for c in first]
    assert found == [["no. 7"], ["no. 6", "no. 5"], ["no. 2", "no. 1"]]
    arrived = [[i.headers.subject for i in c.batch.incoming] for c in second]
    assert arrived == [["no. 8", "no. 9"], ["no. 10", "no. 11"], ["no. 12"]]

    # And nothing is left to do
    assert run(runtime, account) == []


def test_ranges_that_were_searched_are_not_searched_again(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a first sync that ends after its first batch
    monkeypatch.setattr(policy, "SEARCH_LIMIT", 3)
    account = add_account.add(user)
    user.append(*[letter(f"no. {n}") for n in range(1, 8)])
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        next(sync(session, runtime.pool, account))

    # When it goes on
    committed = run(runtime, account)

    # Then it goes on below, and all is there
    assert [i.headers.subject for i in committed[0].batch.incoming] == ["no. 6", "no. 5", "no. 4"]
    assert len(stored(runtime, account)) == 7


def test_old_mail_that_is_left_out_leaves_the_backfill_complete(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a window that holds none of the mail, in several ranges
    monkeypatch.setattr(policy, "SEARCH_LIMIT", 2)
    account = add_account.add(user, window_days=1)
    user.append(*[letter()] * 5, received=datetime.now(UTC) - timedelta(days=9))

    # When it is synced
    run(runtime, account)

    # Then the window is filled, with nothing
    with transaction(runtime.pool) as connection:
        kept = mailboxes.keep(connection, account.id, "INBOX", "/", None)
    assert kept.cursor is not None
    assert (kept.cursor.uidnext, kept.cursor.backfill_uid) == (6, 0)
