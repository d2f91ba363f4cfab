"""The watcher: an IDLE connection for each account it holds a lease on; `python -m …watcher`.

One thread waits for all sockets at once (see `loop`); connecting and asking for jobs is done by a
few others. Where a server has no IDLE, the account is looked at every so often.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from postwire import log, ops
from postwire.errors import (
    AuthenticationFailed,
    ConnectionLost,
    CredentialUnreadable,
    SettingsError,
    StoreUnavailable,
)
from postwire.metrics import IDLE_CONNECTIONS, IDLE_PUSHES, IMAP_CONNECTIONS, WATCHED_ACCOUNTS
from postwire.model import Account, AccountId, Reason
from postwire.settings import WatcherSettings, load
from postwire.store import leases
from postwire.store.pool import check, transaction
from postwire_worker import backlog, clock
from postwire_worker.idle import Idle
from postwire_worker.imap import Session, open_session
from postwire_worker.loop import Loop
from postwire_worker.runtime import Runtime, make_runtime

#: Seconds after which IDLE is renewed; servers and networks forget after ten minutes or more.
_RENEW = 9 * 60.0
#: Seconds until the answer to IDLE or DONE must have come.
_ANSWER = 30.0
#: Seconds between two rounds of leases; a third of their length.
_ROUND = 4.0
#: Seconds a connection must have lived for its account's backoff to begin anew.
_PROVEN = 60.0
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 1.0, 120.0
#: Connections that are opened at the same time.
_CONNECTING = 16
#: Threads that talk to PostgreSQL and Redis.
_CLERKS = 6

logger = structlog.get_logger()


@dataclass(slots=True)
class _Watch:
    """One account we hold: waiting to connect, in IDLE, or polled."""

    account: Account
    failures: int = 0
    session: Session | None = None
    connection: socket.socket | None = None
    idle: Idle | None = None
    since: float = 0.0
    #: What was planned for an earlier connection means nothing for this one.
    generation: int = 0


class Watcher:
    """Holds leases and the connections that go with them."""

    def __init__(self, runtime: Runtime, settings: WatcherSettings) -> None:
        self._runtime = runtime
        self._settings = settings
        self._watches: dict[AccountId, _Watch] = {}
        self.loop = Loop()
        # Servers that do not answer may take all connectors; leases are renewed all the same.
        self._connectors = ThreadPoolExecutor(_CONNECTING, thread_name_prefix="connect")
        self._clerks = ThreadPoolExecutor(_CLERKS, thread_name_prefix="clerk")

    def run(self) -> None:
        """Watch until the loop is stopped; give all leases back at the end."""
        for every, work in (
            (_ROUND, self._round),
            (1.0, lambda: clock.ask_due(self._runtime)),
            (5.0, lambda: clock.sweep(self._runtime)),
            (5.0, lambda: clock.measure(self._runtime)),
            (5.0, lambda: backlog.work_off(self._runtime)),
        ):
            self.loop.repeat(self._clerks, every, work)
        self.loop.run()
        self._end()

    # Leases

    def _round(self) -> None:
        """Renew what is held and claim what is free; runs in a thread."""
        room = self._settings.watch_accounts - len(self._watches)
        with transaction(self._runtime.pool) as connection:
            if room > 0:
                leases.claim(connection, self._runtime.holder, room)
            held = leases.renew(connection, self._runtime.holder)
        self.loop.call(lambda: self._hold({account.id: account for account in held}))

    def _hold(self, held: dict[AccountId, Account]) -> None:
        for account_id in set(self._watches) - set(held):
            self._drop(self._watches.pop(account_id))
        for account_id, account in held.items():
            watch = self._watches.get(account_id)
            if watch is None:
                watch = self._watches[account_id] = _Watch(account)
                self._connect(watch)
            elif watch.account.credential != account.credential:
                self._drop(watch)
                watch.account, watch.failures = account, 0
                self._connect(watch)
        self._count()

    # One account

    def _connect(self, watch: _Watch) -> None:
        watch.generation += 1
        generation = watch.generation

        def opened(result: object) -> None:
            if self._watches.get(watch.account.id) is watch and watch.generation == generation:
                self._opened(watch, result)
            elif isinstance(result, Session):
                result.close()

        self.loop.in_thread(self._connectors, lambda: self._open(watch.account), opened)

    def _open(self, account: Account) -> Session | None:
        """A session with INBOX selected, or None where the server has no IDLE; in a thread."""
        try:
            password = self._runtime.password(account)
            session = open_session(account, password, self._runtime.ssl_context)
        except (AuthenticationFailed, CredentialUnreadable) as error:
            self._runtime.move(account, "auth_failed", str(error))
            raise
        try:
            if session.capable("IDLE"):
                session.select("INBOX")
                return session
        except BaseException:
            session.close()
            raise
        session.close()
        return None

    def _opened(self, watch: _Watch, result: object) -> None:
        if result is None:
            self._poll(watch, watch.generation)
        elif isinstance(result, Session):
            self._idle(watch, result)
        else:
            self._again(watch)

    def _idle(self, watch: _Watch, session: Session) -> None:
        IMAP_CONNECTIONS.labels(purpose="idle").inc()
        watch.session, watch.since = session, time.monotonic()
        try:
            watch.connection, ahead = session.idle_socket()
            watch.idle = Idle(watch.connection, ahead)
            self.loop.watch(watch.connection, lambda: self._read(watch))
        except (ConnectionLost, OSError, ValueError):
            self._lost(watch)
            return
        self._count()
        self._plan_renewal(watch)
        # What came between the last sync and this IDLE was told to nobody.
        self._ask(watch, "push")
        self._read(watch)

    def _read(self, watch: _Watch) -> None:
        if watch.idle is None:
            return
        try:
            changed = watch.idle.read()
        except ConnectionLost as error:
            logger.info("IDLE lost", account=watch.account.id, error=str(error))
            self._lost(watch)
        else:
            if changed:
                IDLE_PUSHES.inc()
                self._ask(watch, "push")

    def _plan_renewal(self, watch: _Watch) -> None:
        generation = watch.generation

        def if_same(action: Callable[[], None]) -> Callable[[], None]:
            return lambda: action() if watch.generation == generation else None

        def renew() -> None:
            if watch.idle and self._guarded(watch, watch.idle.renew):
                self.loop.later(_ANSWER, if_same(expect))

        def expect() -> None:
            if watch.idle and not watch.idle.waits:
                logger.info("IDLE not answered", account=watch.account.id)
                self._lost(watch)
            else:
                self.loop.later(_RENEW, if_same(renew))

        self.loop.later(_ANSWER, if_same(expect))

    def _guarded(self, watch: _Watch, action: Callable[[], None]) -> bool:
        try:
            action()
        except ConnectionLost:
            self._lost(watch)
            return False
        return True

    def _poll(self, watch: _Watch, generation: int) -> None:
        """Look at an account whose server has no IDLE, again and again."""
        if self._watches.get(watch.account.id) is watch and watch.generation == generation:
            self._ask(watch, "auto")
            jittered = self._settings.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311
            self.loop.later(jittered, lambda: self._poll(watch, generation))

    def _ask(self, watch: _Watch, reason: Reason) -> None:
        account = watch.account
        self.loop.in_thread(
            self._clerks,
            lambda: clock.ask_for(self._runtime, account.id, account.user_id, reason),
            lambda result: self._asked(watch, reason, result),
        )

    def _asked(self, watch: _Watch, reason: Reason, result: object) -> None:
        # The server will not say it again: what could not be asked for now is asked for later.
        if isinstance(result, StoreUnavailable):
            self.loop.later(_SHORTEST_BACKOFF, lambda: self._ask(watch, reason))

    def _lost(self, watch: _Watch) -> None:
        if time.monotonic() - watch.since > _PROVEN:
            watch.failures = 0
        self._drop(watch)
        self._count()
        self._again(watch)

    def _again(self, watch: _Watch) -> None:
        """Connect again after a while that grows; a server that accepts and drops is no success."""
        watch.generation += 1
        generation = watch.generation
        watch.failures += 1
        longest = min(_LONGEST_BACKOFF, _SHORTEST_BACKOFF * 2.0 ** min(watch.failures - 1, 10))

        def connect() -> None:
            if self._watches.get(watch.account.id) is watch and watch.generation == generation:
                self._connect(watch)

        self.loop.later(longest * random.uniform(0.5, 1.0), connect)  # noqa: S311 - jitter

    def _drop(self, watch: _Watch) -> None:
        watch.generation += 1
        if watch.connection:
            self.loop.forget(watch.connection)
        if watch.session:
            IMAP_CONNECTIONS.labels(purpose="idle").dec()
            watch.session.close()
        watch.session = watch.connection = watch.idle = None

    def _count(self) -> None:
        idling = sum(1 for watch in self._watches.values() if watch.idle)
        IDLE_CONNECTIONS.set(idling)
        WATCHED_ACCOUNTS.labels(mode="idle").set(idling)
        WATCHED_ACCOUNTS.labels(mode="other").set(len(self._watches) - idling)

    def _end(self) -> None:
        for watch in self._watches.values():
            self._drop(watch)
        for threads in (self._connectors, self._clerks):
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
        runtime = make_runtime(settings, connections=_CLERKS + 2)
    except SettingsError as error:
        sys.stderr.write(f"postwire watcher: {error}\n")
        return 2
    log.set_up(settings.log_level, "watcher")
    watcher = Watcher(runtime, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.loop.stop())
    port = ops.serve(
        settings.ops_host,
        settings.ops_port,
        live={"loop": watcher.loop.stuck},
        ready={"database": lambda: check(runtime.pool)},
    )
    logger.info("ready", ops_port=port)
    watcher.run()
    runtime.close()
    return 0


if __name__ == "__main__":
    code = main()
    # A thread may still wait for a server that does not answer; Python would wait for the thread.
    logging.shutdown()
    os._exit(code)
