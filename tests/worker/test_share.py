"""A watcher's share: even, steady, and handed over."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from postwire.errors import NoFreeConnection
from postwire.model import AccountId
from postwire.store import processes
from postwire.store.pool import Pool, make_pool, transaction
from postwire_worker import share as module
from postwire_worker.budget import Budget
from postwire_worker.share import STEADY, Share
from support import rows
from support.rows import let_time_pass


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 4)
    yield pool
    pool.close()


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round gives a sign of life."""
    monkeypatch.setattr(module, "BEAT", 0.0)


def actives(store: Pool, number: int) -> set[AccountId]:
    return {rows.active(store, "ann", f"{time.monotonic_ns()}@x").id for _ in range(number)}


def shares(store: Pool, *names: str, limit: int = 99) -> list[Share]:
    return [Share(store, name, limit) for name in names]


def watched_by(share: Share) -> set[AccountId]:
    """What it watches after one more round; its servers are quick."""
    with transaction(share._pool) as connection:
        ids = [AccountId(id_) for (id_,) in connection.execute("SELECT id FROM account")]
    return {account.id for account in share.round(ids)}


def go_round(shares: list[Share], times: int = 1) -> list[set[AccountId]]:
    """What each of them watches after so many rounds of all."""
    watched: list[set[AccountId]] = []
    for _ in range(times):
        watched = [watched_by(share) for share in shares]
    return watched


def sizes(shares: list[Share], times: int = 1) -> list[int]:
    return [len(watched) for watched in go_round(shares, times)]


def unwatched() -> float | None:
    return REGISTRY.get_sample_value("postwire_unwatched_accounts")


def test_accounts_are_shared_out_evenly(store: Pool) -> None:
    # Given three watchers that come at the same time, and seven accounts
    ids = actives(store, 7)
    all_ = shares(store, "one", "two", "three")
    for share in all_:
        share._beat()
    # Then each watches at most its share, all are watched, and so it stays
    watched = go_round(all_)
    assert sorted(map(len, watched)) == [1, 3, 3]
    assert set.union(*watched) == ids
    assert go_round(all_, 10) == watched
    # And a new account goes to the one with room
    actives(store, 1)
    assert sorted(sizes(all_)) == [2, 3, 3]


def test_a_new_watcher_gets_its_part_some_at_a_time(
    store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a watcher that holds ten accounts, and gives back at most two at a time
    monkeypatch.setattr(module, "GIVEN", 2)
    ids = actives(store, 10)
    (one,) = shares(store, "one")
    assert sizes([one]) == [10]

    # When another comes
    (two,) = shares(store, "two")
    watched_by(two)
    history = [go_round([one, two]) for _ in range(STEADY + 4)]

    # Then nothing moves until it has stayed for some rounds, and then some at a time
    assert [len(watched) for _, watched in history] == [0] * (STEADY - 1) + [2, 4, 5, 5, 5]
    # And at each moment each account is watched by one of them
    assert all(mine | yours == ids for mine, yours in history)
    # And what was given is watched no more once the other one has it
    assert sizes([one, two], 3) == [5, 5]


def test_a_watcher_that_comes_and_goes_moves_nothing(store: Pool) -> None:
    # Given a watcher that holds all
    actives(store, 4)
    (one,) = shares(store, "one")
    assert sizes([one]) == [4]
    for n in range(3):
        # When others come and go
        (other,) = shares(store, f"brief{n}")
        for _ in range(STEADY - 1):
            assert sizes([other, one]) == [0, 4]
        other.leave()
        # Then nothing was given to them
        assert sizes([one]) == [4]


def test_what_nobody_takes_is_watched_on(store: Pool) -> None:
    # Given a watcher with too many, and another that is alive but takes none
    ids = actives(store, 4)
    (one,) = shares(store, "one")
    watched_by(one)
    (two,) = shares(store, "two")
    two._beat()
    # When it has given back what is too much
    # Then it watches all as long as nobody took them
    assert go_round([one], STEADY + 2) == [ids]
    # And only its own after that
    watched_by(two)
    assert sizes([one, two]) == [2, 2]


def test_a_watcher_that_dies_is_replaced(store: Pool) -> None:
    # Given two watchers
    ids = actives(store, 6)
    one, two = shares(store, "one", "two")
    two._beat()
    assert sizes([one, two]) == [3, 3]
    # When one gives no sign of life
    let_time_pass(store, processes.LEASE + 1)
    # Then the other has all with its next round
    assert go_round([two]) == [ids]
    # And the first has nothing when it comes back, until it is given its part
    assert sizes([one]) == [0]
    assert sizes([two, one], STEADY) == [6, 3]


def test_more_accounts_than_there_is_room_for_are_counted(store: Pool) -> None:
    # Given room for four, and six accounts
    actives(store, 6)
    both = shares(store, "one", "two", limit=2)
    assert sizes(both, 2) == [2, 2]
    # Then two are known to be unwatched
    watched_by(both[0])
    assert unwatched() == 2
    # And none once there is room
    (third,) = shares(store, "three")
    watched_by(third)
    assert sizes([*both, third]) == [2, 2, 2]
    assert unwatched() == 0


def test_what_is_handed_over_is_watched_until_others_have_it(store: Pool) -> None:
    # Given two watchers
    ids = actives(store, 6)
    one, two = shares(store, "one", "two")
    two._beat()
    first, _ = go_round([one, two])
    # When one leaves
    one.leave()
    one.leave()
    # Then it goes on until the other has all, and has connected
    assert go_round([one]) == [first]
    assert {account.id for account in two.round(ids - first)} == ids
    assert go_round([one]) == [first]
    assert go_round([two, one]) == [ids, set()]
    # And takes nothing more
    two.leave()
    assert sizes([one]) == [0]


def test_the_connections_of_who_leaves_count_until_it_ends(store: Pool) -> None:
    # Given two watchers, of which one has all the connections of an account
    one, two = shares(store, "one", "two")
    account = rows.active(store)
    one.round(())
    two.round(())
    assert Budget(store, "one", 1).claim(account, "manual")
    # When it leaves
    one.leave()
    # Then they are its own until it ends
    with pytest.raises(NoFreeConnection):
        Budget(store, "two", 1).claim(account, "manual")
    one.end()
    assert Budget(store, "two", 1).claim(account, "manual")


def test_the_last_watcher_waits_for_nobody(store: Pool) -> None:
    actives(store, 2)
    (one,) = shares(store, "one")
    watched_by(one)
    one.leave()
    assert sizes([one]) == [0]


def test_one_that_can_give_no_sign_of_life_doubts_before_others_take_over(
    store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a watcher
    now = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    (one,) = shares(store, "one")
    assert one.doubtful
    watched_by(one)
    assert not one.doubtful
    # When it is silent for almost as long as makes it seem dead
    now += processes.LEASE - 1
    # Then it doubts, until it has given a sign again
    assert one.doubtful
    watched_by(one)
    assert not one.doubtful


def test_a_sign_of_life_is_given_now_and_then_not_in_each_round(
    store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given some time between two signs
    monkeypatch.setattr(module, "BEAT", 60.0)
    (one,) = shares(store, "one")

    def ends() -> object:
        with transaction(store) as connection:
            return connection.execute("SELECT expires_at FROM process").fetchone()

    watched_by(one)
    before = ends()
    # Then the next round gives none
    watched_by(one)
    assert ends() == before
