"""One watched account: on Dovecot, and on servers that misbehave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import psycopg
import pytest
from prometheus_client import REGISTRY
from worker.conftest import KEYS, Accounts

from postwire import keys
from postwire.credentials import make_keyring
from postwire.model import Account, Job
from postwire.providers import by_host
from postwire.store import accounts, jobs, mailboxes
from postwire.store.pool import transaction
from postwire_worker import client as imap_client
from postwire_worker import watch as module
from postwire_worker.loop import Loop
from postwire_worker.runtime import Runtime
from postwire_worker.watch import Desk, Watch
from support.fake_imap import Answer, FakeImap, Wire, capabilities, fake_imap, mailbox
from support.mailbox import MailUser, letter
from support.names import stand_in
from support.processes import eventually
from support.relay import relay
from support.sso import Sso

IDLING = capabilities("IMAP4rev1", "IDLE")
STARTED = b"+ idling\r\n"


@dataclass(slots=True)
class Running:
    """A watch in a loop that runs in a thread."""

    loop: Loop
    watch: Watch

    def do(self, action: Callable[[Watch], None]) -> None:
        """Do something with the watch in the loop's thread."""
        done = threading.Event()
        self.loop.call(lambda: (action(self.watch), done.set()))  # type: ignore[func-returns-value, arg-type, return-value]
        assert done.wait(5)


@contextmanager
def watching(runtime: Runtime, account: Account, *, poll_seconds: float = 30) -> Iterator[Running]:
    loop = Loop()
    with ThreadPoolExecutor(4) as connectors, ThreadPoolExecutor(2) as clerks:
        watch = Watch(Desk(runtime, loop, connectors, clerks, poll_seconds), account)
        thread = threading.Thread(target=loop.run)
        thread.start()
        running = Running(loop, watch)
        try:
            yield running
        finally:
            running.do(Watch.end)
            loop.stop()
            thread.join(10)
            assert not thread.is_alive()
            connectors.shutdown()
            hand_over(loop)


def hand_over(loop: Loop) -> None:
    """What threads have done since the loop ended: sessions to be closed, among it."""
    while not loop._calls.empty():
        loop._calls.get()()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_BACKOFF", 0.05)
    monkeypatch.setattr(module, "LONGEST_BACKOFF", 0.4)
    monkeypatch.setattr(imap_client, "CONNECT_TIMEOUT", 5)
    monkeypatch.setattr(imap_client, "READ_TIMEOUT", 5)


def asked(runtime: Runtime) -> list[Job]:
    """The open jobs."""
    with transaction(runtime.pool) as connection:
        return jobs.list_of_user(
            connection, "owner", account_id=None, state="waiting", before=None, limit=99
        )


def forget_jobs(runtime: Runtime) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute("DELETE FROM job")


def settled(runtime: Runtime, running: Running) -> None:
    """In IDLE, with what was asked for at its beginning forgotten."""
    assert eventually(lambda: running.watch.idling)
    assert eventually(lambda: asked(runtime))
    # Another one may be under way for what came with the continuation.
    time.sleep(module.PAUSE)
    forget_jobs(runtime)


def idle(*said: bytes, then: Callable[[Wire, str], None] = Wire.hang) -> dict[str, Answer]:
    """A server that answers IDLE with these segments."""

    def answer(wire: Wire, tag: str) -> None:
        wire.send(*said)
        then(wire, tag)

    return {**IDLING, "IDLE": answer}


def active(runtime: Runtime, account: Account) -> Account:
    runtime.move(account, "active")
    with transaction(runtime.pool) as connection:
        return accounts.get(connection, account.id)


@pytest.fixture
def at(runtime: Runtime, add_account: Accounts, user: MailUser) -> Callable[[FakeImap], Account]:
    """An active account on a fake server."""
    return lambda server: active(runtime, add_account.add(user, host=server.host, port=server.port))


