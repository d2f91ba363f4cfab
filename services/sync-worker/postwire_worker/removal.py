"""Remove what nobody needs of attachments; bounded steps, by any number of watchers."""

from __future__ import annotations

import time

from postwire.metrics import CONTENTS_REMOVED
from postwire.store import removal
from postwire.store.pool import transaction
from postwire_worker.runtime import Runtime

#: Failed requests of one turn.
_FAILED = 100
#: Seconds of one turn; between two turns the watcher has other things to do.
_TURN = 2.0


def remove(runtime: Runtime) -> None:
    """Look at what is due for a while, one content a transaction."""
    with transaction(runtime.pool) as connection:
        removal.forget_failed(connection, _FAILED)
    until = time.monotonic() + _TURN
    while _step(runtime) and time.monotonic() < until:
        pass


def _step(runtime: Runtime) -> bool:
    """Look at one content; whether there was one."""
    with transaction(runtime.pool) as connection:
        due = removal.take(connection)
        reason = removal.settle(connection, due) if due else None
    if reason:
        CONTENTS_REMOVED.labels(reason=reason).inc()
    return due is not None
