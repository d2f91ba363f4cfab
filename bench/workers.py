"""What Postwire's sync-workers spend on an account with all of its mail, until a sync is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench import cost
from bench.cost import Ran
from support.mailbox import MailUser
from support.proc import peak_memory
from support.system import System

#: Both have a share: what takes longer than 20 s goes on behind the machine's jobs.
_WORKERS = ("sync-worker-manual", "sync-worker")
_OWNER = "robin"


def spend(
    system: System, begin: Callable[[], object], inbox: dict[str, int], patience: float
) -> Ran:
    """From the begin until the API tells of INBOX what is wanted; the peak is the larger one's.

    Raises:
        TimeoutError: it does not within `patience` seconds.
    """
    pids = [system.service(name).process.pid for name in _WORKERS]
    for pid in pids:
        # The peak begins anew, at what the process has now (proc(5)).
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = sum(map(cost.cpu, pids))
    began = time.monotonic()
    begin()
    _wait_until(system, inbox, patience)
    seconds = time.monotonic() - began
    return Ran(seconds, sum(map(cost.cpu, pids)) - before, max(map(peak_memory, pids)), "")


def memory(system: System) -> float:
    """The most memory that the larger one had so far, in MB."""
    return max(peak_memory(system.service(name).process.pid) for name in _WORKERS)


def add_whole(system: System, user: MailUser) -> None:
    """Add the user's account, without a window."""
    server = user.server
    account = {
        "address": user.name,
        "password": server.password,
        "host": server.host,
        "port": server.port,
        "security": "none",
        "windowDays": None,
    }
    with system.api(_OWNER) as api:
        api.post("/api/accounts", json=account).raise_for_status()


def _wait_until(system: System, wanted: dict[str, int], patience: float) -> None:
    until = time.monotonic() + patience
    with system.api(_OWNER) as api:
        (account,) = api.get("/api/accounts").json()["accounts"]
        path = f"/api/accounts/{account['id']}/mailboxes"
        while not wanted.items() <= (inbox := _inbox(api.get(path).json())).items():
            if time.monotonic() > until:
                raise TimeoutError(f"Of INBOX {inbox} is stored, and {wanted} is wanted")
            time.sleep(0.1)


def _inbox(told: dict[str, list[dict[str, int]]]) -> dict[str, int]:
    return next((one for one in told["mailboxes"] if one["name"] == "INBOX"), {})
