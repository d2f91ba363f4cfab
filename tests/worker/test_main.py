"""The worker's process: how it begins, what it shows, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from worker.conftest import KEYS, Accounts
from worker.test_actors import ask, job_of, queued, state_of, subjects

from postwire.jobs import MANUAL_QUEUE, QUEUE, enqueue
from postwire.model import Account
from postwire.store import processes
from postwire.store.pool import transaction
from postwire_demo.processes import free_port
from postwire_worker.runtime import Runtime
from support.dovecot import Dovecot
from support.fake_imap import Wire, fake_imap
from support.mailbox import MailUser, letter
from support.processes import eventually
from support.service import process, start
from support.sso import Sso

MODULE = "postwire_worker"


@pytest.fixture
def given(runtime: Runtime, redis_url: str, dovecot: Dovecot) -> dict[str, str]:
    """The settings of the process."""
    return {
        "database_url": runtime.pool.conninfo,
        "redis_url": redis_url,
        "credential_keys": KEYS,
        "imap_ca_file": str(dovecot.ca_file),
        "ops_host": "127.0.0.1",
        "ops_port": "0",
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {
                "redis_url": "",
                "worker_threads": "many",
                "databse_url": "x",
                "worker_queues": "snyc",
            },
            [
                "POSTWIRE_REDIS_URL: is missing; set it",
                "POSTWIRE_WORKER_QUEUES: Input should be 'sync' or 'sync.manual'",
                "POSTWIRE_WORKER_THREADS: Input should be a valid integer",
                "POSTWIRE_DATABSE_URL: there is no such setting",
            ],
        ),
        ({"allowed_networks": "10.0.0.0/8, 10.0.0.1/8"}, ["10.0.0.1/8 has host bits set"]),
        ({"credential_keys": "k1:c2hvcnQ="}, ["key number 1: it has 5 bytes, and needs 32"]),
        (
            {"credential_keys": ""},
            ["POSTWIRE_CREDENTIAL_KEYS: is missing; set it or POSTWIRE_CREDENTIAL_KEYS_DIR"],
        ),
        ({"oauth_providers": '{"corp": {"client_id": "x"}}'}, ["OAUTH_PROVIDERS: corp: Object"]),
    ],
)
def test_settings_that_will_not_do_are_said_at_once_and_end_with_2(
    given: dict[str, str], tmp_path: Path, changed: dict[str, str], said: list[str]
) -> None:
    # Given settings with mistakes
    output = tmp_path / "output"
    with output.open("wb") as sink:
        # When the process starts
        code = start(MODULE, given | changed, sink.fileno()).wait(30)

    # Then it says all of them, no value that it was given, and ends
    written = output.read_text()
    assert code == 2
    assert all(sentence in written for sentence in said)
    assert "Traceback" not in written
    assert not [value for value in given.values() if len(value) > 20 and value in written]


def test_another_key_of_the_same_id_ends_the_start_before_anyone_is_locked_out(
    given: dict[str, str], add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given an account, and a key made anew with the id of the one that is lost
    account = add_account.add(user)
    other = f"{'C' * 42}A="
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "k1").write_text(other)
    output = tmp_path / "output"
    with output.open("wb") as sink:
        # When the process starts
        changed = {"credential_keys": "", "credential_keys_dir": str(tmp_path / "keys")}
        code = start(MODULE, given | changed, sink.fileno()).wait(30)
    # Then it says so and ends, and the account is as it was
    assert code == 2
    assert "the key k1 is another one than that" in output.read_text()
    assert other not in output.read_text()
    assert add_account.get(account) == account


def test_the_process_syncs_by_oauth_and_no_secret_is_in_its_log(
    oauth_runtime: Runtime,
    oauth_accounts: Accounts,
    oauth_dovecot: Dovecot,
    granter: MailUser,
    given: dict[str, str],
    sso: Sso,
    tmp_path: Path,
) -> None:
    # Given a process that is told of a provider, and logs everything
    settings = given | {
        "oauth_providers": sso.setting,
        "imap_ca_file": str(oauth_dovecot.ca_file),
        "log_level": "DEBUG",
    }
    account = oauth_accounts.add(granter, grant=sso.grant(granter.name), security="tls")
    granter.append(letter("hello"))
    with process(MODULE, settings, tmp_path) as p:
        # When an account by a grant is synced, and then access is withdrawn
        for state in ("completed", "failed"):
            job = ask(oauth_runtime, account)
            enqueue(oauth_runtime.broker, job, QUEUE)
            assert eventually(
                lambda job=job, state=state: state_of(oauth_runtime, job) == state, 20
            )
            sso.withdraw(granter.name)

        # Then its metrics say what was asked, and its log says no secret
        metrics = p.get("/metrics")[1]
        assert 'postwire_oauth_refreshes_total{outcome="refreshed"} 1.0' in metrics
        assert 'postwire_oauth_refreshes_total{outcome="refused"} 1.0' in metrics
        assert "canary" not in metrics
    assert "canary" not in p.output.read_text()
    assert subjects(oauth_runtime, account) == ["hello"]


def test_a_process_that_was_allowed_nothing_connects_to_the_internet_only(
    runtime: Runtime, given: dict[str, str], add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given a process as it is set by default, and an account on this machine
    account = add_account.add(user, security="tls")
    with process(MODULE, given | {"allowed_networks": ""}, tmp_path) as p:
        # When it is synced
        job = ask(runtime, account)
        enqueue(runtime.broker, job, QUEUE)
        assert eventually(lambda: state_of(runtime, job) == "failed", 20)

        # Then it is refused, which is counted, and the log says where it leads
        metrics = p.get("/metrics")[1]
        assert 'postwire_imap_errors_total{kind="AddressForbidden",provider="other"} 1.0' in metrics
        (line,) = [one for one in p.lines() if one["event"] == "host refused"]
        assert line["addresses"] == ["127.0.0.1"]
    assert "POSTWIRE_ALLOWED_NETWORKS" in (add_account.get(account).state_reason or "")


def test_the_process_syncs_and_shows_what_it_did(
    runtime: Runtime, given: dict[str, str], add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given mail with words that belong to nobody else, new and there before
    account = add_account.add(user, security="tls")
    user.append(letter("canary-subject", "canary-text", attachment=b"canary-bytes"))
    with process(MODULE, given, tmp_path) as p:
        # When it is synced, and new mail comes
        first = ask(runtime, account, "manual")
        enqueue(runtime.broker, first, MANUAL_QUEUE)
        assert eventually(lambda: state_of(runtime, first) == "completed", 20)
        user.append(letter("canary-subject"))
        second = ask(runtime, account)
        enqueue(runtime.broker, second, QUEUE)
        assert eventually(lambda: state_of(runtime, second) == "completed", 20)

        # Then the process is well, and its metrics say what was done
        status, live = p.get("/health/live")
        assert (status, json.loads(live)["status"]) == (200, "ok")
        status, ready = p.get("/health/ready")
        assert (status, json.loads(ready)["checks"]) == (200, {"database": "ok"})
        metrics = p.get("/metrics")[1]
        for line in (
            'postwire_messages_synced_total{direction="inbound"} 2.0',
            'postwire_sync_seconds_count{outcome="found"} 2.0',
            'postwire_imap_connections{purpose="sync"} 0.0',
            'postwire_events_published_total{type="push"} 1.0',
            'postwire_freshness_seconds_count{leg="stored"} 1.0',
        ):
            assert line in metrics

        # And it ends at once
        code, seconds = p.stop()
        assert code == 0
        assert seconds < 10
    written = p.output.read_text()
    secrets = [add_account.dovecot.password, KEYS, given["redis_url"], given["database_url"]]
    assert not [word for word in ("canary", *secrets) if word in written + metrics]
    assert all({"event", "level", "process", "timestamp"} <= set(line) for line in p.lines())


def test_a_refused_login_leaves_no_secret_in_the_log(
    runtime: Runtime, given: dict[str, str], add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given a server that repeats the password in its refusal, at the most talkative level
    said = b"TAG NO LOGIN robin hunter2-canary failed\r\n"
    with fake_imap({"LOGIN": said}) as server:
        account = add_account.add(
            user, host=server.host, port=server.port, password="hunter2-canary"
        )
        with process(MODULE, given | {"log_level": "DEBUG"}, tmp_path) as p:
            # When it is synced
            job_id = ask(runtime, account)
            enqueue(runtime.broker, job_id, QUEUE)
            assert eventually(lambda: state_of(runtime, job_id) == "failed", 20)
            p.stop()

    # Then neither the log nor the job repeats it
    job = job_of(runtime, job_id)
    assert job is not None
    assert "hunter2" not in p.output.read_text() + (job.error or "")
    assert add_account.get(account).state == "auth_failed"


def test_an_idle_process_is_known_to_be_alive_and_ends_at_once(
    runtime: Runtime, given: dict[str, str], tmp_path: Path
) -> None:
    def alive() -> list[str]:
        with transaction(runtime.pool) as connection:
            return processes.alive(connection, "sync-worker")

    with process(MODULE, given, tmp_path) as p:
        assert len(alive()) == 1
        code, seconds = p.stop(signal.SIGINT)
    assert code == 0
    assert seconds < 10
    assert alive() == []
    assert "Traceback" not in p.output.read_text()


def hanging(there: threading.Event) -> Callable[[Wire, str], None]:
    def answer(wire: Wire, _tag: str) -> None:
        there.set()
        wire.hang()

    return answer


def test_a_job_that_runs_when_the_process_ends_is_not_lost(
    runtime: Runtime, given: dict[str, str], add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given a run that waits for a server which has fallen silent
    there = threading.Event()
    with fake_imap({"LIST": hanging(there)}) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        with process(MODULE, given, tmp_path) as p:
            job_id = ask(runtime, account)
            enqueue(runtime.broker, job_id, QUEUE)
            assert there.wait(20)

            # When the process is told to end
            code, seconds = p.stop()

    # Then it does in time, and the job waits for another, on its queue
    assert code == 0
    assert seconds < 10
    job = job_of(runtime, job_id)
    assert job is not None
    assert (job.state, job.attempts) == ("waiting", 0)
    assert set(queued(runtime)) == {job_id}
    assert "Traceback" not in p.output.read_text()


def test_a_job_of_a_process_that_was_killed_is_taken_over(
    runtime: Runtime, given: dict[str, str], add_account: Accounts, user: MailUser, tmp_path: Path
) -> None:
    # Given a run of a process that is killed in the middle
    there = threading.Event()
    user.append(letter("kept"))
    with fake_imap({"LIST": hanging(there)}) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        with process(MODULE, given, tmp_path) as p:
            job_id = ask(runtime, account)
            enqueue(runtime.broker, job_id, QUEUE)
            assert there.wait(20)

            # While it lived, it gave signs of life for what it ran
            before = held_until(runtime)
            assert eventually(lambda: held_until(runtime) != before, 15)
            p.stop(signal.SIGKILL)
    assert state_of(runtime, job_id) == "active"

    # When its hold has run out, and the id is delivered again; the server is well by now
    heal(runtime, account, add_account.dovecot)
    with process(MODULE, given, tmp_path):
        enqueue(runtime.broker, job_id, QUEUE)

        # Then another process has run it
        assert eventually(lambda: state_of(runtime, job_id) == "completed", 20)
    assert subjects(runtime, account) == ["kept"]


def held_until(runtime: Runtime) -> object:
    with transaction(runtime.pool) as connection:
        row = connection.execute("SELECT held_until FROM job").fetchone()
    assert row
    return row[0]


def heal(runtime: Runtime, account: Account, dovecot: Dovecot) -> None:
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE job SET held_until = now() - interval '1 second'")
        connection.execute("UPDATE account SET port = %s WHERE id = %s", [dovecot.port, account.id])


def test_without_a_database_the_process_is_up_and_not_ready(
    given: dict[str, str], tmp_path: Path
) -> None:
    # Given a database and a Redis that are down
    password = "canary-password"
    down = {
        "database_url": f"postgresql://postwire:{password}@127.0.0.1:{free_port()}/postwire",
        "redis_url": f"redis://:{password}@127.0.0.1:{free_port()}/0",
    }
    with process(MODULE, given | down, tmp_path) as p:
        # When it is asked
        # Then it lives, is not ready, and says why
        assert p.get("/health/live")[0] == 200
        status, body = p.get("/health/ready")
        assert status == 503
        assert re.search("database does not answer", body, re.IGNORECASE)

        # And it ends in time all the same
        code, seconds = p.stop()
        assert code == 0
        assert seconds < 10
    assert password not in p.output.read_text()
