"""The application as a whole: its routes, and its limits."""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from pydantic import SecretStr

from postwire.errors import SettingsError
from postwire.settings import ApiSettings
from postwire.store.pool import Pool
from postwire_api.app import create_app
from support import rows

Client = TestClient[Litestar]

CONTRACT = {
    "/api/email/sync": {"POST", "GET"},
    "/api/email/sync/schedule": {"POST", "GET", "DELETE"},
    "/api/accounts": {"POST", "GET"},
    "/api/accounts/discover": {"GET"},
    "/api/accounts/{account_id}": {"GET", "PATCH", "DELETE"},
    "/api/accounts/{account_id}/pause": {"POST"},
    "/api/accounts/{account_id}/resume": {"POST"},
    "/api/accounts/{account_id}/credential": {"PUT"},
    "/api/accounts/{account_id}/mailboxes": {"GET"},
    "/api/messages": {"GET"},
    "/api/messages/{message_id}": {"GET"},
    "/api/conversations": {"GET"},
    "/api/conversations/{conversation_id}": {"GET"},
    "/api/conversations/{conversation_id}/messages": {"GET"},
    "/api/accounts/{account_id}/changes": {"GET"},
    "/api/messages/{message_id}/attachments/{n}": {"GET", "HEAD"},
    "/api/accounts/{account_id}/set-aside": {"GET"},
    "/api/accounts/{account_id}/set-aside/retry": {"POST"},
    "/api/accounts/{account_id}/set-aside/{mailbox_id}/{uid}/raw": {"GET"},
    "/api/search": {"GET"},
    "/api/jobs": {"GET"},
    "/api/jobs/{job_id}": {"GET"},
    "/api/jobs/{job_id}/cancel": {"POST"},
    "/api/jobs/{job_id}/retry": {"POST"},
    "/api/realtime-token": {"POST"},
}


def test_the_routes_are_those_of_the_contract_and_no_others(settings: ApiSettings) -> None:
    # When the routes of an application without a page are listed
    routes = {
        route.path_format: route.methods - {"OPTIONS"}  # type: ignore[union-attr]
        for route in create_app(settings).routes
        if not route.path_format.startswith("/api/docs")
    }
    # Then they are what was agreed
    assert routes == CONTRACT


@pytest.mark.parametrize("keys", ["k1:short", "none", "k1:"])
def test_a_credential_key_that_is_none_stops_the_start_and_is_not_repeated(
    settings: ApiSettings, keys: str
) -> None:
    # Given such a key
    wrong = settings.model_copy(update={"credential_keys": SecretStr(keys)})
    # When the application is made
    with pytest.raises(SettingsError) as raised:
        create_app(wrong)
    # Then the words say which setting is wrong, without the key
    assert "POSTWIRE_CREDENTIAL_KEYS" in str(raised.value)
    assert "short" not in str(raised.value)


QUERY = ["accountId", "mailbox", "cursor", "limit", "state", "inline"]
NASTY = [
    "\0",
    "%00",
    "\ufffe",
    "é",
    "\U0001d518",
    "'; DROP TABLE account; --",
    "{}",
    "../..",
    "x" * 3000,
]


def test_nothing_that_a_caller_sends_is_an_error_of_ours(ann: Client, store: Pool) -> None:
    # Given an account, so that there is something to be found
    account = rows.active(store)
    bodies = [
        *(b"", b"null", b"0", b"[[[[", b'"x"', b"\xff\xfe", b"{}", b'{"accountId": "\\ud800"}'),
        *(b"[" * 30_000, b'{"accountId": "\xed\xa0\x80"}', b"9" * 400),
        *(msgspec.json.encode({"accountId": text}) for text in NASTY),
        *(msgspec.json.encode({"password": text}) for text in NASTY),
    ]
    queries = ["%ff=%ff", "a&b&&=", *(f"{name}={quote(text)}" for name in QUERY for text in NASTY)]
    for path, methods in CONTRACT.items():
        for method in sorted(methods):
            for id_ in (account.id, "%ff", "%ed%a0%80"):
                # When each route is asked with everything odd
                url = re.sub(r"\{\w+\}", id_, path)
                answers = [
                    *(ann.request(method, f"{url}?{query}") for query in queries),
                    *(ann.request(method, url, content=body) for body in bodies),
                ]
                # Then it is either done or refused
                assert {answer.status_code for answer in answers} <= {*(200, 204, 400, 404, 409)}, (
                    method,
                    url,
                )
                if "{" not in path:
                    break
