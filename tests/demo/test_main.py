"""The demo, started for real: what it publishes, what it delivers, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from postwire_demo.mail import MailAccount, connect, deliver
from support.processes import descendants, eventually, is_alive

SERVICES = ["api", "gateway", "sync-worker", "sync-worker-manual", "watcher"]
#: Seconds a demo may take to start, on a busy machine.
PATIENCE = 60


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that is built already."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "dist").mkdir()
    (folder / "dist/index.html").write_text("<!doctype html><title>Inbox</title>")
    return folder


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("var")


@pytest.fixture(scope="module")
def demo(demo_folder: Path, web: Path) -> Iterator[dict[str, Any]]:
    """What a running demo has published."""
    with started(demo_folder, web) as process:
        yield published(demo_folder, process)


def test_the_demo_publishes_its_addresses_to_its_owner_only(
    demo: dict[str, Any], demo_folder: Path
) -> None:
    assert list(demo) == ["api", "gateway", "inbox", "metrics", "imap", "account", "token"]
    assert demo["inbox"] == f"{demo['api']}/#token={demo['token']}"
    assert sorted(demo["metrics"]) == SERVICES
    assert list(demo["imap"]) == ["host", "port", "security", "username", "password"]
    for name in ("demo.json", "secrets.json"):
        assert stat.S_IMODE((demo_folder / name).stat().st_mode) == 0o600


def test_each_process_of_the_demo_has_metrics(demo: dict[str, Any]) -> None:
    for name in SERVICES:
        answer = httpx.get(demo["metrics"][name])
        assert answer.status_code == 200
        assert "python_info" in answer.text


def test_the_page_is_served(demo: dict[str, Any]) -> None:
    assert "Inbox" in httpx.get(demo["api"], follow_redirects=True).text


def test_the_first_mail_is_there(demo: dict[str, Any]) -> None:
    assert eventually(lambda: {"Garden party", "Order 48213"} <= subjects(demo), PATIENCE)
    assert eventually(lambda: "Notes for Priya" in subjects(demo), PATIENCE)


def test_a_delivered_message_is_in_the_inbox_within_seconds(demo: dict[str, Any]) -> None:
    with connect(MailAccount.model_validate(demo["imap"])) as session:
        deliver(session, b"From: ann@postwire.example\r\nSubject: Now\r\n\r\nHello\r\n", now())
    assert eventually(lambda: "Now" in subjects(demo), 5)


def test_mail_keeps_arriving(demo: dict[str, Any]) -> None:
    before = len(subjects(demo))
    assert eventually(lambda: len(subjects(demo)) > before, 15)


@pytest.mark.usefixtures("demo")
def test_a_second_demo_says_that_one_is_running(demo_folder: Path, web: Path) -> None:
    second = subprocess.run(
        command(demo_folder, web), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert second.returncode == 1
    assert "One is running already" in second.stderr
    assert (demo_folder / "demo.json").exists()


def test_the_demo_stops_with_all_its_processes_and_goes_on_where_it_was(
    tmp_path: Path, web: Path
) -> None:
    # Given a demo with mail
    with started(tmp_path, web) as process:
        first = published(tmp_path, process)
        assert eventually(lambda: "Garden party" in subjects(first), PATIENCE)
        pids = descendants(process.pid)
        assert len(pids) > len(SERVICES)

        # When it is told to stop
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)

        # Then all of it ends, soon and in peace
        assert process.wait(10) == 0
        assert time.monotonic() - asked < 10
        assert not [pid for pid in pids if is_alive(pid)]
        assert not (tmp_path / "demo.json").exists()

    # And the next one has the same account with the same mail, at once
    with started(tmp_path, web) as process:
        second = published(tmp_path, process)
        assert second["account"] == first["account"]
        assert "Garden party" in subjects(second)


@pytest.mark.parametrize(
    ("victim", "named"),
    [(b"postwire_worker.watcher", "log/watcher.log"), (b"valkey-server", "log")],
)
def test_a_process_that_dies_stops_the_demo_and_names_its_log(
    tmp_path: Path, web: Path, victim: bytes, named: str
) -> None:
    with started(tmp_path, web) as process:
        published(tmp_path, process)
        (pid,) = [pid for pid in descendants(process.pid) if victim in command_of(pid)]
        os.kill(pid, signal.SIGKILL)
        assert process.wait(15) == 1
    assert str(tmp_path / named) in (tmp_path / "terminal").read_text().splitlines()[-1]


@contextmanager
def started(var: Path, web: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo; what it says goes to `var`/terminal."""
    with (var / "terminal").open("ab") as terminal:
        process = subprocess.Popen(command(var, web), stdout=terminal, stderr=terminal)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def command(var: Path, web: Path) -> list[str]:
    return [sys.executable, "-m", "postwire_demo", str(var), str(web)]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def published(var: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the demo publishes, as soon as it does."""
    file = var / "demo.json"
    assert eventually(lambda: file.exists() or process.poll() is not None, PATIENCE)
    assert process.poll() is None, (var / "terminal").read_text()
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def subjects(demo: dict[str, Any]) -> set[str]:
    answer = httpx.get(
        f"{demo['api']}/api/messages",
        params={"limit": 200},
        headers={"Authorization": f"Bearer {demo['token']}"},
    )
    answer.raise_for_status()
    return {message["subject"] for message in answer.json()["messages"]}


def now() -> datetime:
    return datetime.now(UTC)
