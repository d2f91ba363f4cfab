"""Leases: one watcher an account, and none for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from postwire.model import AccountId
from postwire.store import accounts, leases
from postwire.store.pool import Pool, transaction
from support import rows


def claim(store: Pool, holder: str, limit: int = 99) -> set[AccountId]:
    with transaction(store) as connection:
        return set(leases.claim(connection, holder, limit))


def renew(store: Pool, holder: str) -> set[AccountId]:
    with transaction(store) as connection:
        return {account.id for account in leases.renew(connection, holder)}


def let_time_pass(store: Pool, seconds: int) -> None:
    with transaction(store) as connection:
        connection.execute(
            "UPDATE lease SET expires_at = expires_at - make_interval(secs => %s)", [seconds]
        )


def fence(store: Pool, id_: AccountId) -> int:
    with transaction(store) as connection:
        row = connection.execute("SELECT fence FROM lease WHERE account_id = %s", [id_]).fetchone()
    assert row is not None
    return int(row[0])


def test_an_account_is_leased_to_one_watcher(store: Pool) -> None:
    # Given accounts, and watchers that claim at once
    ids = {rows.active(store, "ann", f"{n}@example.com").id for n in range(20)}
    with ThreadPoolExecutor(6) as threads:
        claimed = list(threads.map(lambda n: claim(store, f"w{n}"), range(6)))
    # Then each account has one of them; what a race left over goes to the next who asks
    taken = [id_ for some in claimed for id_ in some]
    assert len(taken) == len(set(taken))
    assert set(taken) | claim(store, "late") == ids


def test_a_watcher_takes_no_more_than_it_can_hold(store: Pool) -> None:
    # Given three accounts
    for n in "abc":
        rows.active(store, "ann", f"{n}@example.com")
    # Then each watcher takes what it has room for
    assert len(claim(store, "one", 2)) == 2
    assert len(claim(store, "two", 2)) == 1
    assert claim(store, "three", 2) == set()


def test_a_lease_that_is_renewed_lasts_and_one_that_is_not_ends(store: Pool) -> None:
    # Given a lease
    id_ = rows.active(store).id
    assert claim(store, "one") == {id_}
    # When it is renewed in time, it lasts
    let_time_pass(store, leases.LEASE - 1)
    assert renew(store, "one") == {id_}
    let_time_pass(store, leases.LEASE - 1)
    assert claim(store, "two") == set()
    # When it is not, another watcher takes it, and its fence is higher
    before = fence(store, id_)
    let_time_pass(store, 2)
    assert claim(store, "two") == {id_}
    assert fence(store, id_) == before + 1
    # And the first one has nothing to renew
    assert renew(store, "one") == set()


def test_what_is_released_can_be_claimed_at_once(store: Pool) -> None:
    # Given a watcher that ends
    id_ = rows.active(store).id
    claim(store, "one")
    with transaction(store) as connection:
        leases.release(connection, "one")
    # Then nobody waits for its leases
    assert claim(store, "two") == {id_}


def test_only_accounts_that_a_login_is_tried_for_are_watched(store: Pool) -> None:
    # Given an account that works, one that is new, one that is paused and one that is refused
    works, paused, refused = (rows.active(store, "ann", f"{n}@example.com") for n in "abc")
    rows.account(store, "ann", "new@example.com")
    assert claim(store, "one") == {works.id, paused.id, refused.id}
    with transaction(store) as connection:
        accounts.pause(connection, "ann", paused.id)
        accounts.set_state(connection, refused, "auth_failed", "No.")
    # Then the others fall out at the next renewal, and nobody takes them up
    assert renew(store, "one") == {works.id}
    let_time_pass(store, leases.LEASE + 1)
    assert claim(store, "two") == {works.id}
