"""How often may be asked, counted in a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest
import redis
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client import REGISTRY
from pydantic import SecretStr

from postwire.settings import ApiSettings
from postwire_api import rates
from postwire_api.app import create_app
from postwire_api.rates import PAUSE
from support.jwt import bearer

Client = TestClient[Litestar]

DISCOVER = "/api/accounts/discover?address=ann@gmail.com"


@pytest.fixture
def few(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> ApiSettings:
    """Settings that let little be asked, at a time when no minute ends soon."""
    monkeypatch.setattr(rates, "WRONG_TOKENS", 3)
    if (left := 60 - time.time() % 60) < 10:
        time.sleep(left)
    return settings.model_copy(update={"user_requests": 5, "user_costly_requests": 2})


@pytest.fixture
def client(few: ApiSettings) -> Iterator[Client]:
    with TestClient(create_app(few)) as client:
        yield client


def statuses(client: Client, path: str, times: int, token: str = "") -> list[int]:
    headers = {"Authorization": token} if token else {}
    return [client.get(path, headers=headers).status_code for _ in range(times)]


def total(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_a_user_who_asks_too_often_is_refused_until_the_minute_ends(ann: Client) -> None:
    refused = partial(total, "postwire_requests_refused_total", limit="requests")
    before = refused()
    # When a user asks more often than the settings say
    assert statuses(ann, "/api/accounts", 5) == [200] * 5
    answer = ann.get("/api/accounts")
    # Then the answer says so in words, and when to come again
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    seconds = int(answer.headers["retry-after"])
    assert 0 < seconds <= 60
    assert answer.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"That was asked too often; ask again in {seconds} s.",
    }
    assert refused() == before + 1
    # And nobody else notices
    assert ann.get("/api/accounts", headers=bearer("bob")).status_code == 200


def test_what_costs_has_a_limit_of_its_own(ann: Client) -> None:
    # When a user asks where addresses log in, and to sync, as often as they may
    assert statuses(ann, DISCOVER, 1) == [200]
    assert ann.post("/api/email/sync").status_code == 200
    # Then what costs is refused from now on, and reading is not
    assert ann.post("/api/email/sync").status_code == 429
    assert statuses(ann, "/api/accounts", 5) == [200] * 5


def test_processes_count_together(few: ApiSettings) -> None:
    with ExitStack() as stack:
        # Given two processes
        first, second = (stack.enter_context(TestClient(create_app(few))) for _ in range(2))
        for client in (first, second):
            client.headers.update(bearer("ann"))
        # When a user asks one as often as they may
        assert statuses(first, "/api/accounts", 5) == [200] * 5
        # Then the other refuses
        assert statuses(second, "/api/accounts", 1) == [429]


def test_requests_at_the_same_time_are_each_counted(ann: Client) -> None:
    # When many requests come at once
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: ann.get("/api/accounts").status_code, range(20)))
    # Then no more are answered than may be
    assert sorted(answers) == [200] * 5 + [429] * 15


def test_counts_end_by_themselves(ann: Client, redis_url: str) -> None:
    # When something was counted
    ann.get("/api/accounts")
    # Then Redis forgets it
    with redis.Redis.from_url(redis_url) as client:
        (key,) = client.keys("postwire:rate:*")
        assert 60 < client.ttl(key) <= 120


def test_who_guesses_tokens_is_refused_even_with_a_right_one(client: Client) -> None:
    # When an address has sent more wrong tokens than it may, or none at all
    assert statuses(client, "/api/accounts", 2, "Bearer wrong") == [401] * 2
    assert statuses(client, "/api/accounts", 2) == [401] * 2
    # Then it is not told any more whether one is right
    answer = client.get("/api/accounts", headers=bearer())
    assert answer.status_code == 429
    assert statuses(client, "/api/accounts", 1, "Bearer wrong") == [429]


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense" * 1000, "unknown"),
    ],
)
def test_an_address_is_what_one_sender_has(host: str, counted: str) -> None:
    assert rates._address({"client": (host, 1)}) == counted  # type: ignore[typeddict-item]


def test_a_redis_that_does_not_answer_lets_everybody_in_soon(ann: Client, redis_url: str) -> None:
    failed = partial(total, "postwire_rates_uncounted_total", reason="failed")
    not_asked = partial(total, "postwire_rates_uncounted_total", reason="not_asked")
    before, before_not_asked = failed(), not_asked()
    with redis.Redis.from_url(redis_url) as client:
        # Given a Redis that takes commands and answers none
        client.client_pause(1500)
        for _ in range(7):
            # When more is asked than may be
            began = time.monotonic()
            assert ann.get("/api/accounts").status_code == 200
            # Then it is answered within a second all the same
            assert time.monotonic() - began < 1
    # And that nothing was counted is counted; Redis was asked once
    assert failed() == before + 1
    assert not_asked() == before_not_asked + 6
    # And after a while all is counted again
    time.sleep(PAUSE)
    assert statuses(ann, "/api/accounts", 6) == [200] * 5 + [429]


def test_a_redis_that_is_gone_lets_everybody_in(few: ApiSettings) -> None:
    # Given an application whose Redis is not there
    gone = few.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    with TestClient(create_app(gone)) as client:
        # When more is asked than may be, and with wrong tokens
        began = time.monotonic()
        wrong = statuses(client, "/api/accounts", 5, "Bearer wrong")
        client.headers.update(bearer())
        # Then all is answered as if there were no limit
        assert wrong == [401] * 5
        assert statuses(client, "/api/accounts", 7) == [200] * 7
        assert time.monotonic() - began < 5
