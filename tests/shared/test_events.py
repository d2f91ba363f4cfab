from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from postwire import events
from postwire.errors import BadEvent
from postwire.model import Account, AccountId, Stored
from support.relay import relay

EVENT = events.Event(
    account_id="a1",
    user_id="u1",
    email_address="joe@example.com",
    count=5,
    timestamp=datetime(2025, 10, 3, tzinfo=UTC),
    type="push",
    epoch=1,
    revision=9,
    received_at=datetime(2025, 10, 2, 23, 59, tzinfo=UTC),
)


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _account() -> Account:
    return Account(
        id=AccountId("a1"),
        user_id="u1",
        address="joe@example.com",
        host="imap.example.com",
        port=993,
        security="tls",
        username="joe",
        credential=b"",
        window_days=None,
        state="active",
        state_reason=None,
        state_since=EVENT.timestamp,
        sync_every=None,
        next_sync_at=EVENT.timestamp,
        last_synced_at=None,
        epoch=1,
        revision=6,
        created_at=EVENT.timestamp,
    )


def _encoded(**changes: Any) -> bytes:
    return json.dumps(json.loads(events.encode(EVENT)) | changes).encode()


def test_the_predecessors_fields_keep_their_names() -> None:
    assert json.loads(events.encode(EVENT)) == {
        "accountId": "a1",
        "userId": "u1",
        "emailAddress": "joe@example.com",
        "count": 5,
        "timestamp": "2025-10-03T00:00:00Z",
        "type": "push",
        "epoch": 1,
        "revision": 9,
        "receivedAt": "2025-10-02T23:59:00Z",
    }


def test_what_was_encoded_is_decoded() -> None:
    full = msgspec.structs.replace(
        EVENT, state="auth_failed", state_reason="…", done=1, total=2, error="no"
    )

    assert events.decode(events.encode(EVENT)) == EVENT
    assert events.decode(events.encode(full)) == full


def test_progress_says_how_far_it_is_and_counts_as_no_arrival() -> None:
    # Given a backfill of which a third is stored
    account = _account()
    stored = Stored(1, 7, new=9, inbound=9, received_at=None, stored_at=EVENT.timestamp)
    # When that is told
    event = events.of_progress(account, stored, done=10, total=30, rate=5.0, left=4.0)
    # Then it is read as it was meant
    told = json.loads(events.encode(events.decode(events.encode(event))))
    assert (told["type"], told["count"], told["revision"]) == ("progress", 0, 7)
    assert (told["done"], told["total"], told["rate"], told["left"]) == (10, 30, 5.0, 4.0)


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    there = datetime(2025, 10, 3, 2, tzinfo=timezone(timedelta(hours=2)))

    assert events.decode(_encoded(timestamp=there.isoformat())) == EVENT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 10_000,
        b'"' + b"x" * events.MAX_EVENT_BYTES,
        _encoded(type="idle"),
        _encoded(count="5"),
        _encoded(count=1.5),
        _encoded(accountId=None),
        _encoded(timestamp="yesterday"),
        _encoded(timestamp="2025-10-03T00:00:00"),
        _encoded(receivedAt="2025-10-03T00:00:00"),
    ],
)
def test_anything_else_is_a_bad_event(data: bytes) -> None:
    with pytest.raises(BadEvent):
        events.decode(data)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_bytes_do_anything_but_raise_a_bad_event(data: bytes) -> None:
    with pytest.raises(BadEvent):
        events.decode(data)


def test_rooms_of_users_and_accounts_never_meet() -> None:
    assert events.account_room("x") != events.user_room("x")


def test_an_event_is_told_on_the_channel_and_counted(redis_url: str) -> None:
    before = _counted("postwire_events_published_total", type="push")
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as listener:
        listener.subscribe(events.CHANNEL)
        assert listener.get_message(timeout=5)

        events.publish(client, EVENT)

        message = listener.get_message(timeout=5)
        assert message is not None
        assert events.decode(message["data"]) == EVENT
    assert _counted("postwire_events_published_total", type="push") == before + 1


def test_an_event_that_cannot_be_told_is_counted_and_fails_nobody() -> None:
    before = _counted("postwire_events_dropped_total", reason="redis")
    nowhere = redis.Redis(host="127.0.0.1", port=1, retry=None)

    events.publish(nowhere, EVENT)

    assert _counted("postwire_events_dropped_total", reason="redis") == before + 1
    assert _counted("postwire_positions_failed_total", reason="kept") > 0


def _kept(client: redis.Redis) -> events.Position | None:
    score = client.zscore(events.POSITIONS, EVENT.account_id)
    return None if score is None else events.position(score)


def test_the_position_kept_is_the_newest_whatever_the_order_of_the_events(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert _kept(client) is None
        # When events are told late, from an older history, and twice
        kept = []
        for epoch, revision in [(1, 9), (1, 7), (1, 9), (2, 1), (1, 2**40 - 1), (2, 3)]:
            event = msgspec.structs.replace(EVENT, epoch=epoch, revision=revision)
            events.publish(client, event)
            kept.append(_kept(client))
        # Then the position only ever rises
        assert kept == [(1, 9), (1, 9), (1, 9), (2, 1), (2, 1), (2, 3)]
        # And nothing is left of an account that was removed
        events.forget(client, EVENT.account_id)
        assert client.exists(events.POSITIONS) == 0


def test_an_event_and_its_position_take_one_round_trip(redis_url: str) -> None:
    port = urlsplit(redis_url).port
    assert port
    with (
        relay(port) as between,
        redis.Redis.from_url(redis_url.replace(str(port), str(between.port))) as client,
    ):
        client.ping()
        answers: list[bytes] = []
        between.alters = lambda data: (answers.append(data) or data, False)

        events.publish(client, EVENT)

        assert answers == [b":1\r\n:0\r\n"]


@given(
    st.tuples(st.integers(0, 2**13 - 1), st.integers(0, 2**40 - 1)),
    st.tuples(st.integers(0, 2**13 - 1), st.integers(0, 2**40 - 1)),
)
def test_scores_are_exact_and_in_the_order_of_positions(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert events.position(float(events.score(*one))) == one
    assert (events.score(*one) < events.score(*other)) == (one < other)


def test_an_event_is_told_though_redis_has_no_room_for_its_position(redis_url: str) -> None:
    # Given a Redis that takes no more keys
    before = _counted("postwire_positions_failed_total", reason="kept")
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as listener:
        listener.subscribe(events.CHANNEL)
        assert listener.get_message(timeout=5)
        client.config_set("maxmemory", 1)
        try:
            # When an event is told
            events.publish(client, EVENT)
        finally:
            client.config_set("maxmemory", 0)
        # Then it arrives, and the position is counted as lost
        assert listener.get_message(timeout=5)
    assert _counted("postwire_positions_failed_total", reason="kept") == before + 1


def test_an_account_that_cannot_be_forgotten_is_counted_and_fails_nobody() -> None:
    before = _counted("postwire_positions_failed_total", reason="forgotten")

    events.forget(redis.Redis(host="127.0.0.1", port=1, retry=None), "a1")

    assert _counted("postwire_positions_failed_total", reason="forgotten") == before + 1
