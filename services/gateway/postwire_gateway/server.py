"""The Socket.IO server: python-socketio's, taking nothing from a client on trust."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import engineio
import msgspec
import socketio
import structlog
from engineio.packet import Packet

from postwire.metrics import SOCKETS_CUT
from postwire_gateway.bucket import Bucket
from postwire_gateway.outbox import Outbox
from postwire_gateway.rooms import Rooms
from postwire_gateway.websocket import PlainWebSocket

#: Bytes of the largest packet a client may send; a token with 300 accounts has 16,000.
MAX_INBOUND = 16 * 1024
#: Names of its own life cycle that python-socketio would also take from a client as events.
_RESERVED = {"connect", "disconnect"}
#: Packet types that promise attachments; python-socketio collects as many as a client promises.
_BINARY = {"5", "6"}
#: Where a connection's bucket lies in its environ, which goes when the connection does.
_BUCKET = "postwire.bucket"

log = structlog.get_logger()


class _Engine(engineio.AsyncServer):  # type: ignore[misc]  # engineio ships no types
    """An Engine.IO server whose queues know how much they hold."""

    def create_queue(self, *_: object, **__: object) -> Outbox:
        """The queue of one socket."""
        return Outbox()


class Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio ships no types
    """An AsyncServer that cuts off whoever breaks the protocol."""

    async def cut(self, eio_sid: str, reason: str) -> None:
        """End a connection now; `reason` is counted. A client of ours connects again by itself."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is None or connection.closing:
            return
        SOCKETS_CUT.labels(reason=reason).inc()
        await connection.close(wait=False)
        connection.queue.put_nowait(None)  # ends the writer, which closes the WebSocket

    async def hand_over(self, eio_sid: str, packet: Packet, frame: bytes) -> None:
        """Send a browser a packet, which `frame` holds; cut it off if too much waits for it."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is None or connection.closing or connection.queue.write(frame):
            return
        if connection.queue.is_full:
            await self.cut(eio_sid, "slow")
        else:
            await connection.send(packet)

    def _engineio_server_class(self) -> type[engineio.AsyncServer]:
        return _Engine

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if eio_sid not in self.environ:
            return  # it has been cut, but goes on sending
        if not self.environ[eio_sid].setdefault(_BUCKET, Bucket()).take():
            await self.cut(eio_sid, "flood")
            return
        try:
            if not isinstance(data, str) or data[:1] in _BINARY:
                raise TypeError("nothing here is binary")  # noqa: TRY301 - one way out
            await super()._handle_eio_message(eio_sid, data)
        except Exception as error:  # noqa: BLE001 - whatever a client sent: it goes, we stay
            log.info("a client does not speak Socket.IO", error=type(error).__name__)
            await self.cut(eio_sid, "malformed")

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        if reason == self.reason.CLIENT_DISCONNECT:
            # engineio would leave its long poll unanswered for up to 45 s.
            self.eio.sockets[eio_sid].queue.put_nowait(None)

    async def _handle_event(
        self,
        eio_sid: str,
        namespace: str | None,
        id: int | None,  # noqa: A002 - python-socketio's name
        data: list[object],
    ) -> None:
        # A client that said "disconnect" as an event would end its timer and live on.
        if data[0] in _RESERVED:
            raise ValueError("a reserved event")
        await super()._handle_event(eio_sid, namespace, id, data)


class _Json:
    """What goes out is an `events.Event` or a plain dict; what comes in, engineio guards."""

    loads = staticmethod(engineio.json.loads)

    @staticmethod
    def dumps(data: object, **_: object) -> str:
        return msgspec.json.encode(data).decode()


def make_server(origins: list[str]) -> Server:
    """A server that browsers of its own origin and of `origins` may connect to."""
    server = Server(
        client_manager=Rooms(),
        async_mode="aiohttp",
        # In turn, on the connection's own task: a flood of events waits in the client's TCP.
        async_handlers=False,
        cors_allowed_origins=_origin_check(origins),
        cors_credentials=True,
        engineio_logger=logging.getLogger("engineio"),
        http_compression=False,
        json=_Json,
        logger=logging.getLogger("socketio"),
        max_http_buffer_size=MAX_INBOUND,
        ping_interval=25,
        ping_timeout=20,
        transports=["websocket", "polling"],
    )
    # A copy: the driver's table is one for the whole Python process.
    server.eio._async = {**server.eio._async, "websocket": PlainWebSocket}  # noqa: SLF001
    return server


def _origin_check(origins: list[str]) -> Callable[[str, dict[str, str]], bool]:
    def allowed(origin: str, environ: dict[str, str]) -> bool:
        return origin in origins or urlsplit(origin).netloc == environ.get("HTTP_HOST")

    return allowed
