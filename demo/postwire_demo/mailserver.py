"""The demo's IMAP server: pymap over Maildir folders (`python -m postwire_demo.mailserver`).

pymap's own command would do, but for two things. Its Maildir backend works in threads, and there
an APPEND and a SELECT at the same time may give one message two UIDs; in one thread they cannot.
And it hashes passwords for a quarter of a second of CPU at each login, which protects no demo.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymap.backend.maildir import Config, Login, MaildirBackend
from pymap.concurrent import Subsystem
from pymap.imap import IMAPService
from pymap.main import run
from pysasl.hashing import Cleartext

from postwire_demo.processes import HOST


class _OneThread(Config):
    @classmethod
    def parse_args(cls, args: Namespace) -> Mapping[str, Any]:
        one_thread = {"subsystem": Subsystem.for_asyncio(), "hash_context": Cleartext()}
        return {**super().parse_args(args), **one_thread}


class _Backend(MaildirBackend):
    @classmethod
    async def init(cls, args: Namespace, **_: object) -> tuple[MaildirBackend, Config]:
        config = _OneThread.from_args(args)
        return cls(Login(config), config), config


def add_login(folder: Path, login: str, password: str) -> None:
    """Let `login`, and nobody else, in with `password`; the mail lies in `folder`/mail."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "pymap-etc-passwd").write_text(f"{login}:x::::mail:\n")
    (folder / "pymap-etc-shadow").write_text(f"{login}:{password}:::::::\n")
    # A server that was killed leaves its locks, and would wait for them ten minutes.
    for lock in folder.rglob("*.lock"):
        lock.unlink()


def main() -> None:
    """Serve the folder and the port of the command line until SIGTERM."""
    folder, port = sys.argv[1:]
    # pymap writes to the temporary folder and renames, which fails between two file systems.
    tempfile.tempdir = folder
    # Its greeting would ask the DNS for the machine's name.
    os.environ["FQDN"] = "localhost"
    arguments = Namespace(
        host=HOST,
        port=port,
        tls=False,
        cert=None,
        key=None,
        debug=False,
        base_dir=folder,
        layout="++",
        colon=None,
        concurrency=None,
        proxy_protocol=None,
        inherited_sockets=None,
        passlib_cfg=None,
        set_uid=None,
        set_gid=None,
    )
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(run(arguments, _Backend, [IMAPService]))


if __name__ == "__main__":
    main()
