from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from postwire import ops


class Probe:
    """Asks the operations port of a process whose checks are as `wrong` says."""

    def __init__(self) -> None:
        self.wrong: dict[str, str | None] = {"redis": None}
        self.port = ops.serve(
            "gateway",
            "127.0.0.1",
            0,
            live={"loop": lambda: None},
            ready={"redis": lambda: self.wrong["redis"], "store": lambda: None},
        )
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=10)

    def get(self, path: str) -> tuple[int, str]:
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.connection.close()


def test_each_check_is_named(probe: Probe) -> None:
    assert probe.get("/health/live") == (200, '{"status": "ok", "checks": {"loop": "ok"}}')

    status, body = probe.get("/health/ready")

    assert (status, json.loads(body)["checks"]) == (200, {"redis": "ok", "store": "ok"})


def test_what_readiness_found_is_a_metric(probe: Probe) -> None:
    probe.get("/health/ready")
    assert 'postwire_ready{check="redis"} 1.0' in probe.get("/metrics")[1]
    # When it fails, the metric follows, and the one of another check does not
    probe.wrong["redis"] = "not subscribed"
    probe.get("/health/ready")
    assert 'postwire_ready{check="redis"} 0.0' in probe.get("/metrics")[1]
    assert 'postwire_ready{check="store"} 1.0' in probe.get("/metrics")[1]


def test_a_process_begins_with_its_zeros(probe: Probe) -> None:
    metrics = probe.get("/metrics")[1]
    assert 'postwire_process_info{process="gateway",version=' in metrics
    assert 'postwire_events_relayed_total{event="email:synced"} ' in metrics
    assert 'postwire_audits_total{outcome="failed"}' not in metrics


def test_one_failing_check_fails_all_and_says_why(probe: Probe) -> None:
    probe.wrong["redis"] = "not subscribed"

    status, body = probe.get("/health/ready")

    assert status == 503
    assert json.loads(body) == {
        "status": "failing",
        "checks": {"redis": "not subscribed", "store": "ok"},
    }
    assert probe.get("/health/live")[0] == 200


def test_a_check_that_breaks_fails_without_its_words(probe: Probe) -> None:
    del probe.wrong["redis"]

    status, body = probe.get("/health/ready")

    assert status == 503
    assert json.loads(body)["checks"]["redis"] == "the check itself failed: KeyError"


def test_metrics_are_served(probe: Probe) -> None:
    status, body = probe.get("/metrics")

    assert status == 200
    assert "# TYPE postwire_freshness_seconds histogram" in body


@pytest.mark.parametrize("path", ["/", "/health", "/health/live/x", "/metrics/../etc/passwd"])
def test_there_is_nothing_else(probe: Probe, path: str) -> None:
    assert probe.get(path)[0] == 404


def test_answers_of_different_lengths_are_all_whole(probe: Probe) -> None:
    for words in ("x", "x" * 500, "x"):
        probe.wrong["redis"] = words
        assert json.loads(probe.get("/health/ready")[1])["checks"]["redis"] == words


def test_a_client_that_says_nothing_hurts_nobody(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ops._Handler, "timeout", 0.2)

    with socket.create_connection(("127.0.0.1", probe.port), timeout=10) as silent:
        assert probe.get("/health/live")[0] == 200
        assert silent.recv(1) == b""

    assert "Traceback" not in capsys.readouterr().err
