"""A Prometheus that scrapes a running Postwire, with the rules that we ship."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx

from postwire_demo.processes import HOST, free_port, spawn, stop, wait_until
from support.system import System

MONITORING = Path(__file__).parents[2] / "deploy/monitoring"
RUNBOOKS = Path(__file__).parents[2] / "docs/runbooks"
RULES = MONITORING / "rules/postwire.yaml"
#: What Grafana puts in the place of its own variables.
_GRAFANA = {"$namespace": ".*", "$__rate_interval": "30s"}


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Where it answers."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that `expression` has now; raises where it cannot be evaluated."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=20)
        assert answer.status_code == 200, (expression, answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Each rule, with how its last evaluation went."""
        answer = httpx.get(f"{self.url}/api/v1/rules", timeout=20)
        return [rule for group in answer.json()["data"]["groups"] for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).is_success
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(program: str, folder: Path, system: System) -> Iterator[Prometheus]:
    """Run Prometheus on the folder; it scrapes each process of the system once a second."""
    port = free_port()
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "postwire",
                "static_configs": [
                    {"targets": [f"{HOST}:{service.ops_port}" for service in system.services]}
                ],
            }
        ],
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    command = [
        *(program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
        *(f"--web.listen-address={HOST}:{port}", "--log.level=warn"),
    ]
    log = folder / "prometheus.log"
    process = spawn(command, log)
    try:
        found = Prometheus(f"http://{HOST}:{port}")
        wait_until(found.is_ready, process, "Prometheus", log)
        yield found
    finally:
        stop(process, SIGTERM, 5)


def dashboards() -> list[dict[str, Any]]:
    """Those that we ship."""
    return [json.loads(path.read_text()) for path in sorted(MONITORING.glob("dashboards/*.json"))]


def expressions() -> Iterator[tuple[str, str]]:
    """Each query of a dashboard to Prometheus, as Grafana sends it, behind its panel's name."""
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                if expression := target.get("expr"):
                    yield f"{dashboard['title']} / {panel['title']}", _filled(expression)


def questions() -> Iterator[str]:
    """What the runbooks ask of Prometheus."""
    for page in RUNBOOKS.glob("*.md"):
        yield from re.findall(r"```promql\n(.+?)\s*```", page.read_text(), re.DOTALL)


def _filled(expression: str) -> str:
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    assert not re.search(r"\$\w", expression), expression
    return expression


def wait_for(what: str, holds: Any, seconds: float = 20) -> None:
    """Look until it holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.2)
