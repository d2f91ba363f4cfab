"""A web server that is there to be asked nothing, and notes whoever asks all the same."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from postwire_demo.processes import HOST

#: One red pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


class Canary(ThreadingHTTPServer):
    """Where it listens, and who came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        #: Connections, also those over which nothing was asked.
        self.connections = 0
        #: Paths that were asked for.
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        """The name and port, as they stand in a URL."""
        return f"{HOST}:{self.server_port}"

    def get_request(self) -> tuple[Any, Any]:
        """The next connection, which counts even where nothing comes over it."""
        accepted = super().get_request()
        self.connections += 1
        return accepted


class _Handler(BaseHTTPRequestHandler):
    server: Canary
    timeout = 10

    def do_GET(self) -> None:
        """Give what runs where it can, and an image where that is asked for."""
        if self.path == "/":
            # Only to have an origin; nobody minds.
            self._answer("text/html", b"<!doctype html><link rel=icon href='data:,'><body>")
            return
        self.server.asked.append(self.path)
        name = self.path.strip("/").partition("/")[0]
        kind, content = "text/html", f"<script>hit({name})</script>".encode()
        if self.path.endswith(".js"):
            kind, content = "text/javascript", f"hit({name})".encode()
        elif self.path.endswith(".css"):
            kind, content = "text/css", b"p{color:red}"
        elif self.path.endswith((".png", ".gif")):
            kind, content = "image/png", PNG
        self._answer(kind, content)

    do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - theirs

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: who came is noted already."""


@contextmanager
def canary(certificate: Path | None = None) -> Iterator[Canary]:
    """Run one; in TLS where there is a `certificate`, its key beside it."""
    with Canary() as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)
