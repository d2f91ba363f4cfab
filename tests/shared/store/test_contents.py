"""Requests for attachments, and the bytes that are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.errors import NotFound, NotReady
from postwire.model import Account, MessageId
from postwire.store import contents
from postwire.store.contents import CHUNK, Chunk, Failed, Wanted
from postwire.store.jobs import ATTEMPTS, HOLD, STRANDED
from postwire.store.pool import Pool, transaction
from support import rows


@pytest.fixture
def account(store: Pool) -> Account:
    """An account with a message that has as many attachments as may be open, and two more."""
    account = rows.active(store)
    parts = tuple(rows.attachment(section=str(n)) for n in range(contents.OPEN + 2))
    message = replace(rows.incoming(1), attachments=parts)
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), message))
    return account


def wanted(connection: Connection[TupleRow], n: int = 1) -> Wanted:
    return contents.get_wanted(connection, "ann", MessageId(1), n)


def test_a_request_is_claimed_by_one_alone(store: Pool, account: Account) -> None:
    # Given a request that was made twice
    with transaction(store) as connection:
        contents.ask(connection, wanted(connection))
        contents.ask(connection, wanted(connection))
    # When two claim at once
    with transaction(store) as first, transaction(store) as second:
        taken = [contents.claim(one, account.id, "a") for one in (first, second)]
    # Then one has it, with what is needed to fetch it
    assert [request is not None for request in taken] == [True, False]
    assert taken[0] is not None
    assert (taken[0].n, taken[0].section) == (1, "0")
    # And asking again takes it from nobody who lives
    with transaction(store) as connection:
        contents.ask(connection, wanted(connection))
        assert contents.claim(connection, account.id, "b") is None


def later(connection: Connection[TupleRow], seconds: float) -> None:
    """As if so many seconds had passed for all requests."""
    connection.execute(
        """
        UPDATE attachment_request
           SET asked_at = asked_at - past, swept_at = swept_at - past,
               failed_at = failed_at - past, held_until = held_until - past
          FROM (SELECT make_interval(secs => %s) AS past) AS _
        """,
        [seconds],
    )


def test_who_gives_no_sign_of_life_loses_the_request(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        contents.ask(connection, wanted(connection))
        request = contents.claim(connection, account.id, "dead")
        assert request is not None
        id_ = contents.begin(connection, account.id)
        # While it gives signs of life, nobody takes it
        later(connection, HOLD - 1)
        assert contents.hold(connection, ["dead", "alive"]) == {"dead"}
        later(connection, HOLD - 1)
        assert contents.sweep(connection, 9) == []
        assert contents.claim(connection, account.id, "alive") is None
        # When it gives none any more, and the sweep comes by
        later(connection, 2)
        assert contents.sweep(connection, 9) == [account.id]
        # Then another takes it over, and the first one can write no more
        assert contents.is_waited_for(connection, account.id)
        assert contents.claim(connection, account.id, "alive") == request
        assert not contents.add_chunk(connection, request, "dead", Chunk(id_, 0, b"x"))
        assert not contents.is_waited_for(connection, account.id)


def test_a_request_that_waits_for_too_long_is_swept_and_left_in_peace_for_a_while(
    store: Pool, account: Account
) -> None:
    with transaction(store) as connection:
        contents.ask(connection, wanted(connection))
        later(connection, STRANDED - 1)
        assert contents.sweep(connection, 9) == []
        later(connection, 2)
        assert contents.sweep(connection, 9) == [account.id]
        assert contents.sweep(connection, 9) == []
        # However often that happens, it was never begun, and is not given up
        for _ in range(ATTEMPTS + 1):
            later(connection, STRANDED + 1)
            assert contents.give_up(connection, 9) == 0
            assert contents.sweep(connection, 9) == [account.id]


def test_several_that_sweep_at_once_take_each_request_once(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        contents.ask(connection, wanted(connection))
        later(connection, STRANDED + 1)
    with transaction(store) as first, transaction(store) as second:
        assert contents.sweep(first, 9) == [account.id]
        assert contents.sweep(second, 9) == []


def die(connection: Connection[TupleRow], account: Account, times: int) -> None:
    """Let so many workers die with the account's request."""
    for _ in range(times):
        contents.sweep(connection, 9)
        assert contents.claim(connection, account.id, "dead") is not None
        later(connection, HOLD + 1)


