"""What lets a test's own servers be connected to, which are on the loopback."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from postwire_worker.dialer import Dialer
from postwire_worker.imap import make_ssl_context

#: The setting, for processes.
LOOPBACK = "127.0.0.0/8"


def local_dialer(ca_file: Path | None = None) -> Dialer:
    """Leads to the public internet and the loopback; trusts `ca_file` beside the system's."""
    return Dialer(make_ssl_context(ca_file), (IPv4Network(LOOPBACK),))
