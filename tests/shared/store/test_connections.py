"""Slots for connections: never more than the limits, whoever claims them, and none lost."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from postwire.errors import NoFreeConnection
from postwire.model import Account
from postwire.store import connections, processes
from postwire.store.connections import Purpose, SlotId
from postwire.store.pool import Pool, transaction
from support import rows
from support.rows import let_time_pass


def beat(store: Pool, *holders: str) -> None:
    for holder in holders:
        with transaction(store) as connection:
            processes.beat(connection, holder, "sync-worker")


def claim(
    store: Pool,
    account: Account,
    purpose: Purpose = "sync",
    *,
    holder: str = "one",
    account_limit: int = 100,
    host_limit: int | None = None,
) -> SlotId:
    slot = SlotId(str(uuid.uuid4()))
    with transaction(store) as connection:
        connections.claim(
            connection,
            slot,
            account,
            holder,
            purpose,
            account_limit=account_limit,
            host_limit=host_limit,
        )
    return slot


def give_back(store: Pool, *slots: SlotId) -> None:
    with transaction(store) as connection:
        connections.give_back(connection, slots)


def count(store: Pool) -> int:
    with transaction(store) as connection:
        row = connection.execute("SELECT count(*) FROM imap_connection").fetchone()
    return int(row[0]) if row else 0


def claim_all(
    store: Pool, account: Account, purpose: Purpose, limit: int, *, by: str = "host"
) -> int:
    """How many there are until there is none."""
    for number in range(99):
        try:
            if by == "host":
                claim(store, account, purpose, host_limit=limit)
            else:
                claim(store, account, purpose, account_limit=limit)
        except NoFreeConnection:
            return number
    raise AssertionError("there is no limit")


def test_an_account_has_so_many_and_another_has_its_own(store: Pool) -> None:
    # Given an account with two connections of two, held by two processes
    beat(store, "one", "two")
    ann, bob = rows.account(store), rows.account(store, "bob", "bob@example.com")
    first = claim(store, ann, account_limit=2)
    claim(store, ann, "attachment", holder="two", account_limit=2)
    # When there is to be another
    # Then there is none, which is said in words
    with pytest.raises(NoFreeConnection, match=r"^Waiting for a free connection to imap\.e.*m\.$"):
        claim(store, ann, account_limit=2)
    # And there is for another account, and once one is given back
    claim(store, bob, account_limit=2)
    give_back(store, first)
    claim(store, ann, account_limit=2)


def test_a_host_has_so_many_for_all_accounts(store: Pool) -> None:
    # Given two accounts of one host, however its name is written, that has two
    beat(store, "one", "two")
    ann, bob = rows.account(store), rows.account(store, "bob", "bob@example.com")
    claim(store, ann, "manual", host_limit=2)
    last = claim(store, replace(bob, host="IMAP.example.com"), "manual", holder="two", host_limit=2)
    # When there is to be a third
    # Then there is none
    with pytest.raises(NoFreeConnection) as caught:
        claim(store, ann, "manual", host_limit=2)
    assert caught.value.scope == "host"
    # And there is at another host, and once one is given back
    claim(store, replace(ann, host="imap.other.example"), "manual", host_limit=2)
    give_back(store, last)
    claim(store, ann, "manual", host_limit=2)


@pytest.mark.parametrize(
    ("limit", "idle", "sync", "manual"),
    [(1, 0, 1, 1), (2, 0, 1, 2), (4, 2, 3, 4), (10, 8, 9, 10), (15, 11, 13, 15), (50, 40, 45, 50)],
)
def test_what_matters_more_finds_a_connection_where_the_rest_has_none(
    store: Pool, limit: int, idle: int, sync: int, manual: int
) -> None:
    # Given a host with all the IDLE it may have
    beat(store, "one")
    account = rows.account(store)
    assert claim_all(store, account, "idle", limit) == idle
    # Then there are some for the machine's syncs, and some more for people
    assert idle + claim_all(store, account, "sync", limit) == sync
    assert sync + claim_all(store, account, "manual", limit) == manual
    assert claim_all(store, account, "attachment", limit) == 0


@pytest.mark.parametrize("limit", [1, 3, 9])
def test_idle_leaves_one_of_an_account(store: Pool, limit: int) -> None:
    beat(store, "one")
    account = rows.account(store)
    assert claim_all(store, account, "idle", limit, by="account") == limit - 1
    assert claim_all(store, account, "sync", limit, by="account") == 1


@pytest.mark.parametrize("host_limit", [4, None])
def test_many_who_claim_at_once_never_have_more(store: Pool, host_limit: int | None) -> None:
    # Given eight threads that claim, hold and give back, one account each or all the same one
    beat(store, *map(str, range(8)))
    accounts = [rows.account(store, "ann", f"ann{n}@example.com") for n in range(8)]
    have, most, got, lock = 0, 0, 0, threading.Lock()
    begin = threading.Barrier(8)

    def work(n: int) -> None:
        nonlocal have, most, got
        begin.wait(10)
        for _ in range(40):
            account = accounts[n if host_limit else 0]
            try:
                slot = claim(
                    store,
                    account,
                    "manual",
                    holder=str(n),
                    account_limit=4,
                    host_limit=host_limit,
                )
            except NoFreeConnection:
                continue
            with lock:
                have, got = have + 1, got + 1
                most = max(most, have)
            time.sleep(0.01)
            with lock:
                have -= 1
            give_back(store, slot)

    # When they all do
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))

    # Then there were never more than four, and all are back
    assert most == 4
    assert got > 40
    assert count(store) == 0


def test_what_a_dead_process_held_is_free(store: Pool) -> None:
    # Given a process that holds all there are
    beat(store, "one", "two")
    account = rows.account(store)
    claim(store, account, holder="one", account_limit=1)
    # When it gives no sign of life, and another does
    let_time_pass(store, processes.LEASE - 1)
    beat(store, "two")
    with pytest.raises(NoFreeConnection):
        claim(store, account, holder="two", account_limit=1)
    let_time_pass(store, 1)
    beat(store, "two")
    # Then they are free once it counts as dead
    claim(store, account, holder="two", account_limit=1)


def test_who_was_only_silent_still_holds_what_it_held(store: Pool) -> None:
    # Given a process that gave no sign of life for some time
    beat(store, "one", "two")
    account = rows.account(store)
    claim(store, account, holder="one", account_limit=1)
    let_time_pass(store, processes.LEASE + 1)
    with transaction(store) as connection:
        connections.forget_dead(connection)
    # When it does again
    beat(store, "one", "two")
    # Then its connection counts
    with pytest.raises(NoFreeConnection):
        claim(store, account, holder="two", account_limit=1)


def test_what_long_dead_processes_held_is_forgotten(store: Pool) -> None:
    # Given the connections of a process that died, and of one that lives
    account = rows.account(store)
    beat(store, "one")
    claim(store, account, holder="one")
    let_time_pass(store, processes.LEASE + 70)
    beat(store, "two")
    claim(store, account, holder="two")
    # When what is dead is forgotten, by several at once
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(forget_dead, store) for _ in range(4)]:
            done.result(10)
    # Then the living one's is left
    assert count(store) == 1


def forget_dead(store: Pool) -> None:
    with transaction(store) as connection:
        connections.forget_dead(connection)
