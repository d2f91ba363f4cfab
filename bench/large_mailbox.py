"""A large mailbox: how long its first sync takes, and how much memory the worker needs at most.

    PYTHONPATH=tests python bench/large_mailbox.py [MESSAGES]

Everything is real and runs on this machine. After the first sync all flags are changed at once, and
then the older half of them is expunged.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import httpx

from support.mailbox import MailUser, letter
from support.proc import peak_memory
from support.system import System, run_everything

#: Seconds until each step must have come to its end.
PATIENCE = 3600.0


def main() -> None:
    """Fill a mailbox, and print what each step took."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with run_everything() as (system, server), system.api("robin") as api:
        user = MailUser(server, server.new_user())
        with user.session() as mail:
            mail.select_folder("INBOX")
            mail.socket().settimeout(PATIENCE)
            fill(user, messages)
            mail.select_folder("INBOX")
            account = system.add_account(user)

            def stored() -> dict[str, int]:
                return inbox(api, account)

            show(system, "first sync", lambda: stored()["messages"] == messages)
            mail.add_flags("1:*", r"\Seen", silent=True)
            show(system, "all flags changed", lambda: stored()["unread"] == 0)
            mail.delete_messages(f"1:{messages // 2}", silent=True)
            mail.expunge()
            show(system, "half of it expunged", lambda: stored()["messages"] == messages // 2)


def fill(user: MailUser, messages: int) -> None:
    """Put so many messages into INBOX, as files: APPEND would take longer than the sync."""
    folder = user.server.ca_file.parent / "mail" / user.name / "Maildir" / "new"
    owner = folder.stat()
    for n in range(messages):
        file = folder / f"{n}.postwire"
        file.write_bytes(letter(f"Message {n}", f"Words of message {n}. " * 40))
        os.chown(file, owner.st_uid, owner.st_gid)


def inbox(api: httpx.Client, account: str) -> dict[str, int]:
    """What is stored of INBOX."""
    found = api.get(f"/api/accounts/{account}/mailboxes").json()["mailboxes"]
    counts: dict[str, int] = next((one for one in found if one["name"] == "INBOX"), {})
    return counts or {"messages": 0, "unread": 0}


def show(system: System, step: str, done: Callable[[], bool]) -> None:
    """Wait for the end of a step; print its time, and the worker's peak of memory so far."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"not done: {step}")
        time.sleep(1)
    (worker,) = [one for one in system.services if one.name == "sync-worker"]
    took, peak = time.monotonic() - began, peak_memory(worker.process.pid)
    print(f"{step}: {took:.0f} s, peak memory of the worker {peak:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
