"""Nothing of a user is shown or changed without that user's token."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.testing import TestClient
from pydantic import SecretStr

from postwire import tokens
from postwire.errors import TokenRejected
from postwire.model import SetAside
from postwire.settings import ApiSettings
from postwire.store import jobs
from postwire.store.pool import Pool, transaction
from postwire_api.app import create_app
from postwire_api.auth import Bearer, Connection
from support import rows
from support.jwt import JWT_SECRET, REALTIME_SECRET, bearer

Client = TestClient[Litestar]

OPEN = {"/", "/{name:str}", "/assets/{name:str}", "/api/docs", "/api/docs/openapi.json"}


def handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            yield route.path_format, handler


def test_every_route_but_the_page_and_the_docs_declares_the_bearer_guard(
    settings: ApiSettings,
) -> None:
    # When every route of the application is looked at
    guarded = {
        (path, method): any(isinstance(guard, Bearer) for guard in handler.resolve_guards())
        for path, handler in handlers(create_app(settings))
        for method in handler.http_methods - {"OPTIONS"}
    }
    # Then those of the API have the guard, and there are as many as the contract has
    bare = {path for (path, _), guard in guarded.items() if not guard}
    assert {path for path in bare if not path.startswith("/api/docs")} == set()
    assert sum(guarded.values()) == 32


def test_a_request_without_a_proper_token_is_answered_401_with_a_hint(client: Client) -> None:
    bearers = ["Bearer", "Bearer ", "Bearer nonsense", "Bearer a.b.c", "Bearer " + "x" * 5000]
    for header in [None, "", "Basic YW5uOnB3", *bearers]:
        # When a request comes with such a header
        headers = {} if header is None else {"Authorization": header}
        answer = client.get("/api/accounts", headers=headers)
        # Then it is refused in words
        assert answer.status_code == 401, header
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "/problems/token-rejected"
        assert "token" in answer.json()["detail"].lower()


def test_two_authorization_headers_are_refused(client: Client) -> None:
    # Given a valid token
    good = bearer()["Authorization"]
    # When it comes beside another header of that name
    answer = client.get(
        "/api/accounts", headers=[("Authorization", good), ("Authorization", "Bearer other")]
    )
    # Then neither is believed
    assert answer.status_code == 401


def test_a_token_of_another_secret_audience_algorithm_or_time_is_refused(client: Client) -> None:
    # Given tokens that are each wrong in one way
    realtime, _ = tokens.sign_realtime(REALTIME_SECRET, "ann", [])
    claims = {"sub": "ann", "aud": "postwire", "exp": 4_000_000_000}
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "typ": "JWT"}, claims)
    )
    wrong = [
        tokens.sign_bearer("another secret that is long enough too", "ann", timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "ann", -timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "", timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "a\0b", timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "a" * 300, timedelta(hours=1)),
        jwt.encode({"sub": "ann", "aud": "postwire"}, JWT_SECRET, "HS256"),
        jwt.encode(claims | {"aud": "postwire-realtime"}, JWT_SECRET, "HS256"),
        realtime,
        f"{unsigned}.",
    ]
    for token in wrong:
        # When one is sent
        answer = client.get("/api/accounts", headers={"Authorization": f"Bearer {token}"})
        # Then it is refused
        assert answer.status_code == 401, token


def test_the_scheme_is_read_in_any_case(client: Client) -> None:
    # When the scheme is written in small letters, which RFC 9110 allows
    header = bearer()["Authorization"].replace("Bearer", "bearer")
    # Then the token counts
    assert client.get("/api/accounts", headers={"Authorization": header}).status_code == 200


def test_no_row_is_reached_through_the_token_of_a_stranger(client: Client, store: Pool) -> None:
    # Given an account of ann with a mailbox, a message with an attachment, one set aside, a
    # schedule and a job
    account = rows.active(store, "ann")
    box = rows.mailbox(store, account)
    attached = replace(rows.incoming(1), attachments=(rows.attachment(),))
    aside = (SetAside(7, "It cannot be read.", b"raw"),)
    rows.store_batch(store, replace(rows.batch(box, attached), set_aside=aside))
    with transaction(store) as connection:
        job = jobs.ask(connection, account.id, "ann", "manual")
    mine, body = f"/api/accounts/{account.id}", {"accountId": account.id}
    asked: list[tuple[str, str, object]] = [
        ("GET", mine, None),
        ("DELETE", mine, None),
        ("GET", f"{mine}/mailboxes", None),
        ("POST", f"{mine}/pause", None),
        ("POST", f"{mine}/resume", None),
        ("PUT", f"{mine}/credential", {"password": "stolen"}),
        ("GET", "/api/messages/1", None),
        ("GET", "/api/messages/1/attachments/1", None),
        ("HEAD", "/api/messages/1/attachments/1", None),
        ("GET", f"{mine}/set-aside", None),
        ("POST", f"{mine}/set-aside/retry", None),
        ("GET", f"{mine}/set-aside/{box.id}/7/raw", None),
        ("GET", f"/api/messages?accountId={account.id}", None),
        ("GET", f"{mine}/changes?since=0&epoch=1", None),
        ("GET", "/api/conversations/1", None),
        ("GET", "/api/conversations/1/messages", None),
        ("GET", f"/api/conversations?accountId={account.id}", None),
        ("GET", f"/api/jobs/{job.id}", None),
        ("POST", f"/api/jobs/{job.id}/cancel", None),
        ("POST", f"/api/jobs/{job.id}/retry", None),
        ("GET", f"/api/jobs?accountId={account.id}", None),
        ("POST", "/api/email/sync", body),
        ("POST", "/api/email/sync/schedule", body),
        ("DELETE", f"/api/email/sync/schedule?accountId={account.id}", None),
    ]
    for method, path, json_ in asked:
        # When a stranger asks
        answer = client.request(method, path, json=json_, headers=bearer("bob"))
        # Then there is no such thing
        assert answer.status_code == 404, (method, path)
        assert method == "HEAD" or answer.json()["type"] == "/problems/not-found"
    # And what is listed of the stranger is empty, and ann still has everything
    bobs = bearer("bob")
    assert client.get("/api/accounts", headers=bobs).json() == {"accounts": []}
    assert client.get("/api/messages", headers=bobs).json()["messages"] == []
    assert client.get("/api/conversations", headers=bobs).json()["conversations"] == []
    assert client.get("/api/jobs", headers=bobs).json()["jobs"] == []
    assert client.get("/api/email/sync", headers=bobs).json()["queueStats"]["total"] == 0
    assert client.get("/api/email/sync/schedule", headers=bobs).json()["schedules"] == []
    assert client.get(mine, headers=bearer("ann")).json()["state"] == "active"
    assert client.get("/api/messages/1", headers=bearer("ann")).status_code == 200
    assert client.get("/api/conversations/1", headers=bearer("ann")).status_code == 200


@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
async def test_no_header_whatever_it_holds_passes_the_guard_or_breaks_it(text: str) -> None:
    # Given a connection with a header that somebody made up
    scope: dict[str, object] = {
        "type": "http",
        "headers": [(b"authorization", text.encode())],
    }
    connection = Connection(scope)  # type: ignore[arg-type]
    # Then the guard refuses it by name
    with pytest.raises(TokenRejected):
        await Bearer(SecretStr(JWT_SECRET))(connection, None)  # type: ignore[arg-type]
