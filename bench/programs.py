"""Programs that are measured beside Postwire; each is given the mail of one user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bench import cost
from bench.cost import Ran
from postwire_demo.node import node as node_binary
from support.mailbox import MailUser

_PEERS = Path(__file__).parent / "peers"
#: Without fsync: a floor that waits for a disk is none.
_MBSYNC = """FSync no
SyncState *

IMAPAccount server
Host {host}
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN

IMAPStore there
Account server

MaildirStore here
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :there:
Near :here:
Patterns *
Sync Pull
Create Near
"""


def node(script: str, user: MailUser, timeout: float, port: int | None = None, **env: str) -> Ran:
    """Run `script`.mjs to its end; the mail server is reached by `port` where it is not its own."""
    given = {
        "HOST": user.server.host,
        "PORT": str(port or user.server.port),
        "LOGIN": user.name,
        "PASSWORD": user.server.password,
    }
    command = [node_binary(), str(_PEERS / f"{script}.mjs")]
    return cost.run(command, timeout, os.environ | given | env)


def mbsync(
    user: MailUser, folder: Path, timeout: float, port: int | None = None
) -> Callable[[], Ran]:
    """What brings the maildirs in `folder` up to date, each time it is called."""
    settings = folder / "mbsyncrc"
    settings.write_text(
        _MBSYNC.format(
            host=user.server.host,
            port=port or user.server.port,
            user=user.name,
            password=user.server.password,
            folder=folder,
        )
    )
    return lambda: cost.run(["mbsync", "-qq", "-c", str(settings), "-a"], timeout)
