"""A real PgBouncer that lends connections out by the transaction; clients need TLS."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from postwire_demo.processes import HOST, accepts, free_port, spawn, stop, wait_until
from postwire_demo.servers import as_owner_of
from support.dovecot import write_certificate

#: Everything else is PgBouncer's default; `ignore_startup_parameters` above all, which is empty.
_SETTINGS = """
[databases]
* = host={host} port={postgres_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = 5
auth_type = scram-sha-256
auth_file = {folder}/users
client_tls_sslmode = require
client_tls_key_file = {folder}/server.key
client_tls_cert_file = {folder}/server.pem
"""


@contextmanager
def pgbouncer(binary: str, folder: Path, database: str, role: str, password: str) -> Iterator[str]:
    """Run PgBouncer in `folder`, which must be empty, before the server of `database`.

    Yields the URL of the same database for `role`, which verifies the certificate.
    """
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    write_certificate(folder)
    port, server = free_port(), urlsplit(database)
    values = {"host": HOST, "port": port, "postgres_port": server.port, "folder": folder}
    (folder / "pgbouncer.ini").write_text(_SETTINGS.format(**values))
    (folder / "users").write_text(f'"{role}" "{password}"\n')
    for file in folder.iterdir():
        os.chown(file, folder.stat().st_uid, folder.stat().st_gid)
    log = folder / "log"
    command = [*as_owner_of(folder), binary, str(folder / "pgbouncer.ini")]
    process = spawn(command, log, at_our_death=signal.SIGINT)
    try:
        wait_until(lambda: accepts(port), process, "PgBouncer", log)
        verified = f"sslmode=verify-full&sslrootcert={folder / 'server.pem'}"
        yield f"postgresql://{role}:{password}@localhost:{port}{server.path}?{verified}"
    finally:
        stop(process, signal.SIGINT, seconds=5)