def test_a_request_that_three_workers_died_with_fails_in_words(
    store: Pool, account: Account
) -> None:
    with transaction(store) as connection:
        one = wanted(connection)
        contents.ask(connection, one)
        # Given as many deaths as are put up with
        die(connection, account, ATTEMPTS)
        # When the sweep comes by
        assert contents.sweep(connection, 9) == []
        assert contents.give_up(connection, 9) == 1
        # Then whoever waits is told, and asking again does not end a fourth one
        failed = contents.find(connection, one)
        assert isinstance(failed, Failed)
        assert failed.failure == "transient"
        assert "not tried again for an hour" in failed.error
        later(connection, 60)
        contents.ask(connection, one)
        assert contents.find(connection, one) == failed
        assert contents.claim(connection, account.id, "alive") is None


def test_a_worker_that_lived_to_tell_begins_the_count_anew(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        one = wanted(connection)
        contents.ask(connection, one)
        # Given two deaths, an end that was foreseen, and a failure
        die(connection, account, ATTEMPTS - 1)
        contents.sweep(connection, 9)
        assert contents.claim(connection, account.id, "ending") is not None
        assert contents.let_go(connection, "ending") == [account.id]
        assert contents.give_up(connection, 9) == 0
        request = contents.claim(connection, account.id, "alive")
        assert request is not None
        contents.fail(connection, request, "alive", "transient", "The server is busy.")
        # When it is asked for again
        later(connection, contents.FRESH + 1)
        contents.ask(connection, one)
        # Then two more may die
        die(connection, account, ATTEMPTS - 1)
        assert contents.give_up(connection, 9) == 0


def test_a_failure_is_answered_for_a_while_and_then_tried_again(
    store: Pool, account: Account
) -> None:
    with transaction(store) as connection:
        one = wanted(connection)
        contents.ask(connection, one)
        request = contents.claim(connection, account.id, "a")
        assert request is not None
        contents.fail(connection, request, "a", "gone", "It is gone.")
        contents.ask(connection, one)
        assert contents.find(connection, one) == Failed("gone", "It is gone.")
        connection.execute("UPDATE attachment_request SET failed_at = now() - interval '1 h'")
        contents.ask(connection, one)
        assert contents.find(connection, one) is None
        assert contents.claim(connection, account.id, "a") == request


def test_no_account_has_more_open_requests_than_its_share(store: Pool, account: Account) -> None:
    del account
    with transaction(store) as connection:
        for n in range(1, contents.OPEN + 1):
            contents.ask(connection, wanted(connection, n))
        with pytest.raises(NotReady):
            contents.ask(connection, wanted(connection, contents.OPEN + 1))


def test_the_same_bytes_are_kept_once(store: Pool, account: Account) -> None:
    first = rows.keep(store, 1, 1, b"same" * CHUNK)
    second = rows.keep(store, 1, 2, b"same" * CHUNK)
    assert first == second
    with transaction(store) as connection:
        assert connection.execute("SELECT count(*) FROM content").fetchone() == (1,)
        assert contents.read_chunk(connection, first, 3) == b"same" * (CHUNK // 4)
        with pytest.raises(NotFound):
            contents.read_chunk(connection, first, 4)
    assert account.id == first.account_id


def test_chunks_are_not_compressed_again(store: Pool) -> None:
    with transaction(store) as connection:
        storage = connection.execute(
            "SELECT DISTINCT attstorage::text FROM pg_attribute JOIN pg_class ON oid = attrelid"
            " WHERE relname LIKE 'content_chunk%' AND attname = 'bytes'"
        ).fetchall()
    assert storage == [("e",)]
