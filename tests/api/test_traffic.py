"""Requests are counted by route."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client import REGISTRY

Client = TestClient[Litestar]


def counted(route: str, status: str) -> float:
    labels = {"method": "GET", "route": route, "status": status}
    return REGISTRY.get_sample_value("postwire_http_request_seconds_count", labels) or 0


def test_requests_are_counted_by_route_and_never_by_path(ann: Client) -> None:
    # Given what was counted before
    route = "/api/messages/{message_id}"
    before = counted(route, "404")
    # When many different paths are asked for
    for n in range(1, 11):
        ann.get(f"/api/messages/{n}")
        ann.get(f"/nowhere/{n}")
    # Then the label is their one route, and no path
    assert counted(route, "404") == before + 10
    routes = {
        sample.labels["route"]
        for metric in REGISTRY.collect()
        if metric.name == "postwire_http_request_seconds"
        for sample in metric.samples
    }
    assert not any("/1" in route or "nowhere" in route for route in routes)


def test_a_refusal_is_counted_as_what_it_is(client: Client) -> None:
    # When a request without a token comes
    before = counted("/api/accounts", "401")
    client.get("/api/accounts")
    # Then it is counted as refused
    assert counted("/api/accounts", "401") == before + 1
