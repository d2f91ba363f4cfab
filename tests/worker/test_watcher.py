"""The watcher: which accounts it holds, with whom it shares them, and how it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from worker.conftest import KEYS, Accounts
from worker.test_watch import active, asked, forget_jobs, hand_over, settled, watching

from postwire.model import Account
from postwire.store import accounts, jobs, leases, processes
from postwire.store.pool import make_pool, transaction
from postwire_worker import share
from postwire_worker import watcher as module
from postwire_worker.runtime import Runtime
from postwire_worker.watch import Watch
from postwire_worker.watcher import Watcher
from support.dovecot import Dovecot
from support.fake_imap import FakeImap, Wire, capabilities, fake_imap
from support.mailbox import MailUser, letter
from support.processes import eventually
from support.service import process, start


def silent(wire: Wire, _tag: str) -> None:
    wire.send(b"+ idling\r\n")
    wire.hang()


#: A server whose IDLE is silent.
SILENT = {**capabilities("IMAP4rev1", "IDLE"), "IDLE": silent}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUND", 0.1)


@contextmanager
def running(runtime: Runtime, *, limit: int = 100) -> Iterator[Watcher]:
    """A watcher with a database pool of its own, in a thread."""
    pool = make_pool(runtime.pool.conninfo, 8)
    own = replace(runtime, pool=pool, holder=f"watcher:{time.monotonic_ns()}")
    watcher = Watcher(own, limit, poll_seconds=30)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.loop.stop()
        thread.join(10)
        assert not thread.is_alive()
        watcher._desk.connectors.shutdown()
        hand_over(watcher.loop)
        pool.close()


def holders(runtime: Runtime) -> dict[str, int]:
    """How many accounts each watcher holds."""
    with transaction(runtime.pool) as connection:
        counted = connection.execute(
            "SELECT holder, count(*) FROM lease JOIN live_process USING (holder) GROUP BY holder"
        )
        return dict(counted.fetchall())


def add(runtime: Runtime, add_account: Accounts, server: FakeImap, number: int) -> list[Account]:
    users = [MailUser(add_account.dovecot, f"u{n}@x.example") for n in range(number)]
    return [
        active(runtime, add_account.add(user, host=server.host, port=server.port)) for user in users
    ]


def test_an_active_account_is_watched_and_its_mail_asked_for(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a watcher, and an account that becomes active
    with running(runtime) as watcher:
        account = active(runtime, add_account.add(user))
        assert eventually(lambda: [watch.idling for watch in watcher._watches.values()] == [True])
        assert eventually(lambda: asked(runtime))
        time.sleep(0.3)
        forget_jobs(runtime)

        # When mail arrives
        user.append(letter())

        # Then there is a job
        assert eventually(lambda: [job.account_id for job in asked(runtime)] == [account.id])


def test_servers_that_say_nothing_hold_up_neither_schedule_nor_sweep(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given more accounts with such a server than there are threads that connect
    with fake_imap(greeting=None) as server:
        add(runtime, add_account, server, module._CONNECTING + 4)
        # And one that is due, and one whose job was lost
        due, lost = active(runtime, add_account.add(user)), add_account.add(user, owner="other")
        with transaction(runtime.pool) as connection:
            connection.execute("UPDATE account SET next_sync_at = now() WHERE id = %s", [due.id])
            jobs.ask(connection, lost.id, lost.user_id, "manual")
            connection.execute("UPDATE job SET run_at = now() - interval '1 minute'")
        # When they are watched
        with running(runtime):
            assert eventually(lambda: len(server.connected) == module._CONNECTING)
            # Then the one is asked for, and the other queued again, meanwhile
            assert eventually(lambda: due.id in {job.account_id for job in asked(runtime)})
            assert eventually(lambda: runtime.redis.llen("dramatiq:sync.manual") == 1)
            assert len(server.connected) == module._CONNECTING


@pytest.mark.parametrize("how", ["paused", "removed", "refused"])
def test_an_account_that_is_no_longer_ours_is_dropped(
    runtime: Runtime, add_account: Accounts, how: str
) -> None:
    # Given an account in IDLE
    with fake_imap(SILENT) as server, running(runtime) as watcher:
        (account,) = add(runtime, add_account, server, 1)
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))

        # When it is paused, removed, or refused by somebody else's login
        with transaction(runtime.pool) as connection:
            if how == "paused":
                accounts.pause(connection, account.user_id, account.id)
            elif how == "removed":
                accounts.remove(connection, account.user_id, account.id)
            else:
                accounts.set_state(connection, account, "auth_failed", "no")

        # Then its connection ends
        assert eventually(lambda: not watcher._watches)
        assert len(server.connected) == 1


def test_two_watchers_share_and_one_takes_over(runtime: Runtime, add_account: Accounts) -> None:
    # Given two watchers that share six accounts
    with fake_imap(SILENT) as server:
        add(runtime, add_account, server, 6)
        with running(runtime) as survivor:
            assert eventually(lambda: list(holders(runtime).values()) == [6])
            with running(runtime):
                assert eventually(lambda: list(holders(runtime).values()) == [3, 3])

                # When one stops
                stopped = time.monotonic()

            # Then the other has all accounts, without waiting until it counts as dead
            assert eventually(lambda: list(holders(runtime).values()) == [6])
            assert time.monotonic() - stopped < 5
            assert eventually(lambda: sum(w.idling for w in survivor._watches.values()) == 6)
    # And when the last one stops, they are free
    assert holders(runtime) == {}


def test_who_is_told_to_end_watches_until_another_does(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a watcher, and another that has no time to take anything over
    account = active(runtime, add_account.add(user))
    with running(runtime) as watcher:
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))
        keep_alive(runtime, "another")

        # When it is told to end
        watcher.drain()
        watcher.drain()
        assert eventually(lambda: holders(runtime) == {})

        # Then mail is still asked for
        time.sleep(0.5)
        forget_jobs(runtime)
        user.append(letter())
        assert eventually(lambda: [job.account_id for job in asked(runtime)] == [account.id])
        assert not watcher.loop._stopping

        # And when the other one has the account, it ends
        with transaction(runtime.pool) as connection:
            assert leases.claim(connection, "another", 9) == [account.id]
            leases.mark_watched(connection, "another", [account.id])
        assert eventually(lambda: watcher.loop._stopping, 4)


def test_who_is_told_to_end_waits_for_others_only_so_long(
    runtime: Runtime, add_account: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a watcher, and another that is alive but takes nothing over
    monkeypatch.setattr(module, "_HAND_OVER", 1.0)
    with fake_imap(SILENT) as server, running(runtime) as watcher:
        add(runtime, add_account, server, 1)
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))
        keep_alive(runtime, "another")

        # When it is told to end
        watcher.drain()

        # Then it does so
        assert eventually(lambda: watcher.loop._stopping, 4)


def keep_alive(runtime: Runtime, holder: str) -> None:
    with transaction(runtime.pool) as connection:
        processes.beat(connection, holder, "watcher")


def test_a_watcher_that_can_give_no_sign_of_life_lets_go(
    runtime: Runtime, add_account: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an account in IDLE
    monkeypatch.setattr(share, "BEAT", 0.1)
    with fake_imap(SILENT) as server, running(runtime) as watcher:
        (account,) = add(runtime, add_account, server, 1)
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))

        # When the database has no room for signs of life
        monkeypatch.setattr(share, "DOUBT", 1.0)
        with psycopg.connect(runtime.pool.conninfo) as admin:
            admin.execute("LOCK TABLE process IN ACCESS EXCLUSIVE MODE")

            # Then its connection ends before another may take over
            assert eventually(lambda: not watcher._watches, 5)

        # And it takes up again what nobody else has taken, as soon as it can
        assert eventually(lambda: list(watcher._watches) == [account.id])
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))


def test_two_that_believe_they_own_an_account_do_no_harm(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a watcher that has an account, and another that thinks it has it, too
    account = active(runtime, add_account.add(user))
    with running(runtime) as watcher, watching(runtime, account) as other:
        settled(runtime, other)
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))
        time.sleep(0.3)
        forget_jobs(runtime)

        # When mail arrives, and both are told
        user.append(letter())
        assert eventually(lambda: asked(runtime))
        time.sleep(0.5)

        # Then there is one job
        (job,) = asked(runtime)
        assert job.account_id == account.id
        # And one of them letting go does not take the account from the other
        other.do(Watch.end)
        assert [watch.idling for watch in watcher._watches.values()] == [True]


def test_an_account_in_idle_is_synced_by_schedule_all_the_same(
    runtime: Runtime, add_account: Accounts
) -> None:
    # Given an account in IDLE whose server never says anything
    with fake_imap(SILENT) as server, running(runtime) as watcher:
        (account,) = add(runtime, add_account, server, 1)
        assert eventually(lambda: any(watch.idling for watch in watcher._watches.values()))
        time.sleep(0.3)
        forget_jobs(runtime)

        # When its time has come
        with transaction(runtime.pool) as connection:
            connection.execute("UPDATE account SET next_sync_at = now()")

        # Then it is asked for
        assert eventually(lambda: [job.reason for job in asked(runtime)] == ["auto"])
        assert asked(runtime)[0].account_id == account.id


def test_accounts_are_asked_for_by_the_clock_and_swept(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account whose server is gone, but whose time has come, and a stranded job
    account = active(runtime, add_account.add(user, port=1))
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE account SET next_sync_at = now()")

    # When a watcher runs
    with running(runtime):
        # Then the account is asked for
        assert eventually(lambda: [job.account_id for job in asked(runtime)] == [account.id])


def settings(runtime: Runtime, redis_url: str, dovecot: Dovecot) -> dict[str, str]:
    return {
        "database_url": runtime.pool.conninfo,
        "redis_url": redis_url,
        "credential_keys": KEYS,
        "imap_ca_file": str(dovecot.ca_file),
        "ops_host": "127.0.0.1",
        "ops_port": "0",
    }


def test_the_process_watches_says_how_it_is_and_ends_in_time(
    runtime: Runtime,
    redis_url: str,
    add_account: Accounts,
    user: MailUser,
    tmp_path: Path,
) -> None:
    # Given an account, and the watcher's process
    active(runtime, add_account.add(user, security="starttls"))
    with process(module.__name__, settings(runtime, redis_url, add_account.dovecot), tmp_path) as p:
        # When it has got to IDLE
        assert eventually(lambda: "postwire_idle_connections 1.0" in p.get("/metrics")[1], 20)

        # Then it is well, exports what is measured, and mail is asked for
        assert p.get("/health/live")[0] == 200
        assert p.get("/health/ready")[0] == 200
        metrics = p.get("/metrics")[1]
        assert 'postwire_imap_connections{purpose="idle"} 1.0' in metrics
        assert 'postwire_queue_depth{queue="sync",state="waiting"}' in metrics
        assert 'postwire_queue_oldest_job_seconds{queue="sync.manual"}' in metrics
        forget_jobs(runtime)
        user.append(letter("canary-subject", "canary-text"))
        assert eventually(lambda: asked(runtime))

        # And it ends at once, gives its leases back, and has written nothing that is secret
        code, seconds = p.stop()
        assert code == 0
        assert seconds < 10
    assert holders(runtime) == {}
    written = p.output.read_text()
    for secret in (add_account.dovecot.password, KEYS, "canary", redis_url, runtime.pool.conninfo):
        assert secret not in written


def test_the_process_ends_in_time_while_servers_hang(
    runtime: Runtime, redis_url: str, add_account: Accounts, tmp_path: Path
) -> None:
    # Given more accounts than connectors, on a server that accepts and is silent
    with fake_imap(greeting=None) as server:
        add(runtime, add_account, server, 20)
        given = settings(runtime, redis_url, add_account.dovecot)
        with process(module.__name__, given, tmp_path) as p:
            assert eventually(lambda: len(server.connected) == module._CONNECTING)

            # When the process is told to end
            code, seconds = p.stop()

    # Then it does
    assert code == 0
    assert seconds < 10
    assert holders(runtime) == {}


def test_a_watcher_that_is_killed_is_replaced_in_time(
    runtime: Runtime, redis_url: str, add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given two watchers as they are deployed, one of which has the only account
    account = active(runtime, add_account.add(user))
    given = settings(runtime, redis_url, add_account.dovecot)
    with process(module.__name__, given, tmp_path) as one:
        assert eventually(lambda: "postwire_idle_connections 1.0" in one.get("/metrics")[1], 20)
        with process(module.__name__, given, tmp_path) as two:
            # When that one is killed, and mail comes
            killed = time.monotonic()
            one.popen.kill()
            one.popen.wait()
            forget_jobs(runtime)
            user.append(letter())

            # Then the other one has the account, and asks for what came meanwhile
            assert eventually(lambda: asked(runtime), 20)
            assert time.monotonic() - killed < 15
            (job,) = asked(runtime)
            assert (job.account_id, job.reason) == (account.id, "push")
            assert "postwire_idle_connections 1.0" in two.get("/metrics")[1]


def test_a_watcher_that_is_told_to_end_is_replaced_without_a_gap(
    runtime: Runtime, redis_url: str, add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given two watchers as they are deployed, one of which has the only account
    active(runtime, add_account.add(user))
    given = settings(runtime, redis_url, add_account.dovecot)
    with process(module.__name__, given, tmp_path) as one:
        assert eventually(lambda: "postwire_idle_connections 1.0" in one.get("/metrics")[1], 20)
        with process(module.__name__, given, tmp_path) as two:
            # When that one is told to end
            code, seconds = one.stop()

            # Then it has ended once the other one had the account
            assert code == 0
            assert seconds < 9
            assert list(holders(runtime).values()) == [1]
            assert eventually(lambda: "postwire_idle_connections 1.0" in two.get("/metrics")[1], 5)


def test_a_process_may_open_a_file_for_each_account() -> None:
    # Given a process that may open few files, as many systems have it, and could open more
    program = f"""
import resource
from {module.__name__} import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 3000))
print(allow_files(2000), *resource.getrlimit(resource.RLIMIT_NOFILE))
print(allow_files(5000), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    # When it needs more
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    # Then it takes what it needs, and watches no more accounts than there is room for
    assert said.splitlines() == ["2000 2200 3000", "2800 3000 3000"]


def test_without_settings_there_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as sink:
        assert start(module.__name__, {}, sink.fileno()).wait(30) == 2
    written = output.read_text()
    assert written.startswith("postwire watcher: the settings are not usable:")
    assert "POSTWIRE_DATABASE_URL: is missing; set it" in written
    assert "Traceback" not in written
