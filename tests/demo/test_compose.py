"""What `docker compose up` gives each process: its settings, and its own secrets as files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from postwire import settings
from postwire_demo.feeder import FeederSettings
from postwire_demo.seed import SeedSettings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
READS: dict[str, type[settings._Settings]] = {
    "migrate": settings.MigrateSettings,
    "api": settings.ApiSettings,
    "sync-worker": settings.WorkerSettings,
    "sync-worker-manual": settings.WorkerSettings,
    "watcher": settings.WatcherSettings,
    "gateway": settings.GatewaySettings,
}
DEMO: dict[str, type[BaseSettings]] = {"seed": SeedSettings, "feeder": FeederSettings}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The volume of the secrets, and beside it the folder of those that somebody has given."""
    (tmp_path / "given").mkdir()
    volume = tmp_path / "secrets"
    volume.mkdir()
    return volume


def draw(volume: Path) -> None:
    """Run the script as its container does, but in the folder of the test, and not as root."""
    script = (ROOT / "deploy/compose/secrets.sh").read_text()
    script = script.replace("cd /secrets", f"cd {volume}").replace(
        "/given", f"{volume.parent}/given"
    )
    lines = [line for line in script.splitlines() if not line.startswith("chown")]
    subprocess.run(["/bin/sh"], input="\n".join(lines), text=True, check=True, timeout=20)


def start(monkeypatch: pytest.MonkeyPatch, name: str, volume: Path) -> None:
    """Set what the container of that name has in its environment."""
    for set_here in [one for one in os.environ if one.startswith(settings.PREFIX)]:
        monkeypatch.delenv(set_here)
    for setting, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(setting, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)))
    (mount,) = [one for one in SERVICES[name]["volumes"] if one["target"] == "/run/postwire"]
    monkeypatch.setenv("POSTWIRE_SECRETS_DIR", str(volume / mount["volume"]["subpath"]))


@pytest.mark.parametrize("name", [*READS, *DEMO])
def test_each_container_has_what_its_process_needs(
    monkeypatch: pytest.MonkeyPatch, volume: Path, name: str
) -> None:
    draw(volume)
    start(monkeypatch, name, volume)
    if name in READS:
        assert settings.load(READS[name]).secrets_dir
    else:
        assert DEMO[name](_secrets_dir=os.environ["POSTWIRE_SECRETS_DIR"])  # type: ignore[call-arg]


@pytest.mark.parametrize("name", READS)
def test_each_container_has_no_secret_that_its_process_does_not_read(
    monkeypatch: pytest.MonkeyPatch, volume: Path, name: str
) -> None:
    draw(volume)
    start(monkeypatch, name, volume)
    given = {file.name for file in Path(os.environ["POSTWIRE_SECRETS_DIR"]).iterdir()}
    assert given <= {settings.PREFIX + field.upper() for field in READS[name].model_fields}


def test_a_secret_is_drawn_once_and_one_that_is_given_wins(volume: Path) -> None:
    # Given secrets that were drawn
    draw(volume)
    files = {
        name: volume / name
        for name in ("api/POSTWIRE_JWT_SECRET", "worker/POSTWIRE_CREDENTIAL_KEYS")
    }
    drawn = {name: file.read_text() for name, file in files.items()}
    # When it starts again, with one of them given
    (volume.parent / "given/POSTWIRE_JWT_SECRET").write_text("of one's own\n")
    draw(volume)
    # Then that one is taken, and the other stays
    now = {name: file.read_text() for name, file in files.items()}
    assert now == drawn | {"api/POSTWIRE_JWT_SECRET": "of one's own\n"}


def test_a_proxy_is_one_for_as_long_as_it_is_given(
    monkeypatch: pytest.MonkeyPatch, volume: Path
) -> None:
    given = volume.parent / "given/POSTWIRE_MAIL_PROXY"
    given.write_text("http://proxy:3128\n")
    draw(volume)
    start(monkeypatch, "watcher", volume)
    assert settings.load(settings.WatcherSettings).mail_proxy
    given.unlink()
    draw(volume)
    assert settings.load(settings.WatcherSettings).mail_proxy is None


def test_no_secret_stands_in_an_environment() -> None:
    secret = re.compile(r"_(URL|SECRET|KEYS|PASSWORD|PROVIDERS|IMAP)$")
    # The Redis of compose has no password; nothing but the network of the processes reaches it.
    # Grafana is provisioned by variables alone, and its role sees neither mail nor passwords.
    named = {
        name
        for service in SERVICES.values()
        for name in service.get("environment", {})
        if secret.search(name)
    }
    assert named == {"POSTWIRE_REDIS_URL", "POSTWIRE_GATEWAY_URL", "READER_PASSWORD"}
