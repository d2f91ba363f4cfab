"""Errors are problem details in words, and say nothing of the inside."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient
from structlog.testing import capture_logs

from postwire.settings import ApiSettings
from postwire_api.app import create_app
from support.jwt import bearer

Client = TestClient[Litestar]


WRONG: list[tuple[str, str, bytes | None, int, str]] = [
    ("GET", "/nothing", None, 404, "nothing at this address"),
    ("POST", "/api/messages", None, 405, "does not know that method"),
    ("GET", "/api/messages?limit=0", None, 400, "limit: Expected `int` >= 1"),
    ("GET", "/api/messages?limit=201", None, 400, "limit"),
    ("GET", "/api/messages?limit=many", None, 400, "limit"),
    ("GET", "/api/messages?cursor=%00", None, 400, "cursor"),
    ("GET", "/api/messages?mailbox=%00", None, 400, "mailbox"),
    ("GET", "/api/messages?mailbox=" + "x" * 1001, None, 400, "mailbox"),
    ("GET", "/api/jobs?state=gone", None, 400, "state"),
    ("POST", "/api/email/sync", b"{nonsense", 400, "JSON"),
    ("POST", "/api/email/sync", b"[]", 400, "object"),
    ("POST", "/api/email/sync", b'{"acountId": "x"}', 400, "acountId"),
    ("POST", "/api/email/sync", b'{"accountId": 7}', 400, "accountId"),
    ("POST", "/api/email/sync", b'{"accountId": "\\u0000"}', 404, "account"),
    ("POST", "/api/email/sync", b'"' + b"x" * 70_000 + b'"', 413, "too large"),
    ("POST", "/api/email/sync", b"\xff\xfe", 400, "JSON"),
    ("POST", "/api/email/sync/schedule", b'{"every": 9}', 400, "every"),
    ("POST", "/api/email/sync/schedule", b'{"every": 86401}', 400, "every"),
    ("POST", "/api/email/sync/schedule", b'{"every": 1e400}', 400, "range"),
]


def test_a_wrong_request_is_answered_in_words(ann: Client) -> None:
    for method, path, body, status, words in WRONG:
        # When something wrong is asked
        answer = ann.request(method, path, content=body)
        # Then a problem says what
        problem = answer.json()
        assert answer.status_code == status, (method, path, body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(problem) == {"type", "title", "status", "detail"}
        assert problem["status"] == status
        assert words in problem["detail"]


def test_what_nobody_expected_is_logged_and_not_told(client: Client) -> None:
    # Given an application whose store is broken in a way nobody foresaw
    client.app.state.store = "secret inside"
    # When something is read
    with capture_logs() as logs:
        answer = client.get("/api/accounts", headers=bearer())
    # Then the answer says nothing of it, and the log has the route and the error
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "str" not in answer.text
    (line,) = logs
    assert line["route"] == "/api/accounts"
    assert isinstance(line["exc_info"], AttributeError)


def test_a_database_that_does_not_answer_is_503_and_says_when_to_come_again(
    settings: ApiSettings,
) -> None:
    # Given an application whose database is not there
    nowhere = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql://127.0.0.1:1/none")}
    )
    with TestClient(create_app(nowhere)) as client:
        # When something is read
        answer = client.get("/api/accounts", headers=bearer())
    # Then the answer says so
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/store-unavailable"
    assert answer.headers["retry-after"] == "5"
