"""A real Dovecot for one test run: any login with one password, in a temporary folder."""

from __future__ import annotations

import grp
import itertools
import os
import pwd
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from postwire_demo.processes import HOST, free_port, spawn, stop, wait_until
from postwire_demo.servers import as_owner_of

TEMPLATE = Path(__file__).with_name("dovecot.conf")


@dataclass(frozen=True, slots=True)
class Dovecot:
    """Where it listens, and what opens it."""

    #: Without TLS; STARTTLS is offered.
    port: int
    #: TLS from the first byte.
    tls_port: int
    #: The same for every login.
    password: str
    #: PEM of the certificate, which is its own authority; it names 127.0.0.1 and localhost.
    ca_file: Path
    host: str = HOST
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_user(self) -> str:
        """A login nobody had before, with an empty INBOX and Sent."""
        return f"user{next(self._numbers)}@postwire.example"


@contextmanager
def dovecot(binary: str, folder: Path, settings: str = "") -> Iterator[Dovecot]:
    """Run Dovecot 2.3 with all its data in `folder`, which must be empty."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    write_certificate(folder)
    server = Dovecot(free_port(), free_port(), secrets.token_urlsafe(), folder / "server.pem")
    _write_settings(server, folder, settings)
    log = folder / "dovecot.log"
    command = [*as_owner_of(folder), binary, "-F", "-c", str(folder / "dovecot.conf")]
    process = spawn(command, log, at_our_death=signal.SIGINT)
    try:
        wait_until(lambda: _greets(server.port), process, "Dovecot", log)
        yield server
    finally:
        stop(process, signal.SIGTERM, seconds=5)


def _write_settings(server: Dovecot, folder: Path, further: str) -> None:
    owner = folder.stat()
    values = {
        "FOLDER": str(folder),
        "LOG": "/dev/stderr",
        "HOST": server.host,
        "PORT": str(server.port),
        "TLS_PORT": str(server.tls_port),
        "PASSWORD": server.password,
        "USER": pwd.getpwuid(owner.st_uid).pw_name,
        "GROUP": grp.getgrgid(owner.st_gid).gr_name,
    }
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (folder / "dovecot.conf").write_text(f"{text}\n{further}\n")


def write_certificate(
    folder: Path, name: str = "localhost", lasts: timedelta = timedelta(days=1)
) -> None:
    """Write `server.pem`, which is its own authority, and its `server.key` into `folder`.

    It names `name` and 127.0.0.1, and `lasts` from now on; less than nothing: it has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ip_address(HOST))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + lasts)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _greets(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as client:
            return client.recv(64).startswith(b"* OK")
    except OSError:
        return False
