"""Messages at which the connection breaks, on a real Dovecot behind a relay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from worker.conftest import Accounts
from worker.test_aside import listed, retry_now
from worker.test_sync import run, subjects

from postwire.errors import ConnectionLost
from postwire.model import Account
from postwire_worker.runtime import Runtime
from support.mailbox import MailUser, letter
from support.relay import Relay, relay

#: Subjects of a mailbox; the connection breaks at what holds `poison`.
SUBJECTS = [*(f"before {n}" for n in range(12)), "poison", *(f"after {n}" for n in range(12))]


@pytest.fixture
def way(user: MailUser) -> Iterator[Relay]:
    """The way to the mail server."""
    with relay(user.server.port) as made:
        yield made


@pytest.fixture
def account(add_account: Accounts, user: MailUser, way: Relay) -> Account:
    """An account with a poisonous message in the middle."""
    user.append(*(letter(subject) for subject in SUBJECTS))
    return add_account.add(user, host="127.0.0.1", port=way.port)


def breaking_at(*words: bytes) -> Callable[[bytes], tuple[bytes, bool]]:
    """The connection ends instead of a message with one of the words."""
    return lambda said: (b"", True) if any(word in said for word in words) else (said, False)


def runs_until_done(runtime: Runtime, account: Account, most: int) -> int:
    """How many syncs broke off before one that came to its end."""
    for broken in range(most):
        try:
            run(runtime, account)
        except ConnectionLost:
            continue
        return broken
    raise AssertionError(f"{most} syncs broke off")


@pytest.mark.parametrize("arrives_later", [False, True])
def test_a_message_that_breaks_the_connection_each_time_is_set_aside_and_stops_nothing(
    runtime: Runtime, account: Account, way: Relay, user: MailUser, *, arrives_later: bool
) -> None:
    # Given that it lies among older mail, or arrives with others
    if arrives_later:
        run(runtime, account)
        user.append(*(letter(f"later {subject}") for subject in SUBJECTS))
    way.alters = breaking_at(b"poison")
    wanted = [s for s in SUBJECTS if s != "poison"]
    wanted += [f"later {s}" for s in wanted] + ["poison"] if arrives_later else []

    # When it is synced as often as a job is tried, and once more
    broken = runs_until_done(runtime, account, 4)

    # Then all others are there, and it is set aside
    assert broken
    assert sorted(subjects(runtime, account)) == sorted(wanted)
    (aside,) = listed(runtime, account)
    assert aside.error == "The connection to the mail server breaks whenever this message is read."
    # And the next sync does not break
    run(runtime, account)


def test_it_is_stored_when_it_can_be_read_at_last(
    runtime: Runtime, account: Account, way: Relay
) -> None:
    way.alters = breaking_at(b"poison")
    runs_until_done(runtime, account, 4)
    way.alters = breaking_at()
    retry_now(runtime, account)
    run(runtime, account)
    assert sorted(subjects(runtime, account)) == sorted(SUBJECTS)
    assert listed(runtime, account) == []


def test_one_of_several_set_aside_keeps_none_of_the_others_from_being_mended(
    runtime: Runtime, account: Account, way: Relay
) -> None:
    # Given two messages set aside, of which the first still breaks the connection
    way.alters = breaking_at(b"poison", b"after 3")
    runs_until_done(runtime, account, 8)
    assert len(listed(runtime, account)) == 2
    way.alters = breaking_at(b"poison")
    retry_now(runtime, account)

    # When both are tried again
    runs_until_done(runtime, account, 2)

    # Then the second is stored, and only the first left
    assert "after 3" in subjects(runtime, account)
    assert len(listed(runtime, account)) == 1


def test_a_connection_that_breaks_once_sets_nothing_aside(
    runtime: Runtime, account: Account, way: Relay, user: MailUser
) -> None:
    # Given one new message
    run(runtime, account)
    user.append(letter("single poison"), received=datetime.now(UTC) - timedelta(minutes=1))
    way.alters = breaking_at(b"poison")
    # When the connection breaks while it is read
    with pytest.raises(ConnectionLost):
        run(runtime, account)
    # Then it is read by the next sync, and announced as new
    way.alters = breaking_at()
    assert [one.stored.inbound for one in run(runtime, account) if one.kind == "new"] == [1]
    assert listed(runtime, account) == []
