"""Run the API: `python -m postwire_api`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import chain
from types import FrameType

import uvicorn
from litestar import Litestar

from postwire import keys, log, ops
from postwire.errors import SettingsError
from postwire.listen import listen
from postwire.settings import ApiSettings, load
from postwire.store import pool
from postwire_api.app import create_app

#: Seconds that requests under way may still take when the process is asked to stop.
_GRACE = 5
#: Seconds after which the process is gone, even if PostgreSQL holds a thread for ever.
_LAST = 8.0
#: Connections at once; one more is answered 503 by uvicorn.
_CONNECTIONS = 1000
#: Seconds an idle connection is kept: longer than the 60 s that load balancers keep theirs.
_KEEP_ALIVE = 75


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        last = threading.Timer(_LAST, os._exit, [0])
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)


def main() -> int:
    """Serve until a signal; the exit code is 2 when the settings are not usable."""
    try:
        settings = load(ApiSettings)
        app = create_app(settings)
        with pool.make_pool(
            settings.database_url.get_secret_value(), 1, prepare=settings.database_prepare
        ) as store:
            keys.check_at_start(store, settings.keyring())
    except SettingsError as error:
        sys.stderr.write(f"postwire api: {error}\n")
        return 2
    log.set_up(settings.log_level, "api")
    app.on_startup.append(lambda: _serve_ops(settings, app))
    # uvicorn stops gracefully and then raises the signal again; that is to end us well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server = _Server(_config(settings, app))
    server.run([listen(settings.api_host, settings.api_port)])
    return 0 if server.started else 1


def _config(settings: ApiSettings, app: Litestar) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        # Its lines would hold query strings; the metrics count, and problems are logged.
        access_log=False,
        server_header=False,
        # Anybody can send the header; without a proxy to believe it is not even read.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(chain.from_iterable(map(_as_seen, settings.trusted_proxies))),
        ws="none",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )


def _as_seen(network: IPv4Network | IPv6Network) -> Iterator[str]:
    """The network as peers of it appear: at `::` as IPv4-mapped (RFC 4291 §2.5.5.2), too."""
    yield str(network)
    if network.version == 4:  # noqa: PLR2004 - of IP
        yield f"::ffff:{network.network_address}/{96 + network.prefixlen}"


def _serve_ops(settings: ApiSettings, app: Litestar) -> None:
    ops.serve(
        "api",
        settings.ops_host,
        settings.ops_port,
        live={"event loop": app.state.pulse.check},
        ready={"postgresql": lambda: pool.check(app.state.store)},
        shown={"redis": app.state.queue.check},
    )


if __name__ == "__main__":
    sys.exit(main())
