"""What this process takes of the connections that all processes together may have.

A slot is claimed before a connection is opened, and given back once it is closed. No slot is held
for longer because the database does not answer: what could not be given back is so later.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from postwire.errors import NoFreeConnection, StoreUnavailable
from postwire.metrics import CONNECTIONS_REFUSED
from postwire.model import Account
from postwire.providers import by_host
from postwire.store import connections
from postwire.store.connections import Purpose, SlotId
from postwire.store.pool import Pool, transaction

#: Connections that one account may have where nothing is known of its provider.
USUAL = 5
#: How many of five connections are ours: the user's own mail programs need the others.
OURS = 3


def account_limit(account: Account) -> int:
    """How many connections the account may have with us."""
    provider = by_host(account.host)
    allowed = (provider and provider.connections) or USUAL
    return max(allowed * OURS // 5, 1)


@dataclass(frozen=True, slots=True)
class Budget:
    """Slots of the process `holder`; a server has at most `host_limit` in all, None: any number."""

    pool: Pool
    holder: str
    host_limit: int | None = None
    #: What is not ours any more, although the database does not know it yet.
    _left: set[SlotId] = field(default_factory=set)

    def claim(self, account: Account, purpose: Purpose) -> SlotId:
        """A slot for one connection to the account's server.

        Raises:
            NoFreeConnection: there is none; try again in a while.
            StoreUnavailable: the database does not answer.
        """
        slot = SlotId(str(uuid.uuid4()))
        try:
            with transaction(self.pool) as connection:
                connections.claim(
                    connection,
                    slot,
                    account,
                    self.holder,
                    purpose,
                    account_limit=account_limit(account),
                    host_limit=self.host_limit,
                )
        except NoFreeConnection as error:
            CONNECTIONS_REFUSED.labels(scope=error.scope).inc()
            raise
        except StoreUnavailable:
            # It may have been committed, and the answer lost.
            self._left.add(slot)
            raise
        return slot

    def give_back(self, slot: SlotId) -> None:
        """The connection is closed, or was never opened."""
        try:
            self._give_back([slot])
        except StoreUnavailable:
            self._left.add(slot)

    def settle(self) -> None:
        """Give back what could not be given back before; to be called every few seconds.

        Raises:
            StoreUnavailable: the database still does not answer.
        """
        if left := tuple(self._left):
            self._give_back(left)
            self._left.difference_update(left)

    def _give_back(self, slots: Collection[SlotId]) -> None:
        with transaction(self.pool) as connection:
            connections.give_back(connection, slots)

    @contextmanager
    def slot(self, account: Account, purpose: Purpose) -> Iterator[None]:
        """Have a slot for as long as the block takes.

        Raises:
            NoFreeConnection, StoreUnavailable: as `claim`.
        """
        slot = self.claim(account, purpose)
        try:
            yield
        finally:
            self.give_back(slot)
