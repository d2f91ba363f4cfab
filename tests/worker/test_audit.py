"""What is stored made to differ from the server by SQL, or by another client, and audited."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import IMAPClient
from prometheus_client import REGISTRY
from worker.conftest import Accounts

from postwire.errors import ConnectionLost
from postwire.model import Account, Message, Reason
from postwire.store import accounts, jobs, messages
from postwire.store.pool import transaction
from postwire_worker import actors, audit
from postwire_worker.audit import take, within
from postwire_worker.imap import Session, connect
from postwire_worker.listing import Committed
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.dovecot import Dovecot
from support.fake_gmail import fake_gmail
from support.mailbox import MailUser, letter
from support.told import listening

KINDS = ("missing", "extra", "flags", "homeless")
LONG_AGO = datetime.now(UTC) - timedelta(days=3)
Drift = Callable[[], dict[str, int]]


def sample(name: str, **labels: str) -> int:
    return int(REGISTRY.get_sample_value(name, labels) or 0)


@pytest.fixture
def drift() -> Drift:
    """What was counted since the test began, by kind."""
    before = {kind: sample("postwire_drift_messages_total", kind=kind) for kind in KINDS}

    def since() -> dict[str, int]:
        now = {kind: sample("postwire_drift_messages_total", kind=kind) for kind in KINDS}
        return {kind: now[kind] - before[kind] for kind in KINDS if now[kind] > before[kind]}

    return since


@pytest.fixture
def runtime(runtime: Runtime) -> Runtime:
    """A worker that audits accounts daily."""
    return replace(runtime, audit_every=timedelta(days=1))


@pytest.fixture
def account(runtime: Runtime, add_account: Accounts, owner: MailUser) -> Account:
    """An account on either server, synced with `one` to `four`, of which `one` is read."""
    owner.append(letter("one"), flags=(r"\Seen",), received=LONG_AGO)
    owner.append(letter("two"), letter("three"), letter("four"), received=LONG_AGO)
    return synced(runtime, add_account, owner)


def synced(runtime: Runtime, add_account: Accounts, owner: MailUser) -> Account:
    account = add_account.add(
        owner, password=owner.server.password, host=owner.server.host, port=owner.server.port
    )
    run_sync(runtime, account)
    return account


def run_sync(runtime: Runtime, account: Account) -> list[Committed]:
    with session(runtime, account) as opened:
        return list(sync(opened, runtime.pool, account))


def session(runtime: Runtime, account: Account) -> Any:
    password = runtime.password(account)
    return connect(account, password, runtime.dialer, "sync")


def execute(runtime: Runtime, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    with transaction(runtime.pool) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def make_due(runtime: Runtime, account: Account) -> None:
    execute(
        runtime,
        """
        INSERT INTO audit (account_id, due_at) VALUES (%s, now())
        ON CONFLICT (account_id) DO UPDATE SET due_at = now()
        """,
        account.id,
    )


def run_audit(runtime: Runtime, account: Account, reason: Reason = "auto") -> list[Committed]:
    """An audit that is due, with nothing before it."""
    make_due(runtime, account)
    with session(runtime, account) as opened:
        return list(take(opened, runtime, account, reason))


def is_due(runtime: Runtime, account: Account) -> bool:
    (row,) = execute(runtime, "SELECT due_at <= now() FROM audit WHERE account_id = %s", account.id)
    return bool(row[0])


def audited_at(runtime: Runtime, account: Account) -> datetime | None:
    with transaction(runtime.pool) as connection:
        return accounts.get(connection, account.id).audited_at


def stored(runtime: Runtime, account: Account) -> dict[str, Message]:
    with transaction(runtime.pool) as connection:
        listed = messages.list_of_user(
            connection, account.user_id, account_id=account.id, mailbox=None, before=None, limit=200
        )
    return {message.headers.subject: message for message in listed}


def unplace(runtime: Runtime, subject: str) -> None:
    """Forget where the message lies."""
    execute(
        runtime,
        """
        DELETE FROM placement USING message
         WHERE message.account_id = placement.account_id AND message.id = placement.message_id
           AND subject = %s
        """,
        subject,
    )


def kinds(committed: list[Committed]) -> list[str]:
    return [one.kind for one in committed]


def test_where_nothing_differs_nothing_is_told_and_it_is_noted(
    runtime: Runtime, account: Account, drift: Drift
) -> None:
    # Given an account that is as its server, and was never audited
    before = sample("postwire_audited_messages_total")
    assert audited_at(runtime, account) is None
    # When it is audited
    assert run_audit(runtime, account) == []
    # Then all of it was compared, and the next audit is due about a day later
    assert sample("postwire_audited_messages_total") == before + 4
    assert drift() == {}
    assert audited_at(runtime, account) is not None
    ((hours,),) = execute(
        runtime,
        "SELECT extract(epoch FROM due_at - now()) / 3600 FROM audit WHERE account_id = %s",
        account.id,
    )
    assert 21 < hours < 27


def test_a_message_that_lost_its_place_is_found_and_is_what_it_was(
    runtime: Runtime, account: Account, drift: Drift
) -> None:
    # Given a placement that was deleted, which no sync sees
    before = stored(runtime, account)["two"]
    unplace(runtime, "two")
    assert run_sync(runtime, account) == []
    # When the account is audited
    committed = run_audit(runtime, account)
    # Then the message lies where it lay, and has a new revision
    after = stored(runtime, account)["two"]
    assert kinds(committed) == ["backfill"]
    assert (after.id, after.mailboxes) == (before.id, ("INBOX",))
    assert after.revision == committed[0].stored.revision > before.revision
    assert committed[0].stored.new == 0
    assert drift() == {"missing": 1}
    # And the next audit finds nothing
    assert run_audit(runtime, account) == []
    assert drift() == {"missing": 1}


def test_a_message_that_was_lost_is_fetched_again(
    runtime: Runtime, account: Account, drift: Drift
) -> None:
    execute(runtime, "DELETE FROM message WHERE subject = 'two'")
    assert run_sync(runtime, account) == []
    (one,) = run_audit(runtime, account)
    assert (one.kind, one.stored.new, one.stored.inbound) == ("backfill", 1, 1)
    assert one.batch.incoming[0].body is not None
    assert set(stored(runtime, account)) == {"one", "two", "three", "four"}
    assert drift() == {"missing": 1}


def test_a_placement_of_nothing_is_removed(
    runtime: Runtime, account: Account, drift: Drift
) -> None:
    # Given placements under UIDs that the server never gave
    for subject, uid in (("one", 20), ("two", 70)):
        execute(
            runtime,
            """
            INSERT INTO placement (account_id, mailbox_id, uidvalidity, uid, message_id, flags)
            SELECT account_id, mailbox_id, uidvalidity, %s, id, flags
              FROM placement JOIN message USING (account_id)
             WHERE id = placement.message_id AND subject = %s
            """,
            uid,
            subject,
        )
    # And a message that was moved there altogether
    execute(
        runtime,
        """
        UPDATE placement SET uid = 30 FROM message
         WHERE message.id = placement.message_id AND subject = 'three'
        """,
    )
    # When the account is audited
    committed = run_audit(runtime, account)
    # Then they are gone, and the message lies where the server has it
    assert kinds(committed) == ["backfill", "expunged"]
    assert drift() == {"missing": 1, "extra": 3}
    uids = execute(runtime, "SELECT uid FROM placement WHERE account_id = %s", account.id)
    assert sorted(uids) == [(1,), (2,), (3,), (4,)]
    assert set(stored(runtime, account)) == {"one", "two", "three", "four"}


def test_a_message_the_server_has_not_is_expunged(
    runtime: Runtime, account: Account, owner: MailUser, drift: Drift
) -> None:
    # Given an expunged message, and a count that says that this was taken over already
    with owner.session() as mail:
        mail.select_folder("INBOX")
        mail.delete_messages([2])
        mail.expunge([2])
    execute(runtime, "UPDATE mailbox SET messages = 3 WHERE name = 'INBOX'")
    assert kinds(run_sync(runtime, account)) == []
    # When the account is audited
    assert kinds(run_audit(runtime, account)) == ["expunged"]
    # Then it is a tombstone
    assert drift() == {"extra": 1}
    assert set(stored(runtime, account)) == {"one", "three", "four"}
    assert run_sync(runtime, account) == []


def test_flags_that_differ_without_a_modseq_of_their_own_are_taken_over(
    runtime: Runtime, add_account: Accounts, user: MailUser, drift: Drift
) -> None:
    # Given a server with modseqs, and flags that were lost here
    user.append(letter("one"), flags=(r"\Seen", r"\Flagged"))
    account = synced(runtime, add_account, user)
    execute(runtime, "UPDATE placement SET flags = '{$Wrong}'")
    assert run_sync(runtime, account) == []
    # When the account is audited
    committed = run_audit(runtime, account)
    # Then they are the server's, and that was told
    assert kinds(committed) == ["flags"]
    assert set(stored(runtime, account)["one"].flags) == {r"\Seen", r"\Flagged"}
    assert stored(runtime, account)["one"].revision == committed[0].stored.revision
    assert drift() == {"flags": 1}
    assert run_audit(runtime, account) == []


def test_flags_without_modseqs_are_left_to_the_sync_that_compares_them_all(
    runtime: Runtime, add_account: Accounts, elder_dovecot: Dovecot, drift: Drift
) -> None:
    # Given a server without modseqs: whether a flag is new there, or lost here, nobody can tell
    user = MailUser(elder_dovecot, elder_dovecot.new_user())
    user.append(letter("one"), flags=(r"\Flagged",))
    account = synced(runtime, add_account, user)
    execute(runtime, "UPDATE placement SET flags = '{}'")
    # When the account is audited, then nothing is counted
    assert run_audit(runtime, account) == []
    assert drift() == {}
    # But five minutes later the sync has it
    execute(runtime, "UPDATE mailbox SET flags_at = flags_at - interval '6 minutes'")
    assert kinds(run_sync(runtime, account)) == ["flags"]
    assert stored(runtime, account)["one"].flags == (r"\Flagged",)


def test_modseqs_acquit_and_never_tell_whether_to_look(
    runtime: Runtime, add_account: Accounts, user: MailUser, drift: Drift
) -> None:
    with fake_gmail("objectid") as server:
        mail = server.add(letter("one"))
        account = add_account.add(user, host=server.imap.host, port=server.imap.port)
        run_sync(runtime, account)
        inbox = server.boxes["INBOX"]
        # Given a flag so new that the mailbox's state does not tell of it yet
        mail.flags.add("\\Seen")
        mail.modseq = inbox.modseq + 1
        # When the account is audited, then that is no drift, and is left to the sync
        assert run_audit(runtime, account) == []
        assert drift() == {}
        inbox.modseq = mail.modseq
        assert kinds(run_sync(runtime, account)) == ["flags"]
        # But of a flag that the server never gave a modseq no sync will ever know
        mail.flags.add("\\Flagged")
        assert run_sync(runtime, account) == []
        assert kinds(run_audit(runtime, account)) == ["flags"]
    assert drift() == {"flags": 1}
    assert set(stored(runtime, account)["one"].flags) == {r"\Seen", r"\Flagged"}


def test_a_message_that_lies_nowhere_is_expunged(
    runtime: Runtime, account: Account, owner: MailUser, drift: Drift
) -> None:
    # Given a tombstone that somebody has undone
    with owner.session() as mail:
        mail.select_folder("INBOX")
        mail.delete_messages([2])
        mail.expunge([2])
    assert kinds(run_sync(runtime, account)) == ["expunged"]
    execute(runtime, "UPDATE message SET expunged_at = NULL")
    assert "two" in stored(runtime, account)
    # When a mailbox was numbered anew just now, it may be found there yet
    execute(runtime, "UPDATE mailbox SET homeless = true")
    assert run_audit(runtime, account) == []
    # But when all have been compared, it is not
    execute(runtime, "UPDATE mailbox SET homeless = false")
    assert kinds(run_audit(runtime, account)) == ["expunged"]
    assert drift() == {"homeless": 1}
    assert "two" not in stored(runtime, account)


def test_what_changes_after_the_last_sync_is_taken_over_and_no_drift(
    runtime: Runtime, account: Account, owner: MailUser, drift: Drift
) -> None:
    # Given changes of all kinds that no sync has seen yet
    with owner.session() as mail:
        mail.select_folder("INBOX")
        mail.add_flags([1], [r"\Flagged"])
        mail.add_flags([3], [r"\Seen"])
        mail.delete_messages([2])
        mail.expunge([2])
    owner.append(letter("five"))
    # When the account is audited at once
    committed = run_audit(runtime, account)
    # Then a sync takes over what had changed, before anything is repaired
    assert set(kinds(committed)) == {"new", "flags", "expunged"}
    assert drift() == {}
    assert set(stored(runtime, account)) == {"one", "three", "four", "five"}
    assert run_audit(runtime, account) == []


def test_drift_is_told_apart_from_what_changes_beside_it(
    runtime: Runtime, account: Account, owner: MailUser, drift: Drift
) -> None:
    # Given a lost placement, and another message that is expunged and a third that is read
    unplace(runtime, "four")
    with owner.session() as mail:
        mail.select_folder("INBOX")
        mail.add_flags([3], [r"\Seen"])
        mail.delete_messages([2])
        mail.expunge([2])
    run_audit(runtime, account)
    assert drift() == {"missing": 1}
    assert set(stored(runtime, account)) == {"one", "three", "four"}
    assert not stored(runtime, account)["three"].unread


def test_what_changes_between_the_sync_and_the_second_look_is_no_drift(
    runtime: Runtime, account: Account, owner: MailUser, drift: Drift
) -> None:
    # Given a lost placement, so that the audit looks twice, and new mail for the sync in between
    unplace(runtime, "four")
    owner.append(letter("five"))
    make_due(runtime, account)
    with session(runtime, account) as opened:
        work = take(opened, runtime, account, "auto")
        assert next(work).kind == "new"
        # When a message is expunged that this sync has counted already
        with owner.session() as mail:
            mail.select_folder("INBOX")
            mail.delete_messages([2])
            mail.expunge([2])
        # Its flags may be seen yet.
        assert set(kinds(list(work))) - {"flags"} == {"backfill"}
    # Then it is left to the next sync
    assert drift() == {"missing": 1}
    assert "two" in stored(runtime, account)
    assert kinds(run_sync(runtime, account)) == ["expunged"]
    assert set(stored(runtime, account)) == {"one", "three", "four", "five"}


@pytest.mark.parametrize("seed", [1, 2])
def test_while_another_client_does_whatever_it_likes_no_drift_is_seen(
    runtime: Runtime, account: Account, owner: MailUser, drift: Drift, seed: int
) -> None:
    # Given a client that changes things all the time
    over = threading.Event()
    thread = threading.Thread(target=be_busy, args=[owner, seed, over])
    thread.start()
    # When the account is audited again and again, with syncs in between or without
    try:
        looked = sum(one_round(runtime, account, sync_first=n % 2 == 0) for n in range(12))
    finally:
        over.set()
        thread.join(20)
    # Then changes were met, and none was taken for drift
    assert not thread.is_alive()
    assert looked
    assert drift() == {}
    # And once it is quiet all is as it should be
    execute(runtime, "UPDATE mailbox SET flags_at = flags_at - interval '6 minutes'")
    run_sync(runtime, account)
    assert run_audit(runtime, account) == []
    assert drift() == {}
    with owner.session() as mail:
        mail.select_folder("INBOX")
        there = mail.get_flags(mail.search("ALL"))
    here = execute(
        runtime,
        "SELECT uid, flags FROM placement JOIN mailbox ON mailbox.id = mailbox_id"
        " WHERE name = 'INBOX'",
    )
    assert {uid: set(flags) for uid, flags in here} == {
        uid: {flag.decode() for flag in flags} - {r"\Recent"} for uid, flags in there.items()
    }


def one_round(runtime: Runtime, account: Account, *, sync_first: bool) -> int:
    """How many changes the audit met."""
    if sync_first:
        run_sync(runtime, account)
    return len(run_audit(runtime, account))


def be_busy(user: MailUser, seed: int, over: threading.Event) -> None:
    dice = random.Random(seed)  # noqa: S311
    with user.session() as mail:
        mail.select_folder("INBOX")
        number = 0
        while not over.is_set():
            uids = mail.search("ALL")
            if len(uids) < 4 or dice.random() < 0.4:
                number += 1
                mail.append("INBOX", letter(f"busy {number}"))
                continue
            uid = dice.choice(uids)
            change_one(mail, dice.random(), uid)
            over.wait(0.005)


def change_one(mail: IMAPClient, what: float, uid: int) -> None:
    if what < 0.4:
        mail.add_flags([uid], [r"\Seen"])
    elif what < 0.7:
        mail.remove_flags([uid], [r"\Seen"])
    else:
        mail.delete_messages([uid])
        mail.expunge([uid])


@pytest.mark.parametrize(
    "statement",
    ["UPDATE mailbox SET parked_at = now()", "UPDATE mailbox SET backfill_uid = uidnext"],
)
def test_a_mailbox_that_is_not_stored_whole_is_not_audited(
    runtime: Runtime, account: Account, drift: Drift, statement: LiteralString
) -> None:
    unplace(runtime, "two")
    execute(runtime, statement)
    assert run_audit(runtime, account) == []
    assert drift() == {}


def test_what_is_set_aside_or_out_of_the_window_is_not_missed(
    runtime: Runtime, add_account: Accounts, owner: MailUser, drift: Drift
) -> None:
    # Given a message from before the window, and one that could not be read
    owner.append(letter("old"), received=datetime.now(UTC) - timedelta(days=90))
    owner.append(letter("new"), letter("broken"))
    account = synced(runtime, add_account, owner)
    execute(runtime, "DELETE FROM message WHERE subject = 'broken'")
    execute(
        runtime,
        """
        INSERT INTO set_aside (mailbox_id, uidvalidity, uid, error, retry_at)
        SELECT id, uidvalidity, 3, 'not now', now() + interval '1 day' FROM mailbox
         WHERE name = 'INBOX'
        """,
    )
    # When the account is audited, then neither is drift
    assert run_audit(runtime, account) == []
    assert drift() == {}
    # But what is neither of both is
    unplace(runtime, "new")
    run_audit(runtime, account)
    assert drift() == {"missing": 1}


@pytest.mark.parametrize("stopping", [False, True])
def test_an_audit_that_is_cut_off_goes_on_where_it_was(
    runtime: Runtime,
    account: Account,
    drift: Drift,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stopping: bool,
) -> None:
    # Given pages of two messages, time for one of them a run, and drift on the last
    monkeypatch.setattr(audit, "PAGE", 2)
    if stopping:
        runtime.stopping.set()
    else:
        monkeypatch.setattr(audit, "SECONDS", 0)
    unplace(runtime, "four")
    # When the first run is over, then nothing was found, and the next is due at once
    assert run_audit(runtime, account) == []
    assert is_due(runtime, account)
    assert audited_at(runtime, account) is None
    # And with the next it is found
    assert kinds(run_audit(runtime, account)) == ["backfill"]
    # And as often as there are pages later it is done
    for _ in range(4):
        if is_due(runtime, account):
            run_audit(runtime, account)
    assert not is_due(runtime, account)
    assert audited_at(runtime, account) is not None
    assert drift() == {"missing": 1}


def test_a_repair_that_is_cut_off_goes_on_with_what_is_left(
    runtime: Runtime, account: Account, drift: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a mailbox of which nothing is left, and batches of one message
    monkeypatch.setattr(audit, "BATCH", 1)
    execute(runtime, "DELETE FROM message")
    make_due(runtime, account)
    # When each run ends with its first batch
    found = []
    for _ in range(6):
        with session(runtime, account) as opened:
            work = take(opened, runtime, account, "auto")
            found += [len(one.batch.incoming) for one in [next(work, None)] if one]
            work.close()
    # Then each message was repaired and counted once, the newest first
    assert found == [1, 1, 1, 1]
    assert drift() == {"missing": 4}
    assert set(stored(runtime, account)) == {"one", "two", "three", "four"}
    assert not is_due(runtime, account)
    assert not runtime.auditing.locked()


def test_a_large_mailbox_is_compared_to_its_last_message_page_by_page(
    runtime: Runtime, add_account: Accounts, user: MailUser, drift: Drift
) -> None:
    # Given 5,000 messages, with drift where pages begin and end
    with user.session() as mail:
        mail.select_folder("INBOX")
    fill(user, 5_000)
    account = synced(runtime, add_account, user)
    edges = (1, audit.PAGE, audit.PAGE + 1, 5_000)
    execute(runtime, "DELETE FROM placement WHERE uid = ANY(%s)", list(edges))
    before = sample("postwire_audited_messages_total")
    # When the account is audited
    run_audit(runtime, account)
    # Then all was compared, and each was found
    assert drift() == {"missing": 4}
    assert sample("postwire_audited_messages_total") == before + 5_000 - 4
    assert run_audit(runtime, account) == []
    assert sample("postwire_audited_messages_total") == before + 10_000 - 4


def fill(user: MailUser, count: int) -> None:
    """Put messages into INBOX as files; each APPEND would be a round trip."""
    folder = user.server.ca_file.parent / "mail" / user.name / "Maildir" / "new"
    owner = folder.stat()
    for n in range(count):
        file = folder / f"{n}.postwire"
        file.write_bytes(letter(f"Message {n}"))
        os.chown(file, owner.st_uid, owner.st_gid)


def test_an_audit_that_fails_is_put_off_and_lets_the_account_be_synced(
    runtime: Runtime, account: Account
) -> None:
    # Given a connection that breaks as soon as the audit begins
    failed = sample("postwire_audits_total", outcome="failed")
    make_due(runtime, account)
    with session(runtime, account) as opened:
        opened.close()
        work = take(opened, runtime, account, "auto")
        with pytest.raises(ConnectionLost):
            next(work)
    # Then the next run does without it
    assert sample("postwire_audits_total", outcome="failed") == failed + 1
    assert not is_due(runtime, account)
    assert not runtime.auditing.locked()


def test_an_account_is_audited_when_it_is_due_and_by_the_machine_alone(
    runtime: Runtime, account: Account
) -> None:
    with session(runtime, account) as opened:
        # Given an account that was never seen: its first audit is some time today
        assert list(take(opened, runtime, account, "auto")) == []
        assert audited_at(runtime, account) is None
        # When somebody asked, or new mail came, or this worker audits another, or none at all
        make_due(runtime, account)
        assert_not_taken(opened, runtime, account, "manual")
        assert_not_taken(opened, runtime, account, "push")
        assert_not_taken(opened, replace(runtime, audit_every=None), account, "auto")
        with runtime.auditing:
            assert_not_taken(opened, runtime, account, "auto")
        # Then it waits until none of this is so
        list(take(opened, runtime, account, "auto"))
        assert audited_at(runtime, account) is not None


def assert_not_taken(opened: Session, runtime: Runtime, account: Account, reason: Reason) -> None:
    list(take(opened, runtime, account, reason))
    assert audited_at(runtime, account) is None
    assert is_due(runtime, account)


def test_a_job_of_the_machine_audits_and_tells_what_was_missed(
    runtime: Runtime, redis_url: str, add_account: Accounts, user: MailUser
) -> None:
    # Given a message of some minutes ago that was missed, and one of days ago
    user.append(letter("old"), received=LONG_AGO)
    user.append(letter("fresh"))
    account = synced(runtime, add_account, user)
    execute(runtime, "DELETE FROM message")
    make_due(runtime, account)
    # When its turn comes
    with transaction(runtime.pool) as connection:
        job = jobs.ask(connection, account.id, account.user_id, "auto")
    with listening(redis_url) as told:
        actors.run(runtime, job.id)
        # Then only the one is announced as new
        heard = told.until(lambda events: len([e for e in events if e.type == "sync"]) > 1)
    assert sorted(event.count for event in heard if event.type == "sync") == [0, 1]
    assert set(stored(runtime, account)) == {"old", "fresh"}
    assert audited_at(runtime, account) is not None


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30))), st.integers(1, 30))
def test_ranges_are_taken_as_the_sets_they_are(some: list[tuple[int, int]], first: int) -> None:
    ranges = sorted((min(one), max(one)) for one in some)
    told = {uid for low, high in ranges for uid in range(low, high + 1)}
    assert within(ranges, first, 20) == {uid for uid in told if first <= uid <= 20}


def test_ranges_that_a_server_repeats_without_end_are_counted_out_once() -> None:
    # As many as fit into one line, each as long as a page may be: one by one they take minutes.
    assert len(within([(1, 2**32 - 1)] * 100_000, 1, 80_000)) == 80_000


def test_labels_that_were_lost_are_placed_again_and_labels_are_never_opened(
    runtime: Runtime, add_account: Accounts, user: MailUser, drift: Drift
) -> None:
    # Given an account of Gmail's kind, whose labels are told by All Mail
    with fake_gmail() as server:
        server.add(letter("one"))
        account = add_account.add(user, host=server.imap.host, port=server.imap.port)
        with transaction(runtime.pool) as connection:
            account = accounts.set_scope(connection, account, ["*"], account.window_days)
        run_sync(runtime, account)
        assert "INBOX" in stored(runtime, account)["one"].mailboxes
        # And a label's placement that was deleted
        execute(
            runtime,
            "DELETE FROM placement USING mailbox WHERE mailbox.id = mailbox_id AND name = 'INBOX'",
        )
        assert run_sync(runtime, account) == []
        # When the account is audited
        assert kinds(run_audit(runtime, account)) == ["flags"]
    # Then it lies there again
    assert "INBOX" in stored(runtime, account)["one"].mailboxes
    assert drift() == {"flags": 1}
