"""New, renamed and removed mailboxes, the setting, and what a sync without changes costs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from worker.conftest import Accounts
from worker.test_changes import kinds, run, set_scope, stored, tombstones

from postwire.errors import CursorMoved
from postwire.model import Account, Cursor, Mailbox, MailboxId
from postwire.store import accounts, mailboxes
from postwire.store.pool import transaction
from postwire_worker import listing
from postwire_worker.answers import State
from postwire_worker.imap import connect
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.fake_imap import capabilities, fake_imap
from support.mailbox import MailUser, letter

NOW = datetime.now(UTC)
BOX = Mailbox(
    MailboxId(1), "a", "INBOX", "/", None, Cursor(1, 5, 0), None, messages=4, highestmodseq=9
)


def boxes(runtime: Runtime, account: Account) -> dict[str, Mailbox]:
    with transaction(runtime.pool) as connection:
        return {one.name: one for one in mailboxes.list_all(connection, account.id)}


@pytest.fixture
def account(runtime: Runtime, add_account: Accounts, owner: MailUser) -> Account:
    """An account with all its mailboxes: INBOX, Sent, and Projects with two messages."""
    account = add_account.add(
        owner, password=owner.server.password, host=owner.server.host, port=owner.server.port
    )
    set_scope(runtime, account, "*")
    owner.append(letter("one"), letter("two"), mailbox="Projects")
    run(runtime, account)
    return account


def test_a_renamed_mailbox_keeps_its_id_its_placements_and_its_messages(
    runtime: Runtime, account: Account, owner: MailUser
) -> None:
    # Given a mailbox that is renamed
    before, messages = boxes(runtime, account), stored(runtime, account)
    with owner.session() as mail:
        mail.rename_folder("Projects", "Done")
    # When the account is synced
    committed = run(runtime, account)
    # Then it is the same mailbox, nothing was stored or removed, and its messages tell of it
    after = boxes(runtime, account)
    assert after["Done"].id == before["Projects"].id
    assert "Projects" not in after
    assert kinds(committed) == ["renamed"]
    assert stored(runtime, account)["one"].id == messages["one"].id
    assert stored(runtime, account)["one"].mailboxes == ("Done",)
    assert stored(runtime, account)["one"].revision > messages["one"].revision
    assert run(runtime, account) == []


def test_a_mailbox_with_the_same_uidvalidity_and_other_mail_is_no_rename(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a mailbox that goes, and one that comes with the same numbers for other messages
    account = add_account.add(user)
    set_scope(runtime, account, "*")
    user.append(letter("one"), mailbox="Projects")
    run(runtime, account)
    user.append(letter("other"), letter("more"), mailbox="News")
    with user.session() as mail:
        mail.delete_folder("Projects")
        uidvalidity = mail.folder_status("News", ["UIDVALIDITY"])[b"UIDVALIDITY"]
    with transaction(runtime.pool) as connection:
        for table in ("mailbox", "placement"):
            connection.execute(
                f"UPDATE {table} SET uidvalidity = {uidvalidity} WHERE"  # noqa: S608
                f" {'id' if table == 'mailbox' else 'mailbox_id'} ="
                " (SELECT id FROM mailbox WHERE name = 'Projects')"
            )
    # When the account is synced
    run(runtime, account)
    # Then the one is gone and the other is new
    assert set(stored(runtime, account)) == {"other", "more"}
    assert tombstones(runtime, account) == {"one"}


def test_a_removed_mailbox_goes_with_what_lay_there_alone(
    runtime: Runtime, account: Account, owner: MailUser
) -> None:
    # Given a mailbox that is removed, one of its messages having been copied
    with owner.session() as mail:
        mail.select_folder("Projects")
        mail.copy([1], "INBOX")
        mail.unselect_folder()
        mail.delete_folder("Projects")
    # When the account is synced
    run(runtime, account)
    # Then that message stays
    assert set(boxes(runtime, account)) == {"INBOX", "Sent"}
    assert set(stored(runtime, account)) == {"one"}
    assert tombstones(runtime, account) == {"two"}


def test_a_message_moved_into_a_new_mailbox_is_never_a_tombstone(
    runtime: Runtime, account: Account, owner: MailUser
) -> None:
    # Given a message that is moved into a mailbox that was not there before
    with owner.session() as mail:
        mail.create_folder("New")
        mail.select_folder("Projects")
        mail.move([1], "New")
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        # When the account is synced
        for _ in sync(session, runtime.pool, replace(account, mailboxes=["*"])):
            # Then no reader sees it as expunged
            assert tombstones(runtime, account) == set()
    assert stored(runtime, account)["one"].mailboxes == ("New",)


def test_the_setting_names_mailboxes_and_special_uses(runtime: Runtime, account: Account) -> None:
    # Given an account with all its mailboxes
    before = stored(runtime, account)["one"]
    # When only two are named
    set_scope(runtime, account, "INBOX", "\\Sent")
    run(runtime, account)
    # Then the others are kept no longer
    assert set(boxes(runtime, account)) == {"INBOX", "Sent"}
    assert boxes(runtime, account)["Sent"].special_use == "\\Sent"
    assert stored(runtime, account) == {}
    # And when they are named again, their messages are what they were
    set_scope(runtime, account, "INBOX", "Projects")
    committed = run(runtime, account)
    assert all(one.batch.incoming[0].body is None for one in committed if one.kind == "backfill")
    assert stored(runtime, account)["one"].id == before.id


def test_without_a_change_no_row_is_written(runtime: Runtime, account: Account) -> None:
    def everything() -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        with transaction(runtime.pool) as connection:
            for table in ("account", "mailbox", "message", "placement", "body"):
                rows += connection.execute(
                    f"SELECT xmin::text, ctid::text, to_jsonb({table}) FROM {table}"  # noqa: S608
                ).fetchall()
        return rows

    # Given an account that is up to date
    before = everything()
    # When it is synced
    assert run(runtime, account) == []
    # Then not one row was written
    assert everything() == before


LIST_STATUS = ("IMAP4rev1", "LIST-STATUS", "SPECIAL-USE", "CONDSTORE", "ESEARCH", "OBJECTID")


def listed(*, modseq: int = 7, name: str = "Work", object_id: str = "w1") -> dict[str, bytes]:
    items = "UIDVALIDITY 3 UIDNEXT 1 MESSAGES 0"
    return {
        "LIST": (
            '* LIST () "/" INBOX\r\n'
            f"* STATUS INBOX ({items} HIGHESTMODSEQ {modseq} MAILBOXID (i1))\r\n"
            f'* LIST () "/" {name}\r\n'
            f"* STATUS {name} ({items} HIGHESTMODSEQ {modseq} MAILBOXID ({object_id}))\r\n"
            "TAG OK done\r\n"
        ).encode(),
        "EXAMINE": (
            "* 0 EXISTS\r\n* OK [UIDVALIDITY 3] x\r\n* OK [UIDNEXT 1] x\r\n"
            f"* OK [HIGHESTMODSEQ {modseq}] x\r\nTAG OK [READ-ONLY]\r\n"
        ).encode(),
    }


def test_without_a_change_one_command_is_all(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a server that tells its capabilities unasked, and an account that is up to date
    said = " ".join(LIST_STATUS)
    answers = {**listed(), "LOGIN": f"TAG OK [CAPABILITY {said}] in\r\n".encode()}
    greeting = f"* OK [CAPABILITY {said}] ready\r\n".encode()
    with fake_imap(answers, greeting=greeting) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        set_scope(runtime, account, "*")
        run(runtime, account)
        server.lines.clear()
        # When it is synced
        run(runtime, account)
        # Then there is one command between login and logout
        assert [line.split()[1] for line in server.lines] == ["LOGIN", "LIST", "LOGOUT"]


def test_an_object_id_tells_a_rename_of_an_empty_mailbox(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a server with OBJECTID, and a mailbox without messages
    answers = {**capabilities(*LIST_STATUS), **listed()}
    with fake_imap(answers) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        set_scope(runtime, account, "*")
        run(runtime, account)
    before = boxes(runtime, account)["Work"]
    # When it has another name
    with fake_imap({**answers, **listed(name="Play")}) as server:
        elsewhere(runtime, account, server.port)
        run(runtime, account)
        # Then it is the same
        assert boxes(runtime, account)["Play"].id == before.id
    # And another mailbox under its name is another, whatever its UIDVALIDITY
    with fake_imap({**answers, **listed(name="Play", object_id="w2")}) as server:
        elsewhere(runtime, account, server.port)
        assert kinds(run(runtime, account)) == ["reset"]


def elsewhere(runtime: Runtime, account: Account, port: int) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET port = %s WHERE id = %s", [port, account.id])


def test_a_mailbox_that_is_numbered_anew_each_time_is_parked_and_tried_again(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a mailbox that has a new UIDVALIDITY at each sync
    account = add_account.add(user)
    run(runtime, account)
    resets = 0
    for _ in range(8):
        with user.session() as mail:
            mail.delete_folder("Sent")
            mail.create_folder("Sent")
        resets += kinds(run(runtime, account)).count("reset")
    # Then it is left alone after the sixth time, with words, and the INBOX is not
    sent = boxes(runtime, account)["Sent"]
    assert resets == 6
    assert sent.problem is not None
    assert "anew" in sent.problem
    user.append(letter("here"))
    assert kinds(run(runtime, account)) == ["new"]
    # And a day later it is looked at again
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE mailbox SET parked_at = parked_at - interval '25 hours'")
    assert "reset" in kinds(run(runtime, account))
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE mailbox SET parked_at = parked_at - interval '25 hours'")
    run(runtime, account)
    sent = boxes(runtime, account)["Sent"]
    assert (sent.problem, sent.parked_at, sent.resets) == (None, None, 0)


def test_a_mailbox_that_cannot_be_opened_stops_no_other(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a mailbox that is listed and cannot be opened
    with fake_imap(
        {
            **capabilities("IMAP4rev1"),
            "LIST": b'* LIST () "/" Ghost\r\n* LIST () "/" INBOX\r\nTAG OK done\r\n',
            "EXAMINE .*Ghost": b"TAG NO [NONEXISTENT] no such mailbox\r\n",
        }
    ) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        set_scope(runtime, account, "*")
        # When the account is synced, and synced again
        for _ in range(3):
            run(runtime, account)
    # Then it is left alone from the second time on, and says why
    assert len(server.heard("EXAMINE .*Ghost")) == 2
    assert boxes(runtime, account)["Ghost"].parked_at
    assert boxes(runtime, account)["Ghost"].problem == "The mail server has no such mailbox."
    assert boxes(runtime, account)["INBOX"].cursor is not None


def test_a_wider_window_fetches_what_is_older_and_nothing_twice(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a window of ten days
    account = add_account.add(user, window_days=10)
    user.append(letter("old"), received=NOW - timedelta(days=40))
    user.append(letter("recent"))
    run(runtime, account)
    assert set(stored(runtime, account)) == {"recent"}
    # When it becomes one of a hundred days
    with transaction(runtime.pool) as connection:
        accounts.set_scope(connection, account, None, 100)
        mailboxes.widen(connection, account.id, (NOW - timedelta(days=100)).date())
    committed = run(runtime, account)
    # Then only the older message is fetched
    assert [[one.headers.subject for one in c.batch.incoming] for c in committed] == [["old"]]
    assert set(stored(runtime, account)) == {"recent", "old"}


@pytest.mark.parametrize(
    ("state", "same"),
    [
        (State(1, 5, 4, highestmodseq=9), True),
        (State(1, 5, 4, highestmodseq=10), False),
        (State(1, 5, 4, highestmodseq=8), False),
        (State(1, 6, 4, highestmodseq=9), False),
        (State(1, 5, 3, highestmodseq=9), False),
        (State(2, 5, 4, highestmodseq=9), False),
        (State(1, 5, 4, highestmodseq=9, object_id="x"), False),
        (None, False),
    ],
)
def test_a_mailbox_is_unchanged_if_all_of_its_numbers_are(
    state: State | None, *, same: bool
) -> None:
    assert listing.unchanged(BOX, state, NOW) == same


def test_a_mailbox_that_goes_while_it_is_read_makes_the_sync_begin_anew(
    runtime: Runtime, account: Account, owner: MailUser
) -> None:
    # Given a run that knows a mailbox
    with connect(account, runtime.password(account), runtime.dialer, "sync") as session:
        run_ = listing.Run(session, runtime.pool, replace(account, mailboxes=["*"]))
        list(listing.look(run_))
        # When the mailbox goes
        with owner.session() as mail:
            mail.delete_folder("Projects")
        # Then it is no fault of the account's
        with pytest.raises(CursorMoved):
            run_.open(boxes(runtime, account)["Projects"])


def test_a_mailbox_that_went_and_came_back_is_not_left_alone_for_a_day(
    runtime: Runtime, account: Account, owner: MailUser
) -> None:
    # Given a sync that has read the list when a mailbox is deleted
    owner.append(letter("three"))
    owner.append(letter("four"), mailbox="Projects")
    with connect(account, owner.server.password, runtime.dialer, "sync") as session:
        going = sync(session, runtime.pool, replace(account, mailboxes=["*"]))
        assert next(going).kind == "new"
        with owner.session() as mail:
            mail.delete_folder("Projects")
        with suppress(CursorMoved):
            list(going)
    # When there is one of that name again before the next sync
    owner.append(letter("five"), mailbox="Projects")
    run(runtime, account)
    # Then its mail is here
    assert set(stored(runtime, account)) == {"three", "five"}
    assert boxes(runtime, account)["Projects"].problem is None
