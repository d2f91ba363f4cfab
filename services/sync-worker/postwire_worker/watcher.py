"""The watcher: an IDLE connection for each account it holds a lease on; `python -m …watcher`.

One thread waits for all sockets at once (see `loop`); connecting and asking for jobs is done by a
few others. Where a server has no IDLE, the account is looked at every so often.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor

import structlog

from postwire import log, ops
from postwire.errors import SettingsError, StoreUnavailable
from postwire.metrics import WATCHED_ACCOUNTS
from postwire.model import Account, AccountId
from postwire.settings import WatcherSettings, load
from postwire.store import leases
from postwire.store.pool import check, transaction
from postwire_worker import backlog, clock, removal
from postwire_worker.client import cut_overdue
from postwire_worker.ending import leave, on_signal
from postwire_worker.loop import Loop
from postwire_worker.runtime import Runtime, make_runtime
from postwire_worker.watch import Desk, Watch

#: Seconds between two rounds of leases; a third of their length.
_ROUND = 4.0
#: Connections that are opened at the same time.
_CONNECTING = 16
#: Threads that talk to PostgreSQL and Redis.
_CLERKS = 6


class Watcher:
    """Holds leases, and a watch for each."""

    def __init__(self, runtime: Runtime, settings: WatcherSettings) -> None:
        self._runtime = runtime
        self._limit = settings.watch_accounts
        self._watches: dict[AccountId, Watch] = {}
        self.loop = Loop()
        self._desk = Desk(
            runtime,
            self.loop,
            ThreadPoolExecutor(_CONNECTING, thread_name_prefix="connect"),
            ThreadPoolExecutor(_CLERKS, thread_name_prefix="clerk"),
            settings.poll_seconds,
        )

    def run(self) -> None:
        """Watch until the loop is stopped; give all leases back at the end."""
        for every, work in (
            (_ROUND, self._round),
            (1.0, lambda: clock.ask_due(self._runtime)),
            (5.0, lambda: clock.sweep(self._runtime)),
            (5.0, lambda: clock.sweep_attachments(self._runtime)),
            (5.0, lambda: clock.measure(self._runtime)),
            (5.0, cut_overdue),
            (5.0, lambda: backlog.work_off(self._runtime)),
            (5.0, lambda: removal.remove(self._runtime)),
        ):
            self.loop.repeat(self._desk.clerks, every, work)
        self.loop.run()
        self._end()

    def _round(self) -> None:
        """Renew what is held and claim what is free; runs in a thread."""
        room = self._limit - len(self._watches)
        with transaction(self._runtime.pool) as connection:
            if room > 0:
                leases.claim(connection, self._runtime.holder, room)
            held = leases.renew(connection, self._runtime.holder)
        self.loop.call(lambda: self._hold({account.id: account for account in held}))

    def _hold(self, held: dict[AccountId, Account]) -> None:
        for account_id in set(self._watches) - set(held):
            self._watches.pop(account_id).end()
        for account_id, account in held.items():
            if watch := self._watches.get(account_id):
                watch.update(account)
            else:
                self._watches[account_id] = Watch(self._desk, account)
        idling = sum(watch.idling for watch in self._watches.values())
        WATCHED_ACCOUNTS.labels(mode="idle").set(idling)
        WATCHED_ACCOUNTS.labels(mode="other").set(len(self._watches) - idling)

    def _end(self) -> None:
        for watch in self._watches.values():
            watch.end()
        for threads in (self._desk.connectors, self._desk.clerks):
            threads.shutdown(wait=False, cancel_futures=True)
        with (
            contextlib.suppress(StoreUnavailable),
            transaction(self._runtime.pool) as connection,
        ):
            leases.release(connection, self._runtime.holder)


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = load(WatcherSettings)
        log.set_up(settings.log_level, "watcher")
        runtime = make_runtime(settings, connections=_CLERKS + 2)
    except SettingsError as error:
        sys.stderr.write(f"postwire watcher: {error}\n")
        return 2
    watcher = Watcher(runtime, settings)
    on_signal(watcher.loop.stop)
    port = ops.serve(
        settings.ops_host,
        settings.ops_port,
        live={"loop": watcher.loop.stuck},
        ready={"database": lambda: check(runtime.pool)},
    )
    structlog.get_logger().info("ready", ops_port=port)
    watcher.run()
    runtime.close()
    return 0


if __name__ == "__main__":
    leave(main())
