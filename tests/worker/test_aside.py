"""Messages set aside and tried again, on a real Dovecot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from worker.conftest import Accounts
from worker.test_sync import run, subjects

from postwire.model import Account
from postwire.store import set_aside
from postwire.store.pool import transaction
from postwire.store.set_aside import Aside
from postwire_worker import fetch as reading
from postwire_worker.runtime import Runtime
from support.mailbox import MailUser, letter


def listed(runtime: Runtime, account: Account) -> list[Aside]:
    with transaction(runtime.pool) as connection:
        return set_aside.list_of_account(connection, account.id, 10)


def retry_now(runtime: Runtime, account: Account) -> None:
    with transaction(runtime.pool) as connection:
        set_aside.make_due(connection, account.id)


@pytest.fixture
def age() -> timedelta:
    """How old the messages are."""
    return timedelta(hours=2)


@pytest.fixture
def poisoned(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    age: timedelta,
    monkeypatch: pytest.MonkeyPatch,
) -> Account:
    """An account with three messages, of which our reader could not read the middle one."""
    account = add_account.add(user)
    received = datetime.now(UTC) - age
    user.append(letter("one"), letter("poison"), letter("three"), received=received)
    headers = reading.mime.headers

    def break_down(block: bytes) -> object:
        if b"poison" in block:
            raise KeyError("no such thing")
        return headers(block)

    with monkeypatch.context() as broken:
        broken.setattr(reading.mime, "headers", break_down)
        run(runtime, account)
    return account


def test_a_message_that_breaks_our_reader_is_set_aside_with_its_bytes_and_stops_nothing(
    runtime: Runtime, poisoned: Account
) -> None:
    # Then the others are there, and it is kept with its error and its bytes
    assert sorted(subjects(runtime, poisoned)) == ["one", "three"]
    (aside,) = listed(runtime, poisoned)
    assert (aside.mailbox, aside.uid, aside.attempts) == ("INBOX", 2, 1)
    assert "KeyError" in aside.error
    with transaction(runtime.pool) as connection:
        raw = set_aside.get_raw(connection, poisoned.id, aside.mailbox_id, aside.uid)
    assert b"Subject: poison" in raw


def test_it_is_not_tried_before_its_time(runtime: Runtime, poisoned: Account) -> None:
    assert run(runtime, poisoned) == []
    assert [aside.attempts for aside in listed(runtime, poisoned)] == [1]


def test_what_can_be_read_at_last_is_stored_and_leaves_the_list(
    runtime: Runtime, poisoned: Account
) -> None:
    # When it is tried again, now that it can be read
    retry_now(runtime, poisoned)
    committed = run(runtime, poisoned)
    # Then it is stored, not announced as new, and nothing is set aside any more
    assert sorted(subjects(runtime, poisoned)) == ["one", "poison", "three"]
    assert [(one.kind, one.stored.new) for one in committed] == [("backfill", 1)]
    assert listed(runtime, poisoned) == []
    assert run(runtime, poisoned) == []


def test_the_first_try_comes_soon(runtime: Runtime, poisoned: Account) -> None:
    # Given a message that was set aside just now
    (aside,) = listed(runtime, poisoned)
    # Then it is tried again in a minute: it may have been the network
    assert 50 < (aside.retry_at - aside.at).total_seconds() < 70


@pytest.mark.parametrize("age", [timedelta(minutes=10)])
def test_what_came_just_now_is_news_though_it_was_set_aside(
    runtime: Runtime, poisoned: Account
) -> None:
    retry_now(runtime, poisoned)
    assert [(one.kind, one.stored.inbound) for one in run(runtime, poisoned)] == [("new", 1)]


def test_what_fails_again_waits_longer(
    runtime: Runtime, poisoned: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that it still cannot be read
    def break_down(_: bytes) -> object:
        raise ValueError

    monkeypatch.setattr(reading.mime, "headers", break_down)
    # When it is tried twice more
    retry_now(runtime, poisoned)
    run(runtime, poisoned)
    (second,) = listed(runtime, poisoned)
    retry_now(runtime, poisoned)
    run(runtime, poisoned)
    (third,) = listed(runtime, poisoned)
    # Then each try counts, the error is the last one, and the wait grows from an hour to a day
    assert (second.attempts, third.attempts) == (2, 3)
    assert "ValueError" in third.error
    assert 3000 < (second.retry_at - second.at).total_seconds() < 4000
    assert 80_000 < (third.retry_at - third.at).total_seconds() < 90_000


def test_what_is_gone_from_the_server_leaves_the_list(
    runtime: Runtime, poisoned: Account, user: MailUser
) -> None:
    # Given that it was expunged
    with user.session() as client:
        client.select_folder("INBOX")
        client.delete_messages([2])
        client.expunge()
    # When it is tried again
    retry_now(runtime, poisoned)
    run(runtime, poisoned)
    # Then there is nothing to try any more
    assert listed(runtime, poisoned) == []
