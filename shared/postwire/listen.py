"""Where a process takes connections, by IPv4, IPv6 or both."""

from __future__ import annotations

import socket

#: Connections that wait until they are taken.
_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at the address; at `::` for IPv4 as well. Port 0 takes a free one.

    Raises:
        OSError: that is not to be had.
    """
    listening = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        backlog=_BACKLOG,
        dualstack_ipv6=host == "::",
    )
    # Its connections inherit it, and asyncio does not see that they are TCP. Without it the second
    # part of an answer waits for the ACK of the first, which clients delay for 40 ms (RFC 896).
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
