"""Whatever another client does, and wherever a sync is broken off: the database follows.

A machine does random things to a user's mail, and random syncs in between, some of which are
killed. After each one that came to its end, the database is compared with the server. The usual
run does the same things each time; `--hypothesis-profile=long` does others for ten minutes.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from worker.conftest import Accounts

from postwire.errors import ConnectionLost, CursorMoved, StoreUnavailable, TransientError
from postwire.store import accounts
from postwire.store.pool import Pool, transaction
from postwire_worker import sync as policy
from postwire_worker.imap import Session, connect
from postwire_worker.listing import Committed
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.compare import in_the_database, on_the_server
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.relay import relay

#: Runs until the server has been left in peace for one of them.
_TRIES = 4
#: Machines for each kind of server, by the profile of the run.
_MACHINES = {"postwire": 8, "long": 90}
#: Steps between two comparisons at most.
_EVERY = 8
#: Mailboxes that neither can be renamed nor deleted.
_FIXED = ("INBOX", "Sent")

number = st.integers(0, 7)
some = st.integers(1, 3)
early = st.integers(0, 6)


class Unreliable(ConnectionPool[Connection[TupleRow]]):
    """A pool one of whose transactions is ended by PostgreSQL before its commit."""

    #: Transactions until then; below 1: never.
    left = 0

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[Connection[TupleRow]]:
        with super().connection(timeout) as connection:
            yield connection
            self.left -= 1
            if self.left == 0:
                connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@dataclass(slots=True)
class Bench:
    """What the machines of one test share: the servers, and how often what was done."""

    runtime: Runtime
    accounts: Accounts
    server: Dovecot
    done: Counter[str]


class Machine(RuleBasedStateMachine):
    """One user, with another client and a database that follows."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench, self.done = bench, bench.done
        self.number = self.steps = 0
        #: Letters that may arrive once more, revisions that were told, ids by subject.
        self.letters: list[bytes] = []
        self.heard: list[int] = []
        self.ids: dict[str, int] = {}
        self.open = ExitStack()

    @initialize()
    def begin(self) -> None:
        bench = self.bench
        self.user = MailUser(bench.server, bench.server.new_user())
        self.relay = self.open.enter_context(relay(bench.server.port))
        self.pool: Pool = self.open.enter_context(
            Unreliable(bench.runtime.pool.conninfo, min_size=1, max_size=2, open=True,
                       configure=bench.runtime.pool._configure)
        )  # fmt: skip
        self.come()
        self.account = bench.accounts.add(
            self.user, password=bench.server.password, port=self.relay.port
        )
        with transaction(self.pool) as connection:
            accounts.set_scope(connection, self.account, ["*"], None)
            self.account = accounts.get(connection, self.account.id)
        self.heard.append(self.account.revision)

    def come(self) -> None:
        self.client: IMAPClient = self.open.enter_context(self.user.session())

    def teardown(self) -> None:
        # Told here as well: a race that cannot be repeated is no news to Hypothesis.
        if isinstance(sys.exc_info()[1], Exception):
            traceback.print_exc()
        self.open.close()

    # Another client

    def names(self) -> list[str]:
        try:
            listed = self.client.list_folders()
        except IMAPClientAbortError:
            self.come()
            listed = self.client.list_folders()
        return sorted(name for _, _, name in listed)

    def name(self, n: int) -> str:
        names = self.names()
        return names[n % len(names)]

    def uids(self, name: str, n: int, many: int) -> list[int]:
        """`many` UIDs of the mailbox, which is selected now, from the n-th on."""
        self.client.select_folder(name)
        uids = self.client.search()
        return [uids[(n + i) % len(uids)] for i in range(min(many, len(uids)))]

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        try:
            yield
            self.done[what] += 1
        except IMAPClientAbortError:
            # Dovecot ends a session whose mailbox became another one.
            self.come()
        except IMAPClientError:
            self.done["refused"] += 1

    @rule(where=number, seen=st.booleans())
    def append(self, where: int, *, seen: bool) -> None:
        with self.doing("append"):
            self.number += 1
            self.letters.append(letter(f"no. {self.number}"))
            self.client.append(self.name(where), self.letters[-1], [r"\Seen"] if seen else [])

    @rule(where=number, which=number)
    def append_again(self, where: int, which: int) -> None:
        with self.doing("append again"):
            if self.letters:
                self.client.append(self.name(where), self.letters[which % len(self.letters)])

    @rule(where=number, many=st.integers(5, 30))
    def append_many(self, where: int, many: int) -> None:
        with self.doing("append many"):
            name = self.name(where)
            for _ in range(many):
                self.number += 1
                self.client.append(name, letter(f"no. {self.number}"))

    @rule(where=number, n=number, many=some, flag=st.sampled_from([r"\Seen", r"\Flagged", "$Do"]))
    def flag(self, where: int, n: int, many: int, flag: str) -> None:
        with self.doing("flag"):
            if uids := self.uids(self.name(where), n, many):
                self.client.add_flags(uids, [flag])

    @rule(where=number, n=number, many=some)
    def unflag(self, where: int, n: int, many: int) -> None:
        with self.doing("unflag"):
            if uids := self.uids(self.name(where), n, many):
                self.client.remove_flags(uids, [r"\Seen", r"\Flagged"])

    @rule(where=number, n=number, many=some)
    def expunge(self, where: int, n: int, many: int) -> None:
        with self.doing("expunge"):
            if uids := self.uids(self.name(where), n, many):
                self.client.delete_messages(uids)
                self.client.expunge(uids)

    @rule(where=number, n=number, many=some, to=number)
    def move(self, where: int, n: int, many: int, to: int) -> None:
        with self.doing("move"):
            if uids := self.uids(self.name(where), n, many):
                self.client.move(uids, self.name(to))

    @rule(where=number, n=number, many=some, to=number)
    def copy(self, where: int, n: int, many: int, to: int) -> None:
        with self.doing("copy"):
            if uids := self.uids(self.name(where), n, many):
                self.client.copy(uids, self.name(to))

    @rule(which=st.integers(0, 3))
    def create(self, which: int) -> None:
        with self.doing("create"):
            self.client.create_folder(f"Folder {which}")

    @rule(where=number, which=st.integers(0, 3))
    def rename(self, where: int, which: int) -> None:
        name = self.name(where)
        with self.doing("rename"):
            if name not in _FIXED:
                self.leave()
                self.client.rename_folder(name, f"Folder {which}")

    @rule(where=number)
    def delete(self, where: int) -> None:
        name = self.name(where)
        with self.doing("delete"):
            if name not in _FIXED:
                self.leave()
                self.client.delete_folder(name)

    @rule(where=number)
    def number_anew(self, where: int) -> None:
        name, uids = self.name(where), []
        with self.doing("look"):
            uids = self.uids(name, 0, 1)
        self.leave()
        # Dovecot forgets the new number of a mailbox that has never had a message.
        if not uids:
            return
        self.number += 1
        self.user.number_anew(name, 2_000_000_000 + self.number)
        self.done["number anew"] += 1

    def leave(self) -> None:
        """Have no mailbox open: one that goes away under its reader ends the connection."""
        with self.doing("unselect"):
            self.client.unselect_folder()

    # Syncs

    def session(self) -> Any:
        runtime = self.bench.runtime
        password = runtime.password(self.account)
        return connect(self.account, password, runtime.dialer, "sync")

    def run(self, session: Session, between: Callable[[], None] = lambda: None) -> None:
        for one in sync(session, self.pool, self.account):
            self.hear(one)
            between()

    def hear(self, one: Committed) -> None:
        self.heard.append(one.stored.revision)

    @rule()
    def time_passes(self) -> None:
        """Five minutes, after which flags are compared, and a day for mailboxes left alone."""
        with transaction(self.pool) as connection:
            connection.execute(
                "UPDATE mailbox SET flags_at = flags_at - interval '6 minutes',"
                " parked_at = parked_at - interval '25 hours' WHERE account_id = %s",
                [self.account.id],
            )

    @rule()
    def whole(self) -> None:
        """A sync that comes to its end, after which the database is what the server is."""
        for attempt in range(_TRIES):
            try:
                with self.session() as session:
                    self.run(session)
                break
            except CursorMoved:
                assert attempt < _TRIES - 1
        self.done["whole sync"] += 1
        self.compare()

    @invariant()
    def now_and_then(self) -> None:
        """Compare, even where the machine has chosen to do without whole syncs."""
        self.steps += 1
        if self.steps % _EVERY == 0:
            self.whole()

    @rule(after=early)
    def closed(self, after: int) -> None:
        """A run whose time is spent after so many commits."""
        with suppress(CursorMoved), self.session() as session:
            going = sync(session, self.pool, self.account)
            for _, one in zip(range(after), going, strict=False):
                self.hear(one)
            going.close()  # type: ignore[attr-defined]
        self.done["closed sync"] += 1

    @rule(bytes_=st.integers(1, 12_000))
    def cut(self, bytes_: int) -> None:
        """A connection that is cut after so many bytes."""
        self.relay.cut_at = self.relay.received + bytes_
        try:
            with suppress(CursorMoved, ConnectionLost), self.session() as session:
                self.run(session)
        finally:
            self.relay.cut_at = None
        self.done["cut sync"] += 1

    @rule(transactions=st.integers(1, 25))
    def forsaken(self, transactions: int) -> None:
        """A database that ends one of the transactions before its commit."""
        assert isinstance(self.pool, Unreliable)
        self.pool.left = transactions
        with suppress(CursorMoved, StoreUnavailable), self.session() as session:
            self.run(session)
        self.pool.left = 0
        self.done["forsaken sync"] += 1

    @rule(turns=st.lists(st.booleans(), max_size=12))
    def raced(self, turns: list[bool]) -> None:
        """Two runs at once, one or the other going on to its next commit."""
        with self.session() as one, self.session() as other:
            runs = [sync(session, self.pool, self.account) for session in (one, other)]
            for turn in [*turns, *[False] * 100, *[True] * 100]:
                with suppress(CursorMoved, StopIteration, TransientError):
                    self.hear(next(runs[turn]))
        self.done["raced sync"] += 1

    @rule(
        acts=st.lists(
            st.tuples(st.sampled_from(["append", "move", "expunge", "rename", "delete",
                                       "create", "flag", "number_anew"]), number, number),
            max_size=5,
        )
    )  # fmt: skip
    def disturbed(self, acts: list[tuple[str, int, int]]) -> None:
        """A run while the other client does things between its commits."""
        left = iter(acts)

        def act() -> None:
            match next(left, None):
                case ("append", n, m):
                    self.append(n, seen=m % 2 == 0)
                case ("move", n, m):
                    self.move(n, m, 2, m)
                case ("expunge", n, m):
                    self.expunge(n, m, 1)
                case ("flag", n, m):
                    self.flag(n, m, 2, r"\Seen")
                case ("rename", n, m):
                    self.rename(n, m % 4)
                case ("create", n, _):
                    self.create(n % 4)
                case ("delete", n, _):
                    self.delete(n)
                case ("number_anew", n, _):
                    self.number_anew(n)

        # At its beginning too, for what follows a commit comes late.
        with suppress(TransientError), self.session() as session:
            self.run(session, act)
        self.done["disturbed sync"] += 1

    # What is compared

    def compare(self) -> None:
        with transaction(self.pool) as connection:
            connection.execute(
                "UPDATE mailbox SET flags_at = flags_at - interval '6 minutes',"
                " parked_at = CASE WHEN resets <= 5 THEN parked_at END WHERE account_id = %s",
                [self.account.id],
            )
        with self.session() as session:
            self.run(session)
        self.done["comparison"] += 1
        assert in_the_database(self.pool, self.account.id) == on_the_server(self.user)
        assert self.heard == list(range(self.heard[0], self.heard[0] + len(self.heard)))
        with transaction(self.pool) as connection:
            (revision,) = connection.execute(
                "SELECT revision FROM account WHERE id = %s", [self.account.id]
            ).fetchone() or (None,)
            rows = connection.execute(
                """
                SELECT subject, id, expunged_at IS NULL, EXISTS (
                       SELECT FROM placement WHERE placement.message_id = message.id
                                               AND placement.account_id = message.account_id)
                  FROM message WHERE account_id = %s
                """,
                [self.account.id],
            ).fetchall()
        assert revision == self.heard[-1]
        # A message is there exactly if it lies somewhere.
        assert [row for row in rows if row[2] != row[3]] == []
        ids = {subject: id_ for subject, id_, _, _ in rows}
        assert len(ids) == len(rows)
        assert self.ids.items() <= ids.items()
        self.ids = ids


def usual() -> settings:
    """As many machines as there is time for; a failure is told as it was, for races have no
    smaller form."""
    return settings(
        max_examples=_MACHINES[settings.get_current_profile_name()],
        stateful_step_count=40,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def test_after_whatever_another_client_does_the_database_says_what_the_server_says(
    runtime: Runtime, add_account: Accounts, server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small ones, so that there are many commits to be killed and raced between.
    monkeypatch.setattr(policy, "BATCH", 5)
    bench = Bench(runtime, add_account, server, Counter())
    try:
        run_state_machine_as_test(lambda: Machine(bench), settings=usual())
    finally:
        sys.stdout.write(f"{bench.done}\n")
    assert bench.done["comparison"] > 10
