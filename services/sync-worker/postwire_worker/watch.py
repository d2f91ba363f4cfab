"""One account that is watched: connecting, in IDLE, polled, or refused until something changes.

All of it happens in the loop's thread but for what is said to be done in another. Each step begins
a new `turn`; what was planned in an earlier one means nothing any more.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from postwire.errors import (
    AddressForbidden,
    AuthenticationFailed,
    ConnectionLost,
    CredentialUnreadable,
    NoFreeConnection,
    ServerBusy,
    StoreUnavailable,
)
from postwire.metrics import IDLE_CONNECTIONS, IDLE_PUSHES, IMAP_CONNECTIONS
from postwire.model import Account, Reason
from postwire.providers import by_host, name_of
from postwire.store import mailboxes
from postwire.store.connections import SlotId
from postwire.store.pool import transaction
from postwire_worker import clock
from postwire_worker.access import open_session
from postwire_worker.idle import Idle
from postwire_worker.imap import Session
from postwire_worker.loop import Loop
from postwire_worker.runtime import Runtime

#: Seconds from one renewal of IDLE to the next; servers and networks forget after ten minutes or
#: more.
RENEW = 9 * 60.0
#: Seconds until the answer to IDLE or DONE must have come. A server that falls silent is found
#: within RENEW + ANSWER; a network that does, by TCP within two minutes (see `imap`).
ANSWER = 30.0
#: Seconds a connection must have lived for its account's backoff to begin anew: a server that
#: accepts and drops is no success.
PROVEN = 60.0
SHORTEST_BACKOFF = 1.0
LONGEST_BACKOFF = 120.0
#: Seconds until a host that leads where it must not is asked for again.
FORBIDDEN_PAUSE = 15 * 60.0
#: Seconds between two jobs that are asked for because of one account: a server may tell of changes
#: as fast as it can. The first one is not held back.
PAUSE = 0.25

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Desk:
    """What all watches of a process share."""

    runtime: Runtime
    loop: Loop
    #: Threads that connect; servers that do not answer may take all of them.
    connectors: ThreadPoolExecutor
    #: Threads that talk to PostgreSQL and Redis.
    clerks: ThreadPoolExecutor
    #: Seconds between looks at an account whose server has no IDLE.
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class _Opened:
    """A session that can wait for new mail, and the slot it has."""

    session: Session
    slot: SlotId


@dataclass(slots=True)
class _Line:
    """A connection in IDLE."""

    opened: _Opened
    connection: socket.socket
    idle: Idle
    since: float


class Watch:
    """Sees to it that a sync is asked for whenever INBOX, or All Mail, has changed."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account
        self._turn = 0
        self._failures = 0
        self._refused = False
        #: How often no connection was free since the last one; when to poll next meanwhile.
        self._looks = 0
        self._poll_at = 0.0
        #: Whether the first attempt to connect is over, whatever came of it.
        self.begun = False
        #: By whom the account is served, as far as that matters; when a login may be tried.
        self._provider = by_host(account.host)
        self._busy = account
        self._line: _Line | None = None
        self._asking = False
        self._wanted: Reason | None = None
        self._connect()

    @property
    def idling(self) -> bool:
        """Whether the server tells us of changes."""
        return self._line is not None

    def update(self, account: Account) -> None:
        """Take the account as it is now.

        A credential that was entered is tried; a refused one only where somebody let it be tried.
        """
        self._busy = account
        allowed = self._refused and account.state_since != self._account.state_since
        entered = account.credential_revision != self._account.credential_revision
        if allowed or entered:
            self.end()
            self._account, self._failures, self._refused = account, 0, False
            self._connect()
        elif account.credential != self._account.credential:
            # It was sealed again, by another key.
            self._account = replace(self._account, credential=account.credential)

    def end(self) -> None:
        """Let the connection go, and plan nothing more."""
        self._turn += 1
        self._wanted = None
        line, self._line = self._line, None
        if line:
            self._desk.loop.forget(line.connection)
            self._close(line.opened)
            IMAP_CONNECTIONS.labels(purpose="idle").dec()
            IDLE_CONNECTIONS.dec()

    # Connecting

    def _connect(self) -> None:
        self._turn += 1
        if seconds := self._busy.busy_seconds:
            # The server wants to be left alone, whoever it was that it said so to.
            self._plan(seconds, self._connect)
            return
        turn, account = self._turn, self._account

        def opened(result: object) -> None:
            if turn == self._turn:
                self._opened(result)
            elif isinstance(result, _Opened):
                self._close(result)

        work = lambda: _open(self._desk.runtime, account)  # noqa: E731
        self._desk.loop.in_thread(self._desk.connectors, work, opened)

    def _opened(self, result: object) -> None:
        self.begun = True
        match result:
            case None:
                self._poll()
            case _Opened():
                self._idle(result)
            case NoFreeConnection():
                self._wait_for_slot()
            case AuthenticationFailed() | CredentialUnreadable():
                # No login is tried again until something changes.
                self._refused = True
            case AddressForbidden():
                # The name would have to lead elsewhere; to ask for it is all there is to do.
                self._later(FORBIDDEN_PAUSE)
            case ServerBusy(retry_after=wait):
                self._later(wait)
            case _:
                self._later()

    def _later(self, at_least: float = 0) -> None:
        """Connect again after a while, which grows from one failure to the next."""
        self._turn += 1
        self._failures += 1
        longest = min(LONGEST_BACKOFF, SHORTEST_BACKOFF * 2.0 ** min(self._failures - 1, 10))
        wait = longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._plan(max(wait, at_least), self._connect)

    def _plan(self, seconds: float, action: Callable[[], None]) -> None:
        turn = self._turn
        self._desk.loop.later(seconds, lambda: action() if turn == self._turn else None)

    # In IDLE

    def _idle(self, opened: _Opened) -> None:
        try:
            connection, ahead = opened.session.idle_socket()
            idle = Idle(connection, ahead, name_of(self._account.host))
        except (ConnectionLost, OSError, ValueError):
            self._close(opened)
            self._later()
            return
        self._looks = 0
        self._line = _Line(opened, connection, idle, time.monotonic())
        IMAP_CONNECTIONS.labels(purpose="idle").inc()
        IDLE_CONNECTIONS.inc()
        self._desk.loop.watch(connection, self._read)
        self._plan(ANSWER, self._expect)
        # What came between the last sync and this IDLE was told to nobody.
        self._ask("push")
        self._read()

    def _read(self) -> None:
        if self._line and self._do(self._line.idle.read):
            IDLE_PUSHES.inc()
            self._ask("push")

    def _renew(self) -> None:
        if self._line:
            self._plan(ANSWER, self._expect)
            self._do(self._line.idle.renew)

    def _expect(self) -> None:
        if self._line and not self._line.idle.waits:
            self._lost(self._line, "the server does not answer")
        else:
            renewed = self._provider and self._provider.renew_idle
            self._plan((renewed or RENEW) - ANSWER, self._renew)

    def _do(self, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except ConnectionLost as error:
            if self._line:
                self._lost(self._line, str(error))
        except ServerBusy as error:
            if self._line:
                self._leave_alone(error)
                self._lost(self._line, str(error), error.retry_after)
        return None

    def _leave_alone(self, busy: ServerBusy) -> None:
        work = lambda: self._desk.runtime.leave_alone(self._account, busy)  # noqa: E731
        self._desk.loop.in_thread(self._desk.clerks, work, lambda _: None)

    def _lost(self, line: _Line, why: str, at_least: float = 0) -> None:
        log.info("IDLE lost", account=self._account.id, error=why)
        if time.monotonic() - line.since > PROVEN:
            self._failures = 0
        wanted = self._wanted
        self.end()
        self._wanted = wanted
        self._later(at_least)

    def _close(self, opened: _Opened) -> None:
        opened.session.close()
        work = lambda: self._desk.runtime.budget.give_back(opened.slot)  # noqa: E731
        self._desk.loop.in_thread(self._desk.clerks, work, lambda _: None)

    # Without IDLE

    def _poll(self) -> None:
        if not self._busy.busy_seconds:
            self._ask("auto")
        jittered = self._desk.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311
        self._plan(jittered, self._poll)

    def _wait_for_slot(self) -> None:
        """Poll until a connection is free, and look whether one is; ever more rarely."""
        now, rarest = time.monotonic(), self._desk.poll_seconds
        if now >= self._poll_at:
            self._poll_at = now + rarest
            self._ask("auto")
        wait = min(SHORTEST_BACKOFF * 2.0 ** min(self._looks, 10), rarest)
        self._looks += 1
        self._plan(wait * random.uniform(0.5, 1.0), self._connect)  # noqa: S311 - jitter

    # Asking for a sync

    def _ask(self, reason: Reason) -> None:
        self._wanted = reason
        if not self._asking:
            self._send(reason)

    def _send(self, reason: Reason) -> None:
        self._asking, self._wanted = True, None
        account = self._account

        def sent(result: object) -> None:
            # The server will not say it again: what could not be asked for now is so later.
            failed = isinstance(result, StoreUnavailable)
            if failed:
                self._wanted = self._wanted or reason
            self._desk.loop.later(SHORTEST_BACKOFF if failed else PAUSE, self._rested)

        work = lambda: clock.ask_for(self._desk.runtime, account.id, account.user_id, reason)  # noqa: E731
        self._desk.loop.in_thread(self._desk.clerks, work, sent)

    def _rested(self) -> None:
        self._asking = False
        if self._wanted:
            self._send(self._wanted)


def _open(runtime: Runtime, account: Account) -> _Opened | NoFreeConnection | None:
    """What can wait for new mail, or None where there is no IDLE; done in a thread."""
    try:
        slot = runtime.budget.claim(account, "idle")
    except NoFreeConnection as error:
        # Returned, for it is no news: the account is polled meanwhile.
        return error
    with ExitStack() as unless_opened:
        unless_opened.callback(runtime.budget.give_back, slot)
        session = _open_session(runtime, account)
        if session:
            unless_opened.pop_all()
            return _Opened(session, slot)
    return None


def _open_session(runtime: Runtime, account: Account) -> Session | None:
    try:
        session = open_session(runtime, account)
    except (AuthenticationFailed, CredentialUnreadable) as error:
        runtime.move(account, "auth_failed", str(error))
        raise
    except ServerBusy as error:
        runtime.leave_alone(account, error)
        raise
    provider = by_host(account.host)
    try:
        if session.capable("IDLE") and not (provider and provider.distrust_idle):
            # Where INBOX is a label, new mail is told of by All Mail.
            with transaction(runtime.pool) as connection:
                whole = mailboxes.all_mail(connection, account.id)
            session.select(whole or "INBOX")
            return session
    except BaseException:
        session.close()
        raise
    session.log_out()
    return None
