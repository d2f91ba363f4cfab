"""The one way to a host that somebody named: a mail server, or a provider's token endpoint.

The name is resolved once, each address is checked, and the very address that was checked is
connected to: a name server that gives another answer the next time is not asked again. Where there
is a proxy, it is asked for that address, and nothing else is connected to.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from postwire.errors import AddressForbidden, ProxyFailed
from postwire_worker.networks import Networks, is_open
from postwire_worker.proxy import Proxy

#: Addresses of one name that are tried; each may take the whole timeout.
TRIES = 4

#: Address family and socket address, as sockets take them; the first of the latter is the address.
Target: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Dialer:
    """What all connections of a process share; by default it leads to the public internet only."""

    ssl_context: ssl.SSLContext
    allowed: Networks = ()
    proxy: Proxy | None = None

    def resolve(self, host: str, port: int) -> list[Target]:
        """The addresses of the name that may be connected to, best first; `TRIES` at most.

        A name that leads to others as well leads to these only.

        Raises:
            AddressForbidden: it leads to others only.
            OSError, UnicodeError: it leads nowhere.
        """
        found: list[Target] = [
            (family, sockaddr)
            for family, _, _, _, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        ]
        checked = [one for one in found if is_open(one[1][0], self.allowed)]
        if found and not checked:
            # The operator has to know it; whoever named the host must not learn what it leads to.
            log.warning("host refused", host=host, addresses=[one[0] for _, one in found[:TRIES]])
            raise AddressForbidden(
                f"{host} leads to a private or reserved address; whoever runs Postwire can allow "
                "its network with POSTWIRE_ALLOWED_NETWORKS."
            )
        return checked[:TRIES]

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect by TCP to the first that answers; `timeout` in seconds for each.

        Raises:
            AddressForbidden, OSError, UnicodeError: as `resolve`, or none answers.
            ProxyFailed: the proxy does not lead there.
        """
        failure: Exception = OSError("the name has no address")
        for target in self.resolve(host, port):
            try:
                return self._reach(target, timeout)
            except OSError as error:
                failure = error
            except ProxyFailed as error:
                if not error.of_address:
                    raise
                failure = error
        raise failure

    def _reach(self, target: Target, timeout: float) -> socket.socket:
        family, sockaddr = target
        if self.proxy:
            return self.proxy.connect(sockaddr[0], sockaddr[1], timeout)
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(sockaddr)
        except OSError:
            connection.close()
            raise
        return connection
