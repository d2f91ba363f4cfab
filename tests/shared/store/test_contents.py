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


def test_who_gives_no_sign_of_life_loses_the_request(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        contents.ask(connection, wanted(connection))
        request = contents.claim(connection, account.id, "dead")
        assert request is not None
        id_ = contents.begin(connection, account.id)
        connection.execute("UPDATE attachment_request SET held_until = now() - interval '1 s'")
        # When another takes it over
        assert contents.is_waited_for(connection, account.id)
        assert contents.claim(connection, account.id, "alive") == request
        # Then the first one can write no more
        assert not contents.add_chunk(connection, request, "dead", Chunk(id_, 0, b"x"))
        assert not contents.is_waited_for(connection, account.id)


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


def test_what_a_dead_worker_began_is_removed_by_a_later_one(store: Pool, account: Account) -> None:
    with transaction(store) as connection:
        contents.begin(connection, account.id)
        connection.execute("UPDATE content SET begun_at = now() - interval '2 h'")
        contents.begin(connection, account.id)
        assert connection.execute("SELECT count(*) FROM content").fetchone() == (1,)


def test_chunks_are_not_compressed_again(store: Pool) -> None:
    with transaction(store) as connection:
        storage = connection.execute(
            "SELECT DISTINCT attstorage::text FROM pg_attribute JOIN pg_class ON oid = attrelid"
            " WHERE relname LIKE 'content_chunk%' AND attname = 'bytes'"
        ).fetchall()
    assert storage == [("e",)]
