"""All of Postwire as it is deployed: a process each, on real servers."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from postwire.tokens import sign_bearer
from postwire_demo import page, services
from postwire_demo.processes import HOST, free_port
from postwire_demo.services import Service

WEB = Path(__file__).parents[2] / "web"


@dataclass(frozen=True, slots=True)
class System:
    """Where the processes of one Postwire are."""

    api_url: str
    gateway_url: str
    jwt_secret: str
    services: list[Service]

    def token(self, user: str) -> str:
        """A bearer token, as the platform around Postwire makes them."""
        return sign_bearer(self.jwt_secret, user, timedelta(hours=1))

    def api(self, user: str) -> httpx.Client:
        """A client of the REST API."""
        headers = {"Authorization": f"Bearer {self.token(user)}"}
        return httpx.Client(base_url=self.api_url, headers=headers, timeout=30)

    def metrics(self, name: str) -> str:
        """What Prometheus would read from the process."""
        (service,) = [service for service in self.services if service.name == name]
        return httpx.get(service.metrics, timeout=10).text


@pytest.fixture
def system(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[System]:
    """A running Postwire with an empty database."""
    page.build(WEB, tmp_path / "web.log")
    api_port, gateway_port = free_port(), free_port()
    values = {
        "database_url": database_url,
        "redis_url": redis_url,
        "jwt_secret": secrets.token_urlsafe(32),
        "realtime_secret": secrets.token_urlsafe(32),
        "credential_keys": f"k1:{base64.b64encode(os.urandom(32)).decode()}",
        "api_host": HOST,
        "api_port": str(api_port),
        "gateway_host": HOST,
        "gateway_port": str(gateway_port),
        "gateway_url": f"http://{HOST}:{gateway_port}",
        "cors_origins": f"http://{HOST}:{api_port}",
        "web_dir": str(WEB / "dist"),
        "ops_host": HOST,
    }
    with services.stopping_together() as running:
        running += [services.start(name, values, tmp_path) for name in services.SERVICES]
        services.wait_until_ready(running)
        yield System(
            f"http://{HOST}:{api_port}", values["gateway_url"], values["jwt_secret"], running
        )
