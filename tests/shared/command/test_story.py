"""The story of an account in each of its states, from rows as the real store writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from postwire.command import story
from postwire.credentials import make_keyring
from postwire.model import Account, Cursor, JobId, SetAside
from postwire.store import accounts, connections, inspection, jobs, leases, mailboxes, processes
from postwire.store.connections import SlotId
from postwire.store.pool import Pool, make_pool, transaction
from support import rows

KEYRING = make_keyring(f"k1:{'A' * 43}=")
SLOT = SlotId("3f0c2f6e-5d43-4c55-9d0e-2f9f0b0b8a11")


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def told(store: Pool, account: Account) -> dict[str, str]:
    """Each heading with its sentences."""
    with transaction(store) as connection:
        facts = inspection.facts(connection, inspection.find_account(connection, account.id))
        return {heading: "\n".join(sentences) for heading, sentences in story.tell(facts)}


def change(store: Pool, account: Account, **columns: object) -> None:
    with transaction(store) as connection:
        for column, value in columns.items():
            connection.execute(
                f"UPDATE account SET {column} = {value} WHERE id = %s",  # type: ignore[arg-type]  # noqa: S608
                [account.id],
            )


def beat(store: Pool, holder: str = "w1", kind: processes.Kind = "watcher") -> None:
    with transaction(store) as connection:
        processes.beat(connection, holder, kind)


def failing(store: Pool, account: Account, *, times: int) -> JobId:
    """A job of the account whose first attempts failed."""
    with transaction(store) as connection:
        asked = jobs.ask(connection, account.id, account.user_id, "auto")
        for _ in range(times):
            job = jobs.claim(connection, asked.id, "worker")
            assert job
            jobs.put_off(connection, job, "worker", "The mail server broke the connection off.", 0)
    return asked.id


def test_one_that_is_active_and_watched(store: Pool) -> None:
    # Given an account that a live watcher has in IDLE, and that was synced and audited
    account = rows.active(store)
    box = rows.mailbox(store, account)
    rows.store_batch(store, rows.batch(box, rows.incoming(1), rows.incoming(2)))
    beat(store)
    with transaction(store) as connection:
        leases.claim(connection, "w1", 1)
        leases.mark_watched(connection, "w1", [account.id])
        connections.claim(connection, SLOT, account, "w1", "idle", account_limit=3, host_limit=None)
        accounts.looked_at(connection, account.id)
        mailboxes.checked(connection, account.id)
        connection.execute("UPDATE mailbox SET messages = 3, highestmodseq = 77")
    said = told(store, account)
    # Then that is what is told
    assert said["state"].startswith("active since ")
    assert said["watched by"].startswith("w1 since ")
    assert "not connected" not in said["watched by"]
    assert said["connections"].startswith("idle, since ")
    assert said["next"].startswith("a sync at ")
    assert said["next"].endswith("by its schedule, every 30 seconds")
    inbox, cursor, checked = said["mailboxes"].splitlines()
    assert inbox == "INBOX: 2 stored, 3 on the server, 0 set aside; no window"
    assert "uidvalidity 1, uidnext 3, window filled, modseq 77" in cursor
    assert checked.startswith("  checked 2")


def test_one_whose_login_was_refused(store: Pool) -> None:
    account = rows.active(store)
    with transaction(store) as connection:
        accounts.set_state(connection, account, "auth_failed", "The mail server refused it.")
    said = told(store, account)
    assert said["state"].startswith("auth_failed since ")
    assert "because: The mail server refused it." in said["state"]
    assert said["next"] == "nothing: no login is tried until its user enters the credential again"
    assert "only accounts that are active or unreachable" in said["watched by"]


def test_one_that_is_unreachable_and_waits_longer_and_longer(store: Pool) -> None:
    # Given an account of which three jobs have failed
    account = rows.active(store)
    with transaction(store) as connection:
        accounts.set_state(connection, account, "unreachable", "There is no server of that name.")
    failing(store, account, times=jobs.ATTEMPTS)
    change(store, account, failures=3)
    beat(store)
    said = told(store, account)
    # Then the story has the interval, and why
    assert said["state"].splitlines()[0].startswith("unreachable since ")
    assert "failed jobs in a row: 3" in said["state"]
    assert "but now every 4 minutes, as 3 jobs have failed in a row" in said["next"]
    failed, why = said["jobs"].splitlines()
    assert failed.startswith("failed 2")
    assert failed.endswith("auto, found 0, 3 of 3 attempts failed")
    assert why == "  because: The mail server broke the connection off."
    assert "none of 1 live watchers has claimed it yet" in said["watched by"]


def test_one_between_two_attempts(store: Pool) -> None:
    account = rows.active(store)
    failing(store, account, times=1)
    said = told(store, account)
    assert said["next"].startswith("attempt 2 of 3 of a job at 2")
    assert said["next"].endswith(
        "after: The mail server broke the connection off.; "
        "NO SYNC-WORKER IS ALIVE that could run it"
    )


def test_one_whose_server_wants_to_be_left_alone(store: Pool) -> None:
    account = rows.active(store)
    with transaction(store) as connection:
        accounts.leave_alone(connection, account.id, 300, "It slows this account down.")
        jobs.ask(connection, account.id, account.user_id, "auto")
    said = told(store, account)
    assert "because: It slows this account down." in said["state"]
    assert said["next"].startswith("no login before ")
    assert said["next"].endswith("(in 5 minutes): the mail server asked for that")


def test_one_that_is_paused(store: Pool) -> None:
    account = rows.active(store)
    with transaction(store) as connection:
        accounts.pause(connection, account.user_id, account.id)
    said = told(store, account)
    assert said["state"].startswith("paused since ")
    assert said["next"] == "nothing: it is paused, until its user resumes it"


def test_one_whose_first_sync_is_under_way(store: Pool) -> None:
    # Given a mailbox of which the newest are stored, and one of them set aside, while a job runs
    account = rows.active(store)
    box = rows.mailbox(store, account)
    batch = rows.batch(box, rows.incoming(900), rows.incoming(901))
    after = replace(batch.after, backfill_uid=900)
    aside = (SetAside(902, "It cannot be read."),)
    rows.store_batch(store, replace(batch, after=after, set_aside=aside))
    beat(store, "worker", "sync-worker")
    with transaction(store) as connection:
        asked = jobs.ask(connection, account.id, account.user_id, "manual")
        assert jobs.claim(connection, asked.id, "worker:1")
    said = told(store, account)
    # Then it says how far it is
    assert "its first sync is under way" in said["state"]
    assert said["next"].startswith("a job runs, since ")
    inbox, cursor, checked = said["mailboxes"].splitlines()
    assert inbox == "INBOX: 2 stored, unknown on the server, 1 set aside; no window"
    assert "filled down to UID 900" in cursor
    assert checked == "  checked never"


def test_why_nobody_watches_it(store: Pool) -> None:
    account = rows.active(store)
    assert told(store, account)["watched by"] == "nobody: NO WATCHER IS ALIVE"
    assert "NO WATCHER IS ALIVE that could ask for it" in told(store, account)["next"]
    # Given one that claimed it, and has not connected yet
    beat(store)
    with transaction(store) as connection:
        leases.claim(connection, "w1", 1)
        connections.claim(connection, SLOT, account, "w1", "idle", account_limit=3, host_limit=None)
    assert told(store, account)["watched by"].endswith("; it has not connected yet")
    # And that died
    rows.let_time_pass(store, 60)
    beat(store, "w2")
    said = told(store, account)
    assert said["watched by"] == "nobody: w1 is dead; another takes over within seconds"
    assert "by w1 (which is dead: it does not count)" in said["connections"]


def test_one_without_a_schedule_or_a_job(store: Pool) -> None:
    account = rows.active(store)
    change(store, account, sync_every="NULL")
    assert told(store, account)["next"].startswith("nothing by itself: it has no schedule")
    lost = rows.account(store, address="lost@example.com")
    said = told(store, lost)
    assert "the job that was to do so is gone" in said["next"]
    assert said["mailboxes"] == "none yet: no sync has got so far"
    assert said["jobs"].startswith("none: ")


def test_a_mailbox_that_is_left_alone_and_one_that_is_a_label(store: Pool) -> None:
    account = rows.active(store)
    whole = rows.mailbox(store, account, "All Mail")
    label = rows.mailbox(store, account, "Work")
    with transaction(store) as connection:
        mailboxes.turn(connection, label, whole.id)
        connection.execute(
            "UPDATE mailbox SET parked_at = now(), problem = 'Numbered anew too often.'"
            " WHERE id = %s",
            [whole.id],
        )
    said = told(store, account)["mailboxes"]
    assert "LEFT ALONE since " in said
    assert "problem: Numbered anew too often." in said
    assert "a label: All Mail tells what lies in it" in said


def test_what_the_credential_is_sealed_with(store: Pool) -> None:
    account = rows.active(store)
    assert told(store, account)["credential"] == (
        "password, sealed with the key (none that is known)"
    )
    sealed = KEYRING.seal(account.id, "secret").hex()
    change(store, account, credential=f"'\\x{sealed}'", oauth_provider="'google'")
    assert told(store, account)["credential"] == "access by google, sealed with the key k1"


def test_when_it_is_audited(store: Pool) -> None:
    account = rows.active(store)
    assert "none is planned yet" in told(store, account)["audit"]
    with transaction(store) as connection:
        connection.execute(
            "INSERT INTO audit (account_id, due_at) VALUES (%s, now())", [account.id]
        )
    assert "next with the first scheduled sync after " in told(store, account)["audit"]
    with transaction(store) as connection:
        connection.execute("UPDATE audit SET mailbox_id = 7, uid = 2000")
    assert "one has begun" in told(store, account)["audit"]


def test_a_cursor_is_told_as_it_is() -> None:
    # The words hang on what 0 means here.
    assert Cursor(uidvalidity=1, uidnext=1, backfill_uid=0) == rows.START
