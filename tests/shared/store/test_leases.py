"""Leases: one watcher an account, for as long as it is alive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from postwire.model import AccountId
from postwire.store import accounts, leases, processes
from postwire.store.leases import Standing
from postwire.store.pool import Pool, transaction
from support import rows
from support.rows import let_time_pass


def beat(store: Pool, holder: str) -> None:
    with transaction(store) as connection:
        processes.beat(connection, holder, "watcher")


def claim(store: Pool, holder: str, limit: int = 99) -> set[AccountId]:
    beat(store, holder)
    with transaction(store) as connection:
        return set(leases.claim(connection, holder, limit))


def held(store: Pool, holder: str) -> set[AccountId]:
    with transaction(store) as connection:
        return {account.id for account in leases.held(connection, holder)}


def give_back(store: Pool, holder: str, limit: int | None = None) -> set[AccountId]:
    with transaction(store) as connection:
        return leases.give_back(connection, holder, limit)


def standing(store: Pool, holder: str) -> Standing:
    with transaction(store) as connection:
        return leases.standing(connection, holder)


def mark_watched(store: Pool, holder: str, ids: set[AccountId]) -> None:
    with transaction(store) as connection:
        leases.mark_watched(connection, holder, ids)


def unwatched(store: Pool, ids: set[AccountId]) -> set[AccountId]:
    with transaction(store) as connection:
        return {account.id for account in leases.unwatched(connection, ids)}


def fence(store: Pool, id_: AccountId) -> int:
    with transaction(store) as connection:
        row = connection.execute("SELECT fence FROM lease WHERE account_id = %s", [id_]).fetchone()
    assert row is not None
    return int(row[0])


def actives(store: Pool, number: int) -> set[AccountId]:
    return {rows.active(store, "ann", f"{n}@example.com").id for n in range(number)}


def test_an_account_is_leased_to_one_watcher(store: Pool) -> None:
    # Given accounts, and watchers that claim at once
    ids = actives(store, 20)
    with ThreadPoolExecutor(6) as threads:
        claimed = list(threads.map(lambda n: claim(store, f"w{n}"), range(6)))
    # Then each account has one of them; what a race left over goes to the next who asks
    taken = [id_ for some in claimed for id_ in some]
    assert len(taken) == len(set(taken))
    assert set(taken) | claim(store, "late") == ids


def test_those_who_claim_at_once_do_not_wait_for_each_other(store: Pool) -> None:
    # Given accounts that a watcher is about to claim some of
    ids = actives(store, 4)
    give_back(store, "old") or claim(store, "old")
    give_back(store, "old")
    with transaction(store) as connection:
        processes.beat(connection, "one", "watcher")
    with transaction(store) as connection:
        some = set(leases.claim(connection, "one", 2))
        # When another claims meanwhile
        others = claim(store, "two")
    # Then it gets the others
    assert some | others == ids
    assert not some & others


def test_a_watcher_takes_no_more_than_it_can_hold(store: Pool) -> None:
    # Given three accounts
    actives(store, 3)
    # Then each watcher takes what it has room for
    assert len(claim(store, "one", 2)) == 2
    assert len(claim(store, "two", 2)) == 1
    assert claim(store, "three", 2) == set()


def test_a_lease_lasts_as_long_as_its_holder_is_alive(store: Pool) -> None:
    # Given a lease
    (id_,) = actives(store, 1)
    assert claim(store, "one") == {id_}
    before = fence(store, id_)
    # When its holder gives signs of life, it lasts, and nothing of it is written
    let_time_pass(store, processes.LEASE - 1)
    beat(store, "one")
    let_time_pass(store, processes.LEASE - 1)
    assert claim(store, "two") == set()
    assert fence(store, id_) == before
    # When it does not, another watcher takes it, and its fence is higher
    let_time_pass(store, 2)
    beat(store, "two")
    assert claim(store, "two") == {id_}
    assert fence(store, id_) == before + 1
    # And the first one holds nothing any more, though it comes back
    beat(store, "one")
    assert held(store, "one") == set()
    assert claim(store, "one") == set()


def test_one_that_comes_back_before_anybody_took_over_holds_what_it_held(store: Pool) -> None:
    (id_,) = actives(store, 1)
    claim(store, "one")
    let_time_pass(store, processes.LEASE + 1)
    beat(store, "one")
    assert held(store, "one") == {id_}


def test_what_is_given_back_can_be_claimed_at_once_the_newest_first(store: Pool) -> None:
    # Given a watcher that got accounts at two times
    ids = actives(store, 3)
    assert unwatched(store, ids) == ids
    early = claim(store, "one", 1)
    late = claim(store, "one", 2)
    assert early | late == ids
    mark_watched(store, "one", ids)
    assert unwatched(store, ids) == set()
    # When it gives some back
    # Then they are those it got last
    given = give_back(store, "one", 2)
    assert given == late
    assert held(store, "one") == early
    assert unwatched(store, ids) == late
    # And when it gives back all, nobody waits for its end
    assert give_back(store, "one") == early
    assert unwatched(store, ids) == ids
    assert claim(store, "two") == ids
    # And they are watched once the new holder says so; nobody else can say it
    mark_watched(store, "one", ids)
    assert unwatched(store, ids) == ids
    mark_watched(store, "two", early)
    assert unwatched(store, ids) == late


def test_it_is_known_how_things_stand(store: Pool) -> None:
    # Given five accounts, three of which are held, one of these by a watcher that died
    actives(store, 5)
    assert standing(store, "one") == Standing(accounts=5, free=5, own=0)
    claim(store, "dead", 1)
    let_time_pass(store, processes.LEASE + 1)
    with transaction(store) as connection:
        processes.beat(connection, "two", "watcher")
        leases.claim(connection, "two", 2)
    # Then they are counted as who asks sees them
    assert standing(store, "two") == Standing(accounts=5, free=3, own=2)
    assert standing(store, "one") == Standing(accounts=5, free=3, own=0)


def test_only_accounts_that_a_login_is_tried_for_are_watched(store: Pool) -> None:
    # Given an account that works, one that is new, one that is paused and one that is refused
    works, paused, refused = (rows.active(store, "ann", f"{n}@example.com") for n in "abc")
    rows.account(store, "ann", "new@example.com")
    assert claim(store, "one") == {works.id, paused.id, refused.id}
    with transaction(store) as connection:
        accounts.pause(connection, "ann", paused.id)
        accounts.set_state(connection, refused, "auth_failed", "No.")
    # Then the others are not to be watched any more, and nobody takes them up
    assert held(store, "one") == {works.id}
    assert standing(store, "one") == Standing(accounts=1, free=0, own=1)
    let_time_pass(store, processes.LEASE + 1)
    assert unwatched(store, {works.id, paused.id, refused.id}) == {works.id}
    assert claim(store, "two") == {works.id}


def test_leases_of_the_release_before_are_taken_over_and_ours_are_left_alone(store: Pool) -> None:
    # Given an account that a watcher of the release before holds, which has no row as a process
    (id_,) = actives(store, 1)
    with transaction(store) as connection:
        connection.execute(
            "INSERT INTO lease (account_id, holder, fence, expires_at)"
            " VALUES (%s, 'old', 7, now() + interval '12 s')",
            [id_],
        )
    # Then it is taken over
    assert claim(store, "new") == {id_}
    assert fence(store, id_) == 8
    # And to the release before, which looks at the end alone, it is held until it is given back
    with transaction(store) as connection:
        ends = "SELECT expires_at > now() + interval '1 h' FROM lease"
        assert connection.execute(ends).fetchone() == (True,)
        leases.give_back(connection, "new")
    with transaction(store) as connection:
        assert connection.execute("SELECT expires_at <= now() FROM lease").fetchone() == (True,)
