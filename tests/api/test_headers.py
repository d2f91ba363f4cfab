"""Headers that every answer carries."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

Client = TestClient[Litestar]


def test_every_answer_is_fenced_in_even_a_refusal(ann: Client) -> None:
    # When anything is answered: data, documents, refusals
    refused = {"Authorization": "Bearer no"}
    answers = [
        ann.get("/api/accounts"),
        ann.get("/api/accounts", headers=refused),
        ann.get("/api/docs"),
        ann.get("/nothing"),
        ann.post("/api/messages"),
        ann.post("/api/email/sync", content=b"{"),
    ]
    for answer in answers:
        # Then nothing in it is guessed, framed, cached or told to others
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_only_the_origins_of_the_settings_may_call_from_a_page(ann: Client) -> None:
    # When a browser asks for leave, from an origin that has it and from one that has not
    def preflight(origin: str) -> str | None:
        answer = ann.options(
            "/api/accounts",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        return answer.headers.get("access-control-allow-origin")

    # Then the first gets it and the second does not
    assert preflight("https://app.example.com") == "https://app.example.com"
    assert preflight("https://evil.example.com") is None
    # And a refusal can be read by the page that caused it
    answer = ann.get(
        "/api/accounts",
        headers={"Origin": "https://app.example.com", "Authorization": "Bearer no"},
    )
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
