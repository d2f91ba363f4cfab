"""A large attachment from the mail server to whoever asks: time and memory.

    PYTHONPATH=tests python bench/attachment.py [MEGABYTES]

Everything is real and runs on this machine: PostgreSQL, Valkey, Dovecot and all processes. The
attachment is asked for twice: fetched, then from what is kept.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from support.mailbox import MailUser, letter
from support.proc import peak_memory
from support.system import System, run_everything

#: Seconds until the message must be stored.
PATIENCE = 60.0


def main() -> None:
    """Deliver one message and print what its attachment took."""
    data = os.urandom((int(sys.argv[1]) if len(sys.argv) > 1 else 20) * 2**20)
    with running() as (system, user), system.api("robin") as api:
        user.append(letter(attachment=data))
        system.add_account(user)
        path = f"/api/messages/{stored(api)}/attachments/1"
        print(f"{len(data) / 2**20:.0f} MB; peak memory before: {memory(system)}")
        for name in ("fetched", "kept"):
            first, whole = read(api, path, hashlib.sha256(data).hexdigest())
            print(f"{name}: first byte {first:.3f} s, last byte {whole:.3f} s; {memory(system)}")


@contextmanager
def running() -> Iterator[tuple[System, MailUser]]:
    """All of it, with a mail user who has no account yet."""
    with ExitStack() as stack:
        system, server = stack.enter_context(run_everything())
        yield system, MailUser(server, server.new_user())


def stored(api: httpx.Client) -> str:
    """The id of the message, once it is stored."""
    deadline = time.monotonic() + PATIENCE
    while not (found := api.get("/api/messages").json()["messages"]):
        if time.monotonic() > deadline:
            raise SystemExit("the message was not stored")
        time.sleep(0.1)
    return str(found[0]["id"])


def read(api: httpx.Client, path: str, expected: str) -> tuple[float, float]:
    """Seconds until the first byte and the last one; the bytes must be those that were sent."""
    began, first, found = time.monotonic(), 0.0, hashlib.sha256()
    with api.stream("GET", path) as answer:
        for piece in answer.iter_raw():
            first = first or time.monotonic() - began
            found.update(piece)
    if found.hexdigest() != expected:
        raise SystemExit(f"the answer was {answer.status_code}, or other bytes")
    return first, time.monotonic() - began


def memory(system: System) -> str:
    """The most memory that API and worker had so far."""
    wanted = [
        service for service in system.services if service.name in {"api", "sync-worker-manual"}
    ]
    return ", ".join(f"{one.name} {peak_memory(one.process.pid):.0f} MB" for one in wanted)


if __name__ == "__main__":
    main()