def test_mail_that_arrives_is_asked_for_at_once(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account in IDLE, over TLS
    account = active(runtime, add_account.add(user, security="tls"))
    with watching(runtime, account) as running:
        settled(runtime, running)

        # When mail arrives
        started = time.monotonic()
        user.append(letter())

        # Then there is a job for it within the time we promise
        assert eventually(lambda: asked(runtime), 5)
        assert time.monotonic() - started < 1.5
    (job,) = asked(runtime)
    assert (job.account_id, job.reason) == (account.id, "push")


def test_what_came_before_idle_is_asked_for(
    runtime: Runtime, at: Callable[[FakeImap], Account]
) -> None:
    # Given a server that says nothing in IDLE
    with fake_imap(idle(STARTED)) as server, watching(runtime, at(server)):
        # When the account gets there
        # Then a sync is asked for: what came meanwhile was told to nobody
        assert eventually(lambda: [job.reason for job in asked(runtime)] == ["push"])


def test_a_server_that_never_stops_is_asked_for_now_and_then(
    runtime: Runtime,
    at: Callable[[FakeImap], Account],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a server that tells of changes as fast as it can
    asks: list[float] = []
    real = module.clock.ask_for

    def ask_for(*args: object) -> None:
        asks.append(time.monotonic())
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module.clock, "ask_for", ask_for)

    def flood(wire: Wire, _tag: str) -> None:
        while not wire.server.over.is_set():
            wire.send(b"* 5 EXISTS\r\n" * 50)

    with fake_imap(idle(STARTED, then=flood)) as server:
        # When it is watched for a while
        with watching(runtime, at(server)) as running:
            assert eventually(lambda: len(asks) >= 4)
            running.do(Watch.end)

    # Then no two of them were closer than they may be
    gaps = [later - earlier for earlier, later in pairwise(asks)]
    assert min(gaps) >= module.PAUSE * 0.9


def test_a_connection_that_is_cut_is_made_again(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account in IDLE
    with relay(add_account.dovecot.port) as wire:
        account = active(runtime, add_account.add(user, port=wire.port))
        with watching(runtime, account) as running:
            settled(runtime, running)

            # When its connection is cut, and mail comes meanwhile
            wire.cut()
            user.append(letter())

            # Then it is in IDLE again, and the mail is asked for
            assert eventually(lambda: wire.connections == 2 and running.watch.idling)
            assert eventually(lambda: asked(runtime))


@pytest.mark.parametrize(
    "answers",
    [idle(STARTED, then=Wire.cut), {**IDLING, "LOGIN": Wire.cut}, {"CAPABILITY": Wire.cut}],
    ids=["in IDLE", "at LOGIN", "before it"],
)
def test_a_server_that_accepts_and_drops_is_not_hammered(
    runtime: Runtime,
    at: Callable[[FakeImap], Account],
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, Answer],
) -> None:
    # Given a server that accepts, goes along up to some point and hangs up
    monkeypatch.setattr(module, "LONGEST_BACKOFF", 60)
    with fake_imap(answers) as server, watching(runtime, at(server)):
        # When that goes on for a while
        assert eventually(lambda: len(server.connected) >= 5)
        connected = server.connected[:5]

    # Then the waits grow, although it accepts each time: at least half of 0.05, 0.1, 0.2, 0.4 s
    gaps = [later - earlier for earlier, later in pairwise(connected)]
    assert all(gap >= least for gap, least in zip(gaps, (0.025, 0.05, 0.1, 0.2), strict=True))


def test_a_connection_that_lived_begins_the_waits_anew(
    runtime: Runtime,
    at: Callable[[FakeImap], Account],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a server whose connections live as long as it takes to be trusted
    monkeypatch.setattr(module, "PROVEN", 0.05)
    monkeypatch.setattr(module, "LONGEST_BACKOFF", 60)

    def live(wire: Wire, _tag: str) -> None:
        wire.server.over.wait(0.1)
        wire.cut()

    with fake_imap(idle(STARTED, then=live)) as server, watching(runtime, at(server)):
        # When it has hung up seven times, which would add up to at least 3.1 s of waiting
        started = time.monotonic()
        assert eventually(lambda: len(server.connected) >= 8)

    # Then the waits have stayed short
    assert time.monotonic() - started < 3.1


def test_a_wrong_password_is_tried_once(
    runtime: Runtime, add_account: Accounts, at: Callable[[FakeImap], Account]
) -> None:
    # Given an account whose password was changed at the server
    refuse: dict[str, Answer] = {"LOGIN": b"TAG NO [AUTHENTICATIONFAILED] no\r\n"}
    with fake_imap({**IDLING, **refuse}) as server:
        account = at(server)
        with watching(runtime, account) as running:
            # When it is watched
            assert eventually(lambda: add_account.get(account).state == "auth_failed")

            # Then there was one login, and the row being looked at again changes nothing
            running.do(lambda watch: watch.update(account))
            time.sleep(module.SHORTEST_BACKOFF * 4)
            assert len(server.heard("LOGIN")) == 1

            # But a new credential is tried, and so is an account that somebody let in again
            sealed = runtime.keyring.seal(account.id, "new")
            with transaction(runtime.pool) as connection:
                renewed = accounts.resume(connection, account.user_id, account.id, sealed)
            running.do(lambda watch: watch.update(renewed))
            assert eventually(lambda: len(server.heard("LOGIN")) == 2)
            assert eventually(lambda: add_account.get(account).state == "auth_failed")
            with transaction(runtime.pool) as connection:
                resumed = accounts.resume(connection, account.user_id, account.id)
            running.do(lambda watch: watch.update(resumed))
            assert eventually(lambda: len(server.heard("LOGIN")) == 3)


def test_where_a_key_is_not_set_no_connection_is_made_until_it_is_sealed_again(
    runtime: Runtime, at: Callable[[FakeImap], Account], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an account whose password was sealed with a key that this watcher does not have
    lacking = replace(runtime, keyring=make_keyring(f"k2:{'B' * 42}A="))
    with fake_imap(idle(STARTED)) as server:
        account = at(server)
        with watching(lacking, account) as running:
            # When it is watched, then no connection is made, and the log says why
            assert eventually(lambda: running.watch._failures > 2)
            assert "the key k1, which is not set" in capsys.readouterr().out
            assert not server.connected

            # But when the password is sealed with another key, it is watched
            keys.rotate(runtime.pool, make_keyring(f"k2:{'B' * 42}A=,{KEYS}"), lambda _: None)
            with transaction(runtime.pool) as connection:
                again = accounts.get(connection, account.id)
            running.do(lambda watch: watch.update(again))
            assert eventually(lambda: running.watch.idling)


def test_a_host_that_leads_where_it_must_not_is_not_asked_for_again_and_again(
    runtime: Runtime, at: Callable[[FakeImap], Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an account whose host leads to what nobody has allowed
    names = stand_in(monkeypatch)
    names.lead("imap.example", ("127.0.0.1",))
    strict = replace(runtime, dialer=replace(runtime.dialer, allowed=()))
    with fake_imap(idle(STARTED)) as server:
        account = replace(at(server), host="imap.example")

        # When it is watched for longer than a server in trouble is left alone
        with watching(strict, account) as running:
            assert eventually(lambda: running.watch.begun)
            time.sleep(module.LONGEST_BACKOFF * 3)

        # Then the name was asked for once, and nobody came
        assert names.asked == ["imap.example"]
    assert server.connected == []


def test_a_new_credential_reconnects_at_once(
    runtime: Runtime, at: Callable[[FakeImap], Account]
) -> None:
    # Given an account in IDLE
    with fake_imap(idle(STARTED)) as server:
        account = at(server)
        with watching(runtime, account) as running:
            settled(runtime, running)

            # When its credential changes; other changes of its row do not matter
            sealed = runtime.keyring.seal(account.id, "new")
            again = runtime.keyring.seal(account.id, "sealed again")
            running.do(lambda watch: watch.update(replace(account, revision=99, credential=again)))
            entered = replace(account, credential=sealed, credential_revision=2)
            running.do(lambda watch: watch.update(entered))

            # Then it logs in with that
            assert eventually(lambda: len(server.heard("LOGIN")) == 2)
            assert server.heard("LOGIN")[-1].endswith('"new"')
            assert eventually(lambda: running.watch.idling)


def test_a_server_without_idle_is_looked_at_every_so_often(
    runtime: Runtime, at: Callable[[FakeImap], Account]
) -> None:
    # Given a server without IDLE
    with fake_imap() as server, watching(runtime, at(server), poll_seconds=0.3) as running:
        # When it is watched
        # Then jobs are asked for again and again, as the machine's, without another login
        for _ in range(3):
            assert eventually(lambda: [job.reason for job in asked(runtime)] == ["auto"])
            forget_jobs(runtime)
        assert len(server.heard("LOGIN")) == 1
        assert not running.watch.idling


@pytest.mark.parametrize(
    "answers",
    [
        {**IDLING, "IDLE": b"TAG NO not now\r\n"},
        {**IDLING, "IDLE": b"TAG BAD what?\r\n"},
        {**IDLING, "IDLE": b"* BYE\r\n"},
        {**IDLING, "EXAMINE": b"TAG NO [SERVERBUG] x\r\n"},
        {**IDLING, "IDLE": Wire.cut},
    ],
    ids=["no", "bad", "bye", "no inbox", "cut"],
)
def test_a_server_that_does_not_get_to_idle_is_tried_again(
    runtime: Runtime, at: Callable[[FakeImap], Account], answers: dict[str, Answer]
) -> None:
    with fake_imap(answers) as server, watching(runtime, at(server)):
        assert eventually(lambda: len(server.connected) >= 3)


def test_a_server_that_asks_to_wait_is_left_alone(
    runtime: Runtime, at: Callable[[FakeImap], Account]
) -> None:
    busy: dict[str, Answer] = {"LOGIN": b"TAG NO Suggested Backoff Time: 60000 milliseconds\r\n"}
    with fake_imap(busy) as server, watching(runtime, at(server)):
        assert eventually(lambda: server.heard("LOGIN"))
        time.sleep(module.LONGEST_BACKOFF * 1.5)
        assert len(server.connected) == 1


@pytest.mark.parametrize(
    "said", [b"* BYE Too many simultaneous connections\r\n", b"* BYE [UNAVAILABLE] later\r\n"]
)
def test_a_good_bye_in_idle_with_a_reason_is_obeyed_by_all(
    runtime: Runtime, add_account: Accounts, at: Callable[[FakeImap], Account], said: bytes
) -> None:
    # Given a server that throws us out of IDLE and says why
    with fake_imap(idle(STARTED, said)) as server:
        account = at(server)
        with watching(runtime, account):
            # Then the account has the reason, and no connection is made again
            assert eventually(lambda: add_account.get(account).busy_seconds > 20)
            assert add_account.get(account).state_reason
            time.sleep(module.LONGEST_BACKOFF * 1.5)
            assert len(server.connected) == 1


def test_who_was_told_to_wait_elsewhere_is_left_alone_here_too(
    runtime: Runtime, add_account: Accounts, at: Callable[[FakeImap], Account]
) -> None:
    # Given an account whose sync was told to wait for a moment
    with fake_imap(idle(STARTED)) as server:
        account = at(server)
        with transaction(runtime.pool) as connection:
            accounts.leave_alone(connection, account.id, 0.5, "Later.")
        began = time.monotonic()
        # When it is watched
        with watching(runtime, add_account.get(account)) as running:
            assert eventually(lambda: running.watch.idling)
        # Then it was connected once the time was over
        (connected,) = server.connected
        assert connected - began > 0.3


def test_a_provider_that_forgets_idle_early_is_reminded_in_time(
    runtime: Runtime, at: Callable[[FakeImap], Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a provider whose IDLE has to be renewed soon
    monkeypatch.setattr(module, "ANSWER", 0.05)
    rambler = by_host("imap.rambler.ru")
    assert rambler
    monkeypatch.setattr(module, "by_host", lambda _: replace(rambler, renew_idle=0.1))
    with fake_imap(idle(STARTED, then=lambda wire, _: wire.line() and None)) as server:
        with watching(runtime, at(server)):
            # Then it is renewed long before it usually is
            assert eventually(lambda: "DONE" in server.lines)


def test_a_provider_whose_idle_is_worth_nothing_is_looked_at_by_the_clock(
    runtime: Runtime, at: Callable[[FakeImap], Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "by_host", lambda _: by_host("imap.163.com"))
    with fake_imap(idle(STARTED)) as server, watching(runtime, at(server)):
        assert eventually(lambda: [job.reason for job in asked(runtime)][-1:] == ["auto"])
        assert not server.heard("IDLE")


def test_silence_in_answer_to_idle_or_done_is_noticed(
    runtime: Runtime,
    at: Callable[[FakeImap], Account],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a server that never answers IDLE, and one that never answers DONE
    monkeypatch.setattr(module, "ANSWER", 0.1)
    monkeypatch.setattr(module, "RENEW", 0.1)
    for said in ((), (STARTED,)):
        with fake_imap(idle(*said)) as server:
            account = at(server)

            # When it is watched
            # Then it is connected to again
            with watching(runtime, account):
                assert eventually(lambda server=server: len(server.connected) >= 2)  # type: ignore[misc]
        with transaction(runtime.pool) as connection:
            accounts.remove(connection, account.user_id, account.id)


def test_a_network_that_falls_silent_is_noticed_in_time(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an account in IDLE, renewed every second, and answers that must come within half of one
    monkeypatch.setattr(module, "RENEW", 1.0)
    monkeypatch.setattr(module, "ANSWER", 0.5)
    with relay(add_account.dovecot.port) as wire:
        account = active(runtime, add_account.add(user, port=wire.port))
        with watching(runtime, account) as running:
            settled(runtime, running)

            # When nothing comes through any more, in either direction, and nobody says so
            wire.freeze()
            frozen = time.monotonic()
            user.append(letter())

            # Then that is noticed within the time that is promised
            assert eventually(lambda: not running.watch.idling)
            assert time.monotonic() - frozen < module.RENEW + module.ANSWER + 0.5

            # And the mail is asked for once the network is back
            assert asked(runtime) == []
            wire.thaw()
            assert eventually(lambda: running.watch.idling)
            assert eventually(lambda: asked(runtime))


def test_a_network_that_is_gone_is_noticed_by_tcp(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account in IDLE
    with watching(runtime, active(runtime, add_account.add(user))) as running:
        settled(runtime, running)
        line = running.watch._line
        assert line

        # Then TCP asks for the other end after a minute, and gives it up after another
        def option(name: int, level: int = socket.IPPROTO_TCP) -> int:
            return line.connection.getsockopt(level, name)

        assert option(socket.SO_KEEPALIVE, socket.SOL_SOCKET)
        assert option(socket.TCP_KEEPIDLE) == 60
        assert option(socket.TCP_KEEPINTVL) * option(socket.TCP_KEEPCNT) == 60


def test_idle_is_renewed_on_the_same_connection(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a short time between renewals
    monkeypatch.setattr(module, "ANSWER", 0.15)
    monkeypatch.setattr(module, "RENEW", 0.05)
    with relay(add_account.dovecot.port) as wire:
        account = active(runtime, add_account.add(user, port=wire.port))
        with watching(runtime, account) as running:
            settled(runtime, running)

            # When it was renewed several times
            before = wire.received
            assert eventually(lambda: wire.received > before + 100)

            # Then mail is still told of, on the first connection
            user.append(letter())
            assert eventually(lambda: asked(runtime))
            assert wire.connections == 1


def test_what_cannot_be_asked_for_now_is_asked_for_later(
    runtime: Runtime, add_account: Accounts, user: MailUser, database_url: str
) -> None:
    # Given an account in IDLE, and a database that takes no jobs
    account = active(runtime, add_account.add(user))
    with watching(runtime, account) as running, psycopg.connect(database_url) as admin:
        settled(runtime, running)
        admin.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")

        # When mail arrives, and the attempt to ask is cut
        user.append(letter())
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )
        assert eventually(lambda: admin.execute(waiting.encode()).fetchall())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        admin.rollback()

        # Then it is asked for as soon as that is possible, though the server says it but once
        assert eventually(lambda: asked(runtime))


def test_the_end_of_a_watch_lets_go_of_everything(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account in IDLE
    def gauge(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"postwire_{name}", labels)

    before = gauge("idle_connections")
    account = active(runtime, add_account.add(user))
    with watching(runtime, account) as running:
        settled(runtime, running)
        assert gauge("idle_connections") == (before or 0) + 1

        # When it ends, and mail comes
        running.do(Watch.end)
        user.append(letter())
        time.sleep(0.3)

        # Then nothing is asked for, and nothing is open
        assert asked(runtime) == []
        assert gauge("idle_connections") == before
        assert gauge("imap_connections", purpose="idle") == 0


def test_a_watch_that_ends_while_it_connects_closes_what_it_gets(
    runtime: Runtime, at: Callable[[FakeImap], Account]
) -> None:
    # Given a server that takes its time
    go_on, closed = threading.Event(), threading.Event()

    def login(wire: Wire, tag: str) -> None:
        go_on.wait(10)
        wire.send(f"{tag} OK done\r\n".encode())
        try:
            wire.serve({**IDLING, **mailbox()})
        except (EOFError, OSError):
            closed.set()
            raise

    with fake_imap({**IDLING, "LOGIN": login}) as server:
        with watching(runtime, at(server)) as running:
            assert eventually(lambda: server.heard("LOGIN"))

            # When the watch ends before it was let in
            running.do(Watch.end)
            go_on.set()

            # Then the session is closed as soon as it is there
            assert closed.wait(10)
            assert not server.heard("IDLE")


def test_where_inbox_is_a_label_all_mail_is_waited_at(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account whose INBOX is a label
    with fake_imap({**IDLING, **idle(STARTED)}) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        with transaction(runtime.pool) as connection:
            whole = mailboxes.keep(connection, account.id, "[Gmail]/All Mail", "/", "\\All")
            inbox = mailboxes.keep(connection, account.id, "INBOX", "/", None)
            mailboxes.turn(connection, inbox, whole.id)
        # When it is watched
        with watching(runtime, account) as running:
            assert eventually(lambda: running.watch.idling)
    # Then INBOX was not opened
    assert server.heard("EXAMINE") == ['EXAMINE "[Gmail]/All Mail"']


def test_an_account_by_oauth_is_watched_while_its_tokens_change(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given an account by a grant, in IDLE, whose refresh token has become another
    sso.rotates = True
    account = active(oauth_runtime, oauth_accounts.add(granter, grant=sso.grant(granter.name)))
    with watching(oauth_runtime, account) as running:
        settled(oauth_runtime, running)
        line = running.watch._line

        # When the watcher looks at the account again
        running.do(lambda watch: watch.update(oauth_accounts.get(account)))

        # Then the connection is still the same one, and mail is asked for
        assert running.watch._line is line
        granter.append(letter())
        assert eventually(lambda: asked(oauth_runtime), 5)
    assert len(sso.asked) == 1


def test_access_that_was_withdrawn_is_tried_once_by_the_watcher(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given an account whose owner has withdrawn the access
    account = active(oauth_runtime, oauth_accounts.add(granter, grant=sso.grant(granter.name)))
    sso.withdraw(granter.name)

    # When it is watched for longer than a backoff takes
    with watching(oauth_runtime, account):
        assert eventually(lambda: oauth_accounts.get(account).state == "auth_failed")
        time.sleep(1)

    # Then the provider was asked once
    assert len(sso.asked) == 1
    assert "withdrawn" in (oauth_accounts.get(account).state_reason or "")
