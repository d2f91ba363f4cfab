"""The watcher: an IDLE connection for each account it holds a lease on; `python -m …watcher`.

One thread waits for all sockets at once (see `loop`); connecting and asking for jobs is done by a
few others. Where a server has no IDLE, the account is looked at every so often.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import structlog

from postwire import log, ops
from postwire.errors import SettingsError, StoreUnavailable
from postwire.metrics import WATCHED_ACCOUNTS
from postwire.model import Account, AccountId
from postwire.settings import WatcherSettings, load
from postwire.store.pool import check
from postwire_worker import backlog, clock, removal
from postwire_worker.client import cut_overdue
from postwire_worker.ending import leave, on_signal
from postwire_worker.loop import Loop
from postwire_worker.runtime import Runtime, make_runtime
from postwire_worker.share import Share
from postwire_worker.watch import Desk, Watch

#: Seconds between two rounds of the share.
_ROUND = 1.0
#: Seconds between two looks at what others have taken over, and until it is left to them.
_LOOK = 0.25
_HAND_OVER = 6.0
#: Seconds that giving the leases back may take at the end.
_LEAVE = 2.0
#: Connections that are opened at the same time.
_CONNECTING = 16
#: Threads that talk to PostgreSQL and Redis.
_CLERKS = 6
#: Open files beside those of the watched accounts.
_OTHER_FILES = 200


class Watcher:
    """Holds a share of the accounts, and a watch for each."""

    def __init__(self, runtime: Runtime, limit: int, poll_seconds: float) -> None:
        self._runtime = runtime
        self._share = Share(runtime.pool, runtime.holder, limit)
        self._watches: dict[AccountId, Watch] = {}
        #: Those of them that have come to something; made anew each time, for the rounds' thread.
        self._begun: list[AccountId] = []
        self._draining = False
        self.loop = Loop()
        #: A thread of its own: the sign of life waits for nobody.
        self._rounds = ThreadPoolExecutor(1, thread_name_prefix="rounds")
        self._desk = Desk(
            runtime,
            self.loop,
            ThreadPoolExecutor(_CONNECTING, thread_name_prefix="connect"),
            ThreadPoolExecutor(_CLERKS, thread_name_prefix="clerk"),
            poll_seconds,
        )

    def run(self) -> None:
        """Watch until the loop is stopped; give all leases back at the end."""
        self.loop.repeat(self._rounds, _ROUND, self._round)
        self._doubt()
        for every, work in (
            (1.0, lambda: clock.ask_due(self._runtime)),
            (5.0, lambda: clock.sweep(self._runtime)),
            (5.0, lambda: clock.sweep_attachments(self._runtime)),
            (5.0, lambda: clock.measure(self._runtime)),
            (60.0, lambda: clock.measure_keys(self._runtime)),
            (5.0, cut_overdue),
            (5.0, self._runtime.budget.settle),
            (5.0, lambda: clock.forget_connections(self._runtime)),
            (5.0, lambda: backlog.work_off(self._runtime)),
            (5.0, lambda: removal.remove(self._runtime)),
        ):
            self.loop.repeat(self._desk.clerks, every, work)
        self.loop.run()
        self._end()

    def drain(self) -> None:
        """Give everything back, watch it until others have it, and stop; for a signal handler."""
        self.loop.call(self._drain)

    def _drain(self) -> None:
        if not self._draining:
            self._draining = True
            self.loop.later(_HAND_OVER, self.loop.stop)
            self.loop.in_thread(self._rounds, self._share.leave, self._left)

    def _left(self, result: object) -> None:
        if isinstance(result, StoreUnavailable):
            # Nobody else can take over either.
            self.loop.stop()
        else:
            self.loop.repeat(self._rounds, _LOOK, self._round)

    def _round(self) -> None:
        """See to the share; runs in a thread."""
        accounts = self._share.round(self._begun)
        self.loop.call(lambda: self._hold({account.id: account for account in accounts}))

    def _doubt(self) -> None:
        """Let go of everything before others take over what this watcher seems dead to hold."""
        if self._watches and self._share.doubtful and not self._draining:
            structlog.get_logger().warning("no sign of life could be given; the watches end")
            self._hold({})
        self.loop.later(1.0, self._doubt)

    def _hold(self, held: dict[AccountId, Account]) -> None:
        for account_id in set(self._watches) - set(held):
            self._watches.pop(account_id).end()
        for account_id, account in held.items():
            if watch := self._watches.get(account_id):
                watch.update(account)
            else:
                self._watches[account_id] = Watch(self._desk, account)
        self._begun = [account_id for account_id, watch in self._watches.items() if watch.begun]
        idling = sum(watch.idling for watch in self._watches.values())
        WATCHED_ACCOUNTS.labels(mode="idle").set(idling)
        WATCHED_ACCOUNTS.labels(mode="other").set(len(self._watches) - idling)
        if self._draining and not held:
            self.loop.stop()

    def _end(self) -> None:
        for watch in self._watches.values():
            watch.end()
        with contextlib.suppress(StoreUnavailable, FutureTimeout):
            self._rounds.submit(self._share.end).result(_LEAVE)
        for threads in (self._desk.connectors, self._desk.clerks, self._rounds):
            threads.shutdown(wait=False, cancel_futures=True)


def allow_files(accounts: int) -> int:
    """Let the process open a file for each account; how many accounts there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = accounts + _OTHER_FILES
    if soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(accounts, soft - _OTHER_FILES))


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = load(WatcherSettings)
        log.set_up(settings.log_level, "watcher")
        runtime = make_runtime(settings, connections=_CLERKS + 3)
    except SettingsError as error:
        sys.stderr.write(f"postwire watcher: {error}\n")
        return 2
    limit = allow_files(settings.watch_accounts)
    watcher = Watcher(runtime, limit, settings.poll_seconds)
    on_signal(watcher.drain)
    port = ops.serve(
        "watcher",
        settings.ops_host,
        settings.ops_port,
        live={"loop": watcher.loop.stuck},
        ready={"database": lambda: check(runtime.pool)},
    )
    structlog.get_logger().info("ready", ops_port=port, accounts_at_most=limit)
    watcher.run()
    runtime.close()
    return 0


if __name__ == "__main__":
    leave(main())
