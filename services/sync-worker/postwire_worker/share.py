"""A watcher's share of the accounts: what it claims, gives back, and hands over at its end.

The accounts are shared out evenly over the watchers that are alive. Everything here is done by one
thread, in rounds, but for `doubtful`.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from postwire.metrics import UNWATCHED_ACCOUNTS
from postwire.model import Account, AccountId
from postwire.store import leases, processes
from postwire.store.pool import Pool, transaction

#: Seconds after which a round gives the next sign of life.
BEAT = 2.0
#: Seconds after which a watcher no longer believes that it counts as alive: less than it takes
#: others to take over what it holds.
DOUBT = processes.LEASE - 2.0
#: Rounds for which it must have had too many before it gives some back: a watcher that comes and
#: goes moves nothing.
STEADY = 5
#: Accounts that are given back in one round; each is a login for who takes it.
GIVEN = 50


class Share:
    """What `holder` holds; at most `limit` accounts."""

    def __init__(self, pool: Pool, holder: str, limit: int) -> None:
        self._pool = pool
        self._holder = holder
        self._limit = limit
        self._beaten = float("-inf")
        self._left = False
        #: Rounds in which it had too many, without a break.
        self._over = 0
        #: What it gave back, and watches until somebody else does.
        self._given: set[AccountId] = set()

    @property
    def doubtful(self) -> bool:
        """Whether others may soon take over what this watcher holds, for it seems dead to them."""
        return time.monotonic() - self._beaten > DOUBT

    def round(self, begun: Collection[AccountId]) -> list[Account]:
        """Claim or give back what the share asks for; the accounts that are to be watched now.

        Those in `begun` are watched already, as far as their servers let them.

        Raises:
            StoreUnavailable: the database does not answer; nothing has changed.
        """
        if self._left:
            return self._remaining()
        self._beat()
        given: set[AccountId] = set()
        with transaction(self._pool) as connection:
            standing = leases.standing(connection, self._holder)
            watchers = processes.alive(connection, "watcher")
            surplus = standing.own - self._share(standing.accounts, len(watchers))
            self._over = self._over + 1 if surplus > 0 else 0
            if surplus < 0 < standing.free:
                leases.claim(connection, self._holder, -surplus)
            elif self._over >= STEADY:
                given = leases.give_back(connection, self._holder, min(surplus, GIVEN))
            leases.mark_watched(connection, self._holder, begun)
            held = leases.held(connection, self._holder)
            waiting = leases.unwatched(connection, self._given | given)
        UNWATCHED_ACCOUNTS.set(standing.free)
        self._given = {account.id for account in waiting}
        return held + waiting

    def leave(self) -> None:
        """Give everything back, so that others need not wait until this watcher counts as dead.

        From now on a round says what nobody else watches yet, as long as there is somebody else.

        Raises:
            StoreUnavailable: the database does not answer; nothing has changed.
        """
        if self._left:
            return
        with transaction(self._pool) as connection:
            # Its connections count until they are closed.
            processes.beat(connection, self._holder, "leaving")
            given = leases.give_back(connection, self._holder)
        self._given |= given
        self._left = True

    def end(self) -> None:
        """As `leave`, and nothing is watched any more.

        Raises:
            StoreUnavailable: the database does not answer; nothing has changed.
        """
        self.leave()
        with transaction(self._pool) as connection:
            processes.leave(connection, self._holder)

    def _remaining(self) -> list[Account]:
        with transaction(self._pool) as connection:
            if not processes.alive(connection, "watcher"):
                return []
            return leases.unwatched(connection, self._given)

    def _share(self, accounts: int, watchers: int) -> int:
        """As many as each watcher has if all have the same, rounded up."""
        return min(self._limit, -(-accounts // max(watchers, 1)))

    def _beat(self) -> None:
        # Taken before the database's own time, so that we never think to be alive for longer.
        now = time.monotonic()
        if now - self._beaten >= BEAT:
            # Committed before anything is claimed: others judge by it.
            with transaction(self._pool) as connection:
                processes.beat(connection, self._holder, "watcher")
            self._beaten = now
