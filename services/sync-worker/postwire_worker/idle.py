"""IDLE (RFC 2177) on a connection that is logged in, with a reader of our own.

`Idle` is fed bytes as they come, in whatever pieces, and never blocks: the watcher asks its
socket for more when there is more. It sees the end of the connection, joins lines that come in
two segments, knows what was buffered before it began, and takes what a server says before its
continuation.
"""

from __future__ import annotations

import ssl
from enum import Enum, auto
from socket import socket

from postwire.errors import ConnectionLost, ServerBusy
from postwire.metrics import IMAP_TURNED_AWAY
from postwire_worker import refusals

#: Bytes of a line; a server that sends a longer one in IDLE is broken.
_LINE_LIMIT = 64 * 1024
_READ = 16 * 1024
#: Reads at one readiness, so that one chatty server does not starve the others.
_READS = 64
#: What tells that the mailbox is no longer what it was (RFC 3501 §7.3-7.4, RFC 7162 §3.2.10).
_CHANGES = (b"EXISTS", b"EXPUNGE", b"FETCH", b"VANISHED")


class Phase(Enum):
    """Where the conversation stands."""

    ASKED = auto()  # IDLE was sent, the continuation is awaited
    IDLING = auto()
    ENDING = auto()  # DONE was sent, the tagged answer is awaited


class Idle:
    """One connection in IDLE; `ahead` are bytes that were read from it before.

    What happens is counted as the `provider`'s.
    """

    def __init__(self, connection: socket, ahead: bytes, provider: str) -> None:
        self._connection = connection
        self._provider = provider
        self._buffer = bytearray(ahead)
        self._number = 0
        self._tag = b""
        self._ask()

    def _ask(self) -> None:
        self._number += 1
        self._tag = b"PW%d" % self._number
        self._send(self._tag + b" IDLE\r\n")
        self.phase = Phase.ASKED

    @property
    def waits(self) -> bool:
        """Whether the server has agreed to tell us of changes."""
        return self.phase is Phase.IDLING

    def renew(self) -> None:
        """Leave IDLE and enter it again, before server or network forget the connection."""
        if self.phase is Phase.IDLING:
            self._send(b"DONE\r\n")
            self.phase = Phase.ENDING

    def read(self) -> bool:
        """Take what has come; whether the mailbox has changed.

        Raises:
            ConnectionLost: the connection has ended, or what comes is no IMAP.
            ServerBusy: the server asks to come back later.
        """
        # What was buffered before counts too, so the lines come before the first read.
        changed = self._understand_lines()
        for _ in range(_READS):
            if not self._receive():
                break
            changed |= self._understand_lines()
        return changed

    def _receive(self) -> bool:
        try:
            data = self._connection.recv(_READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise ConnectionLost("The mail server broke the connection off.") from error
        if not data:
            # The end of TCP, or of TLS without the end of TCP: nothing will come any more.
            raise ConnectionLost("The mail server closed the connection.")
        self._buffer += data
        return True

    def _understand_lines(self) -> bool:
        changed = False
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            changed |= self._understand(line)
        if len(self._buffer) > _LINE_LIMIT:
            raise ConnectionLost("The mail server sends a line without an end.")
        return changed

    def _understand(self, line: bytes) -> bool:
        words = line.upper().split(b" ", 3)
        match words:
            case [b"*", b"BYE", *_]:
                IMAP_TURNED_AWAY.labels(provider=self._provider, kind="bye").inc()
                raise self._busy(line) or ConnectionLost("The mail server said good-bye.")
            case [b"*", _, kind, *_] if kind in _CHANGES:
                return True
            case [b"*", b"VANISHED", *_]:
                return True
            case [b"+", *_]:
                if self.phase is Phase.ASKED:
                    self.phase = Phase.IDLING
            case [tag, status, *_] if tag == self._tag:
                # Asking again without having said DONE would be a loop at the server's will.
                if status != b"OK" or self.phase is not Phase.ENDING:
                    raise self._busy(line) or ConnectionLost("The mail server refuses IDLE.")
                self._ask()
        return False

    def _send(self, line: bytes) -> None:
        try:
            # A few bytes on an idle connection fit into any buffer; if not, it is dead.
            self._connection.sendall(line)
        except OSError as error:
            raise ConnectionLost("The mail server broke the connection off.") from error

    def _busy(self, line: bytes) -> ServerBusy | None:
        return refusals.busy(line.decode("utf-8", "replace"), self._provider)
