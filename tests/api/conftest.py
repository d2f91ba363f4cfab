"""The real application over a real PostgreSQL and a real Valkey."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.settings import ApiSettings
from postwire.store.pool import Pool
from postwire_api.app import create_app
from support.jwt import JWT_SECRET, REALTIME_SECRET, bearer

Client = TestClient[Litestar]

KEYS = "k1:" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def settings(database_url: str, redis_url: str) -> ApiSettings:
    """Settings as an installation without a page has them."""
    return ApiSettings(
        database_url=database_url,
        redis_url=redis_url,
        jwt_secret=JWT_SECRET,
        realtime_secret=REALTIME_SECRET,
        credential_keys=KEYS,
        oauth_providers='{"google": {"client_id": "g", "client_secret": "canary"}, '
        '"microsoft": {"client_id": "m"}}',
        gateway_url="https://gateway.example.com",
        cors_origins=["https://app.example.com"],
        # Tests ask faster than people.
        user_requests=1_000_000,
        user_costly_requests=1_000_000,
    )


@pytest.fixture
def client(settings: ApiSettings) -> Iterator[Client]:
    """A client that has no token yet."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ann(client: Client) -> Client:
    """The client with the token of the user `ann`."""
    client.headers.update(bearer("ann"))
    return client


@pytest.fixture
def store(client: Client) -> Pool:
    """The application's own pool, to lay down what a test starts from."""
    return client.app.state.store  # type: ignore[no-any-return]
