"""Index what was stored before there was a search; bounded steps, by any number of watchers."""

from __future__ import annotations

import time
from dataclasses import replace

import structlog

from postwire.model import Body
from postwire.store import backlog, documents
from postwire.store.documents import Source
from postwire.store.pool import transaction
from postwire_worker import mime
from postwire_worker.runtime import Runtime

#: Messages of one transaction.
_STEP = 100
#: Seconds of one turn; between two turns the watcher has other things to do.
_TURN = 2.0

log = structlog.get_logger()


def work_off(runtime: Runtime) -> None:
    """Index for a while, as long as there is something left."""
    until = time.monotonic() + _TURN
    while _step(runtime) and time.monotonic() < until:
        pass


def _step(runtime: Runtime) -> bool:
    """Take one step of a pass that is due; whether there was one."""
    with transaction(runtime.pool) as connection:
        pass_ = backlog.take(connection)
        if pass_ is None:
            return False
        sources, below = backlog.list_next(connection, pass_, _STEP)
        documents.index(connection, pass_.account_id, map(_readable, sources))
        backlog.move(connection, pass_, below)
    if below is None:
        log.info("older messages are indexed", account=pass_.account_id)
    return True


def _readable(source: Source) -> Source:
    body = source.body or Body()
    return replace(source, body=mime.body(body.text, body.html))
