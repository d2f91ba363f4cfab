"""Processes: alive while they say so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from postwire.store import processes
from postwire.store.pool import Pool, transaction
from support.rows import let_time_pass


def beat(store: Pool, holder: str, kind: processes.Kind = "watcher") -> None:
    with transaction(store) as connection:
        processes.beat(connection, holder, kind)


def alive(store: Pool, kind: processes.Kind = "watcher") -> list[str]:
    with transaction(store) as connection:
        return processes.alive(connection, kind)


def count(store: Pool) -> int:
    with transaction(store) as connection:
        row = connection.execute("SELECT count(*) FROM process").fetchone()
    return int(row[0]) if row else 0


def test_a_process_is_alive_while_it_says_so(store: Pool) -> None:
    # Given two watchers and a worker
    beat(store, "one")
    beat(store, "two")
    beat(store, "three", "sync-worker")
    assert alive(store) == ["one", "two"]
    assert alive(store, "sync-worker") == ["three"]
    # When one of them says so again, and the others do not
    let_time_pass(store, processes.LEASE - 1)
    beat(store, "one")
    let_time_pass(store, 2)
    # Then only that one is alive
    assert alive(store) == ["one"]
    assert alive(store, "sync-worker") == []
    # And one that was thought dead may come back
    beat(store, "two")
    assert alive(store) == ["one", "two"]


def test_a_process_that_leaves_is_dead_at_once(store: Pool) -> None:
    beat(store, "one")
    with transaction(store) as connection:
        processes.leave(connection, "one")
    assert alive(store) == []


def test_long_dead_processes_are_forgotten(store: Pool) -> None:
    # Given processes that died
    for holder in "abc":
        beat(store, holder)
    let_time_pass(store, processes.LEASE + 30)
    beat(store, "d")
    assert count(store) == 4
    # When much time has passed, and several come back at once
    let_time_pass(store, processes.LEASE + 70)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda holder: beat(store, holder), "efgh"))
    # Then only those are left
    assert alive(store) == list("efgh")
    assert count(store) == 4


def test_a_clock_that_is_set_back_keeps_no_dead_process_alive(store: Pool) -> None:
    # Given two watchers, one of which dies before the database's clock is set back by an hour
    beat(store, "dead")
    beat(store, "alive")
    let_time_pass(store, -3600)
    # When the other one gives its next sign of life
    beat(store, "alive")
    # Then it alone counts
    assert alive(store) == ["alive"]
