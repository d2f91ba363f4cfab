"""The operator's proxy, through which mail servers and token endpoints are reached where it is set.

HTTP CONNECT (RFC 9110 §9.3.6) to an address that the dialer has checked; TLS begins behind it, so
that the proxy sees whom we speak to and no word of it.
"""

from __future__ import annotations

import re
import socket
import time
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from postwire.errors import ProxyFailed

#: Bytes of a reply, of which nothing is wanted but the status.
_ROOM = 16 * 1024
#: The end of its header; a line may end without CR (RFC 9112 §2.2).
_END = (b"\n\r\n", b"\n\n")
_STATUS = re.compile(rb"HTTP/1\.\d ([1-5]\d\d)\b")
#: The former is what some say who mean the latter (RFC 9110 §15.5.8).
_WRONG_CREDENTIAL = (401, 407)


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is, and the credential that it wants, if any (RFC 7617)."""

    host: str
    port: int
    credential: str = field(default="", repr=False)

    def __str__(self) -> str:
        return _authority(self.host, self.port)

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """A connection to the address, of which not one byte was read yet; `timeout` in seconds.

        Raises:
            ProxyFailed: in words, which name the proxy and never the credential.
        """
        until = time.monotonic() + timeout
        connection = self._reach(timeout)
        try:
            connection.sendall(self._request(_authority(address, port)))
            self._check(_reply(connection, until))
            connection.settimeout(timeout)
        except TimeoutError:
            connection.close()
            # It may be the server that does not answer, and the proxy that waits for it.
            raise ProxyFailed(
                f"The proxy {self} has not reached the server in time.", of_address=True
            ) from None
        except (OSError, ValueError):
            connection.close()
            raise ProxyFailed(f"The proxy {self} gave no usable answer.") from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _reach(self, timeout: float) -> socket.socket:
        try:
            return socket.create_connection((self.host, self.port), timeout)
        except TimeoutError:
            raise ProxyFailed(f"The proxy {self} does not answer in time.") from None
        except (OSError, UnicodeError):
            raise ProxyFailed(f"The proxy {self} cannot be reached.") from None

    def _request(self, target: str) -> bytes:
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.credential:
            lines.append(f"Proxy-Authorization: Basic {self.credential}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def _check(self, reply: bytes) -> None:
        match = _STATUS.match(reply)
        if not match:
            raise ValueError("no status line")
        status = int(match[1])
        if status in _WRONG_CREDENTIAL:
            raise ProxyFailed(
                f"The proxy {self} wants another user name or password ({status}); "
                "whoever runs Postwire has to look at POSTWIRE_MAIL_PROXY."
            )
        if status >= 500:  # noqa: PLR2004 - its own failure, or of the way from there
            raise ProxyFailed(f"The proxy {self} does not get there ({status}).", of_address=True)
        if status >= 300 or status < 200:  # noqa: PLR2004 - not successful
            raise ProxyFailed(f"The proxy {self} does not let us through ({status}).")


def make_proxy(url: str) -> Proxy:
    """The proxy of a setting that was found to be right."""
    parts = urlsplit(url)
    credential = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credential = b64encode(pair.encode()).decode()
    return Proxy(parts.hostname or "", parts.port or 0, credential)


def _authority(host: str, port: int) -> str:
    """Host and port, an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reply(connection: socket.socket, until: float) -> bytes:
    """The proxy's reply, and not one byte of what may have come along with it.

    Raises:
        TimeoutError: it has no end by then.
        ValueError: it has no end at all.
    """
    reply = bytearray()
    while not reply.endswith(_END):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        byte = connection.recv(1)
        if not byte or len(reply) == _ROOM:
            raise ValueError("a reply without an end")
        reply += byte
    return bytes(reply)
