"""The database's clock: seen to be set back, and nothing waits for it to catch up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from postwire.store import accounts, audits, jobs, wall_clock
from postwire.store.pool import Pool, transaction
from support import rows

HOUR = 3600.0


def show_ahead(store: Pool, seconds: float) -> None:
    """The clock has shown a time that has yet to come."""
    with transaction(store) as connection:
        connection.execute(
            "UPDATE wall_clock SET seen = now() + make_interval(secs => %s)", [seconds]
        )


def note(store: Pool) -> float:
    with transaction(store) as connection:
        return wall_clock.note(connection)


def test_a_clock_that_goes_on_is_not_set_back(store: Pool) -> None:
    assert [note(store), note(store)] == [0, 0]
    # Two that note it at the same time may do so in either order
    show_ahead(store, 2)
    assert note(store) == 0


def test_a_clock_that_was_set_back_is_found_once(store: Pool) -> None:
    show_ahead(store, HOUR)
    assert note(store) == pytest.approx(HOUR, abs=5)
    assert note(store) == 0


def test_nothing_waits_for_the_clock_to_catch_up(store: Pool) -> None:
    # Given what was put off while the clock was an hour ahead
    account = rows.active(store)
    with transaction(store) as connection:
        asked = jobs.ask(connection, account.id, account.user_id, "auto")
        audits.take_due(connection, account.id, timedelta(0))
        connection.execute("UPDATE account SET next_sync_at = now() + interval '1 h 30 s'")
        connection.execute("UPDATE job SET run_at = now() + interval '1 h'")
        connection.execute("UPDATE audit SET due_at = now() + interval '1 day 1 h'")
    # When it is set back
    with transaction(store) as connection:
        wall_clock.bring_nearer(connection, HOUR)
        # Then the job is due
        assert jobs.claim(connection, asked.id, "worker") is not None
        # And the others will be when they would have been
        left = connection.execute(
            """
            SELECT account.next_sync_at - now(), audit.due_at - now()
              FROM account JOIN audit ON audit.account_id = account.id
            """
        ).fetchone()
    assert left is not None
    schedule, audit = left
    assert timedelta(seconds=25) < schedule <= timedelta(seconds=30)
    assert timedelta(hours=23) < audit <= timedelta(hours=24)


def test_what_is_due_soon_is_not_put_into_the_past(store: Pool) -> None:
    # Given an account that is due in half a minute by the right clock
    account = rows.active(store)
    with transaction(store) as connection:
        connection.execute("UPDATE account SET next_sync_at = now() + interval '30 s'")
        # When what was an hour ahead is brought nearer
        wall_clock.bring_nearer(connection, HOUR)
        # Then it is due now, and was not due an hour ago
        assert accounts.get(connection, account.id).next_sync_at > datetime.now(UTC) - timedelta(
            seconds=30
        )
