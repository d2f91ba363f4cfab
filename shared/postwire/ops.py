"""The operations port of every process: liveness, readiness and metrics.

It runs in a thread of its own, so that it answers even while the process is busy; whether the
process itself still moves is what the checks are for.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from types import MappingProxyType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from prometheus_client import make_wsgi_app

from postwire import metrics
from postwire.listen import listen
from postwire.metrics import READY, Process

#: A check returns what is wrong in words, or None.
Check = Callable[[], str | None]

log = structlog.get_logger()

_JSON = ("Content-Type", "application/json")
_NONE: Mapping[str, Check] = MappingProxyType({})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, app: WSGIApplication) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        # HTTPServer would ask the DNS for our own name, and a start must not wait for that.
        self.server_name, self.server_port = "postwire", listening.getsockname()[1]
        self.setup_environ()
        self.set_app(app)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Say little: a probe that hangs up or sends nothing is no traceback on standard error."""
        log.debug("ops request failed", error=type(sys.exception()).__name__)


class _Handler(WSGIRequestHandler):
    #: Seconds a client may take to send its request.
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: a probe every second is no news."""


def serve(
    process: Process,
    host: str,
    port: int,
    *,
    live: Mapping[str, Check],
    ready: Mapping[str, Check],
    shown: Mapping[str, Check] = _NONE,
) -> int:
    """Answer /health/live, /health/ready and /metrics until the process ends; return the port.

    What the checks of `shown` find is told beside readiness and does not fail it.
    """
    metrics.begin(process)
    exposition = make_wsgi_app()
    noted = {name: _noted(name, check) for name, check in ready.items()}

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return exposition(environ, start)  # type: ignore[no-any-return]
            case "/health/live":
                return _answer(live, _NONE, start)
            case "/health/ready":
                return _answer(noted, shown, start)
            case _:
                start("404 Not Found", [_JSON])
                return [b'{"status": "no such page; see /metrics, /health/live, /health/ready"}']

    server = _Server(listen(host, port), app)
    threading.Thread(target=server.serve_forever, name="ops", daemon=True).start()
    return server.server_port


def _answer(
    checks: Mapping[str, Check], shown: Mapping[str, Check], start: StartResponse
) -> Iterable[bytes]:
    results = {name: _run(check) for name, check in checks.items()}
    ok = not any(results.values())
    results |= {name: _run(check) for name, check in shown.items()}
    # A list of its own: wsgiref puts this answer's length into it.
    start("200 OK" if ok else "503 Service Unavailable", [_JSON])
    body = {
        "status": "ok" if ok else "failing",
        "checks": {name: wrong or "ok" for name, wrong in results.items()},
    }
    return [json.dumps(body).encode()]


def _noted(name: str, check: Check) -> Check:
    """The check, of which the metric keeps what it found: a scrape waits for no database."""

    def noted() -> str | None:
        wrong = _run(check)
        READY.labels(check=name).set(0 if wrong else 1)
        return wrong

    return noted


def _run(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that breaks has found something
        return f"the check itself failed: {type(error).__name__}"
