"""A message at which the connection breaks whenever it is read, found by ever smaller batches.

Some servers end the connection, or fall silent, instead of refusing a message they cannot serve.
Nothing tells which of a batch it was, so the batch is kept in mind, and the next sync reads only a
few of it at a time. A message that breaks the connection twice when it is read alone is set aside,
as any other that cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from postwire.errors import ConnectionLost
from postwire.model import Mailbox, SetAside
from postwire.store import mailboxes
from postwire.store.pool import transaction
from postwire_worker.fetch import Fetched
from postwire_worker.listing import Run

#: How much smaller the next batch is: the first batch of a run comes down to one at once, a full
#: one by two steps, and a job has three attempts.
_FEWER = 25
_BREAKS = "The connection to the mail server breaks whenever this message is read."

log = structlog.get_logger()


def carefully(
    run: Run, mailbox: Mailbox, uids: Sequence[int], read: Callable[[Sequence[int]], Fetched]
) -> Fetched:
    """Read the first of `uids`, fewer where the connection broke before; note if it does now.

    Raises:
        ConnectionLost: the connection broke; where is kept in mind.
    """
    before = run.known[mailbox.id].stumbled or []
    some = _fewer(uids, before)
    try:
        return read(some)
    except ConnectionLost:
        if list(some) == before:
            # Whatever is asked next on this connection finds it closed.
            run.session.close()
            return Fetched(tuple(some), (), (SetAside(some[0], _BREAKS),))
        log.warning("the connection broke while messages were read", messages=len(some))
        with transaction(run.pool) as connection:
            mailboxes.stumbled(connection, mailbox.id, some)
        raise


def _fewer(uids: Sequence[int], before: Sequence[int]) -> Sequence[int]:
    return uids[: max(1, len(before) // _FEWER)] if uids[0] in before else uids
