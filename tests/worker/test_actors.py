"""What a run means for its job and its account, and what is told of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import psycopg
import pytest
from worker.conftest import Accounts

from postwire.credentials import make_keyring
from postwire.errors import StoreUnavailable
from postwire.jobs import MANUAL_QUEUE, QUEUE, QUEUES, enqueue, make_broker, make_redis
from postwire.model import Account, Job, JobId, Reason
from postwire.store import accounts, jobs, messages
from postwire.store.pool import transaction
from postwire_demo.processes import free_port
from postwire_worker import actors, client
from postwire_worker import sync as policy
from postwire_worker.actors import declare, run
from postwire_worker.runtime import Runtime
from support.fake_imap import Answer, Wire, fake_imap, mailbox
from support.mailbox import MailUser, letter
from support.processes import eventually
from support.sso import Misbehaviour, Sso, saying
from support.told import Told, listening


@pytest.fixture
def told(redis_url: str) -> Iterator[Told]:
    with listening(redis_url) as told:
        yield told


def ask(runtime: Runtime, account: Account, reason: Reason = "push") -> JobId:
    with transaction(runtime.pool) as connection:
        return jobs.ask(connection, account.id, account.user_id, reason).id


def job_of(runtime: Runtime, job_id: JobId) -> Job | None:
    with transaction(runtime.pool) as connection:
        listed = jobs.list_of_user(
            connection, "owner", account_id=None, state=None, before=None, limit=200
        )
    return next((job for job in listed if job.id == job_id), None)


def state_of(runtime: Runtime, job_id: JobId) -> str | None:
    job = job_of(runtime, job_id)
    return job and job.state


def queued(runtime: Runtime, queue: str = QUEUE) -> list[JobId]:
    """The ids that lie on the queue or are delayed for it."""
    bodies: list[bytes] = []
    for name in (queue, f"{queue}.DQ"):
        bodies += runtime.redis.hvals(f"dramatiq:{name}.msgs")  # type: ignore[arg-type]
    return [JobId(json.loads(body)["args"][0]) for body in bodies]


def due_now(runtime: Runtime, job_id: JobId) -> None:
    """As if the time of the delay had passed."""
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE job SET run_at = now() WHERE id = %s", [job_id])


def subjects(runtime: Runtime, account: Account) -> list[str]:
    with transaction(runtime.pool) as connection:
        listed = messages.list_of_user(
            connection, account.user_id, account_id=account.id, mailbox=None, before=None, limit=200
        )
    return [message.headers.subject for message in listed]


def test_the_first_login_makes_an_account_active_and_says_so(
    runtime: Runtime, add_account: Accounts, user: MailUser, told: Told
) -> None:
    # Given a new account with mail
    account = add_account.add(user)
    user.append(letter("one"), letter("two"))

    # When its first job runs
    job_id = ask(runtime, account, "manual")
    run(runtime, job_id)

    # Then it is active and synced, the job has ended, and both was told in the order of commits
    now = add_account.get(account)
    assert (now.state, now.state_reason) == ("active", None)
    assert now.last_synced_at is not None
    job = job_of(runtime, job_id)
    assert job is not None
    assert (job.state, job.found, job.error) == ("completed", 2, None)
    heard = [event for event in told.so_far() if event.type != "progress"]
    assert [(event.type, event.count) for event in heard] == [("state", 0), ("sync", 0)]
    assert [event.revision for event in heard] == [1, 2]
    assert heard[0].state == "active"


def test_new_mail_is_told_with_its_number_and_time(
    runtime: Runtime, add_account: Accounts, user: MailUser, told: Told
) -> None:
    # Given an account that is up to date, into which mail comes
    account = add_account.add(user)
    run(runtime, ask(runtime, account))
    newest = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    user.append(letter("older"), received=newest - timedelta(hours=1))
    user.append(letter("newer"), received=newest)
    user.append(letter("sent"), mailbox="Sent")
    told.so_far().clear()
    before = add_account.get(account).revision

    # When a push and then a scheduled look see it
    run(runtime, ask(runtime, account, "push"))
    user.append(letter("later"))
    run(runtime, ask(runtime, account, "auto"))

    # Then each batch is told once, what was sent does not count, and the time is the server's
    batches = [event for event in told.so_far() if event.revision > before]
    assert [(event.type, event.count) for event in batches] == [
        ("push", 2),
        ("push", 0),
        ("sync", 1),
    ]
    assert batches[0].received_at == newest
    assert [event.account_id for event in batches] == [account.id] * 3
    assert batches[-1].revision == add_account.get(account).revision


def test_what_is_told_is_committed_already(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody who looks into the database whenever something is told
    account = add_account.add(user)
    user.append(letter("one"), letter("two"), letter("three"))
    monkeypatch.setattr(policy, "BATCH", 1)
    seen: list[tuple[int, int]] = []

    class Reader:
        def pipeline(self, **_: object) -> Reader:
            return self

        def zadd(self, *_: object, **__: object) -> None:
            pass

        def publish(self, _channel: str, message: bytes) -> None:
            revision = json.loads(message)["revision"]
            seen.append((revision, add_account.get(account).revision))

        def execute(self, **_: object) -> list[int]:
            return [0, 0]

    # When the account is synced
    run(replace(runtime, redis=Reader()), ask(runtime, account))  # type: ignore[arg-type]

    # Then what was told was there each time
    assert list(dict.fromkeys(told for told, _ in seen)) == [1, 2, 3, 4]
    assert all(found >= told for told, found in seen)


def test_a_run_that_found_nothing_leaves_no_history_unless_somebody_asked(
    runtime: Runtime, add_account: Accounts, user: MailUser, told: Told
) -> None:
    # Given an account that is up to date
    account = add_account.add(user)
    run(runtime, ask(runtime, account))
    told.until(lambda heard: heard)
    before = len(told.so_far())

    # When nothing is found, by the machine and for a person
    auto, manual = ask(runtime, account, "auto"), None
    run(runtime, auto)
    manual = ask(runtime, account, "manual")
    run(runtime, manual)

    # Then only the person's job is kept, and nothing was told
    assert job_of(runtime, auto) is None
    assert state_of(runtime, manual) == "completed"
    assert len(told.so_far()) == before


def test_a_wrong_password_is_tried_once(
    runtime: Runtime, add_account: Accounts, user: MailUser, told: Told
) -> None:
    # Given a server that counts logins, and refuses them
    with fake_imap({"LOGIN": b"TAG NO [AUTHENTICATIONFAILED] no\r\n"}) as server:
        account = add_account.add(user, host=server.host, port=server.port)

        # When the account is synced, and asked for again by everyone
        first = ask(runtime, account)
        run(runtime, first)
        for reason in ("push", "auto", "manual"):
            run(runtime, ask(runtime, account, reason))  # type: ignore[arg-type]

        # Then it was one login
        assert len(server.heard("LOGIN")) == 1
    now = add_account.get(account)
    words = "The mail server refused the user name or password."
    assert (now.state, now.state_reason) == ("auth_failed", words)
    job = job_of(runtime, first)
    assert job is not None
    assert (job.state, job.attempts, job.error) == ("failed", 1, words)
    assert [(e.type, e.state, e.state_reason, e.error) for e in told.so_far()][:2] == [
        ("state", "auth_failed", words, None),
        ("failed", None, None, words),
    ]


def test_a_password_that_cannot_be_opened_is_said_in_words(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an account whose credential was sealed for another
    account = add_account.add(user)
    with transaction(runtime.pool) as connection:
        connection.execute(
            "UPDATE account SET credential = %s WHERE id = %s",
            [runtime.keyring.seal("another", "x"), account.id],
        )

    # When it is synced
    run(runtime, ask(runtime, account))

    # Then the user is asked to enter the password again
    now = add_account.get(account)
    assert now.state == "auth_failed"
    assert "enter the password again" in (now.state_reason or "")


def test_where_a_key_is_not_set_no_connection_is_made_until_it_is(
    runtime: Runtime, add_account: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an account whose password was sealed with a key that this worker does not have
    lacking = replace(runtime, keyring=make_keyring(f"k2:{'B' * 42}A="))
    with fake_imap({}) as server:
        user = MailUser(add_account.dovecot, "robin")
        account = add_account.add(user, host=server.host, port=server.port)

        # When the account is synced
        run(lacking, ask(runtime, account))

        # Then nothing was sent to anyone, state and log say why, and not that the user is wrong
        assert not server.connected
        now = add_account.get(account)
        words = "The stored password was sealed with the key k1, which is not set"
        assert now.state == "unreachable"
        assert words in (now.state_reason or "")
        assert words in capsys.readouterr().out

        # And with the key it is tried again by itself
        with transaction(runtime.pool) as connection:
            connection.execute("UPDATE account SET next_sync_at = now()")
            assert accounts.take_due(connection, 9) == [(account.id, account.user_id)]
        run(runtime, ask(runtime, account))
        assert server.connected


def test_a_host_that_is_gone_is_tried_three_times_with_growing_delays(
    runtime: Runtime, add_account: Accounts, user: MailUser, told: Told
) -> None:
    # Given an active account whose server has vanished
    account = add_account.add(user, port=free_port())
    runtime.move(account, "active")
    job_id = ask(runtime, account)

    # When its job runs as often as it may
    seen = []
    for _ in range(3):
        due_now(runtime, job_id)
        before = datetime.now(UTC)
        run(runtime, job_id)
        job = job_of(runtime, job_id)
        assert job is not None
        delay = (job.run_at - before).total_seconds()
        seen.append((job.state, job.attempts, add_account.get(account).state, delay))

    # Then it waited longer the second time, and only the last attempt changed the account
    assert [(state, attempts, account_state) for state, attempts, account_state, _ in seen] == [
        ("delayed", 1, "active"),
        ("delayed", 2, "active"),
        ("failed", 3, "unreachable"),
    ]
    assert 5 <= seen[0][3] < 11
    assert 10 <= seen[1][3] < 21
    assert "refuses connections" in (add_account.get(account).state_reason or "")
    assert [event.type for event in told.so_far()] == ["state", "state", "failed"]

    # And its id went to the queue for each further attempt
    assert queued(runtime) == [job_id, job_id]


def test_a_host_that_leads_where_it_must_not_is_tried_once_and_by_schedule(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a process that was allowed nothing more, and an active account on this machine
    strict = replace(runtime, dialer=replace(runtime.dialer, allowed=()))
    account = add_account.add(user, host="localhost")
    runtime.move(account, "active")

    # When it is synced
    job_id = ask(runtime, account)
    run(strict, job_id)

    # Then the job is given up at once, and the user knows why
    now, job = add_account.get(account), job_of(runtime, job_id)
    words = (
        "localhost leads to a private or reserved address; whoever runs Postwire can allow its "
        "network with POSTWIRE_ALLOWED_NETWORKS."
    )
    assert (now.state, now.state_reason) == ("unreachable", words)
    assert job is not None
    assert (job.state, job.attempts, job.error) == ("failed", 1, words)
    assert queued(runtime) == []

    # And where the operator has allowed it since, the next look finds that out
    run(runtime, ask(runtime, account, "auto"))
    assert add_account.get(account).state == "active"


def test_an_account_that_never_worked_is_unreachable_at_once(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a new account with a wrong host
    account = add_account.add(user, port=free_port())

    # When its first attempt fails
    job_id = ask(runtime, account, "manual")
    run(runtime, job_id)

    # Then its user knows without waiting for the others
    assert add_account.get(account).state == "unreachable"
    assert state_of(runtime, job_id) == "delayed"


def test_an_account_that_answers_again_is_active_again(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    account = add_account.add(user)
    runtime.move(account, "unreachable", "gone")
    run(runtime, ask(runtime, account, "auto"))
    assert add_account.get(account).state == "active"


def test_a_server_that_says_how_long_to_wait_is_obeyed(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a server that asks for five minutes, and one that asks for a year
    for milliseconds, seconds in ((300_000, 300), (99_999_999_99, 3600)):
        said = f"TAG NO Suggested Backoff Time: {milliseconds} milliseconds\r\n".encode()
        with fake_imap({"LOGIN": said}) as server:
            account = add_account.add(
                replace(user, name=f"{seconds}@x.example"), host=server.host, port=server.port
            )

            # When the account is synced
            job_id = ask(runtime, account)
            run(runtime, job_id)

        # Then the job waits as long, but no longer than an hour
        job = job_of(runtime, job_id)
        assert job is not None
        assert abs((job.run_at - datetime.now(UTC)).total_seconds() - seconds) < 10
        if seconds == 300:
            assert job.error == "The mail server asks to come back in 5 minutes."


@pytest.mark.parametrize(
    ("answers", "words", "seconds"),
    [
        ({"LOGIN": b"TAG NO [LIMIT] no\r\n"}, "allows no more connections", 60),
        ({"LIST": b"TAG NO [UNAVAILABLE] no\r\n"}, "is not available right now", 30),
        ({"EXAMINE": b"TAG NO [INUSE] no\r\n"}, "is in use by another program", 15),
        ({"LIST": b"* BYE Too many simultaneous connections\r\n"}, "allows no more", 60),
        (
            {"EXAMINE": b"TAG NO Suggested Backoff Time: 300000 milliseconds\r\n"},
            "asks to come back in 5 minutes",
            300,
        ),
        (
            {"LIST": b'* LIST () "/" INBOX\r\nTAG OK Success [THROTTLED]\r\n'},
            "slows this account down",
            300,
        ),
    ],
)
def test_a_server_that_wants_to_be_left_alone_is(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    told: Told,
    answers: dict[str, Answer],
    words: str,
    seconds: int,
) -> None:
    # Given an active account whose server asks to wait
    with fake_imap(answers) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        runtime.move(account, "active")
        run(runtime, ask(runtime, account))
        now = add_account.get(account)
        connected = len(server.connected)

        # Then the account stays what it was, and says why it is not up to date, and for how long
        assert now.state == "active"
        assert words in (now.state_reason or "")
        assert now.busy_seconds == pytest.approx(seconds, abs=5)
        assert told.so_far()[-1].state_reason == now.state_reason

        # When the schedule, and then a person, ask for it meanwhile
        with transaction(runtime.pool) as connection:
            connection.execute("UPDATE account SET next_sync_at = now()")
            assert accounts.take_due(connection, 10) == []
        job_id = ask(runtime, account, "manual")
        run(runtime, job_id)

        # Then nothing is asked of the server, and the person is told until when
        job = job_of(runtime, job_id)
        assert job
        assert (job.state, len(server.connected)) == ("delayed", connected)
        assert "The mail server asks to come back in" in (job.error or "")
        assert (job.run_at - datetime.now(UTC)).total_seconds() == pytest.approx(seconds, abs=5)
        assert job.attempts <= 1

    # And when the time is over and the server well, so is the account
    with transaction(runtime.pool) as connection:
        connection.execute(
            "UPDATE account SET busy_until = now(), host = %s, port = %s",
            [add_account.dovecot.host, add_account.dovecot.port],
        )
    due_now(runtime, job_id)
    run(runtime, job_id)
    assert state_of(runtime, job_id) == "completed"
    assert add_account.get(account).state_reason is None


def test_a_paused_account_is_left_alone(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    with fake_imap() as server:
        account = add_account.add(user, host=server.host, port=server.port)
        with transaction(runtime.pool) as connection:
            accounts.pause(connection, account.user_id, account.id)
        job_id = ask(runtime, account)
        run(runtime, job_id)
        assert server.connected == []
    job = job_of(runtime, job_id)
    assert job is not None
    assert (job.state, job.error) == ("failed", "The account is paused.")
    assert add_account.get(account).state == "paused"


@contextmanager
def held_in_the_middle(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
) -> Iterator[tuple[Account, JobId, threading.Thread, threading.Event]]:
    """A run that waits in LIST until the event is set."""
    go_on, there = threading.Event(), threading.Event()

    def wait(wire: Wire, tag: str) -> None:
        there.set()
        go_on.wait(20)
        wire.send(f'* LIST () "/" INBOX\r\n{tag} OK done\r\n'.encode())

    with fake_imap({"LIST": wait}) as server:
        account = add_account.add(user, host=server.host, port=server.port)
        job_id = ask(runtime, account, "auto")
        thread = threading.Thread(target=run, args=[runtime, job_id])
        thread.start()
        try:
            assert there.wait(10)
            yield account, job_id, thread, go_on
        finally:
            go_on.set()
            thread.join(20)
        assert not thread.is_alive()


def test_a_job_that_is_asked_for_while_it_runs_runs_again(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a run that may be past the point where it would see what is new
    with held_in_the_middle(runtime, add_account, user) as (account, job_id, thread, go_on):
        # When it is asked for again, and then ends
        assert ask(runtime, account, "push") == job_id
        go_on.set()
        thread.join(20)

    # Then it waits again, on its queue
    assert state_of(runtime, job_id) == "waiting"
    assert queued(runtime) == [job_id]


def test_a_person_who_asks_while_the_machine_runs_has_their_own_queue(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given an automatic run
    with held_in_the_middle(runtime, add_account, user) as (account, job_id, thread, go_on):
        # When a person asks for a sync meanwhile
        ask(runtime, account, "manual")
        go_on.set()
        thread.join(20)

    # Then the second run does not stand behind the machine's
    assert queued(runtime, MANUAL_QUEUE) == [job_id]
    assert queued(runtime) == []


def test_a_second_runner_is_refused(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a run
    with held_in_the_middle(runtime, add_account, user) as (_, job_id, _, _):
        # When its id is delivered a second time
        run(runtime, job_id)

        # Then nobody else began
        job = job_of(runtime, job_id)
        assert job is not None
        assert job.state == "active"
        assert len(runtime.runs) == 1
    assert runtime.runs == set()


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_an_account_that_is_removed_leaves_nothing_behind(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    when: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def remove(account: Account) -> None:
        with transaction(runtime.pool) as connection:
            accounts.remove(connection, account.user_id, account.id)

    # Given an account that is removed before its run, or while it runs
    if when == "before":
        account = add_account.add(user)
        job_id = ask(runtime, account)
        remove(account)
        run(runtime, job_id)
    else:
        with held_in_the_middle(runtime, add_account, user) as (account, job_id, thread, go_on):
            remove(account)
            go_on.set()
            thread.join(20)

    # Then there is no job, and nothing went wrong
    assert job_of(runtime, job_id) is None
    assert queued(runtime) == []
    assert "nobody foresaw" not in caplog.text


def test_a_run_whose_time_is_spent_makes_way_and_goes_on_later(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given runs that may store one batch of two: the first is a quarter of the usual size
    monkeypatch.setattr(actors, "BUDGET", 0)
    monkeypatch.setattr(policy, "BATCH", 8)
    account = add_account.add(user)
    user.append(*[letter(f"no. {n}") for n in range(5)])
    job_id = ask(runtime, account)

    # When it has run once
    run(runtime, job_id)

    # Then it waits again with what it found, and nothing is lost when it goes on
    job = job_of(runtime, job_id)
    assert job is not None
    assert (job.state, job.found) == ("waiting", 2)
    assert queued(runtime) == [job_id]
    while state_of(runtime, job_id) == "waiting":
        run(runtime, job_id)
    assert len(subjects(runtime, account)) == 5


def test_redis_may_be_down_while_a_sync_tells(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis that refuses connections, and a job that has to be queued again
    monkeypatch.setattr(actors, "BUDGET", 0)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    deaf = replace(runtime, redis=make_redis(nowhere), broker=make_broker(make_redis(nowhere)))
    account = add_account.add(user)
    user.append(letter("kept"))
    job_id = ask(runtime, account)

    # When it runs
    run(deaf, job_id)

    # Then all is committed, and the job is where the sweep finds it
    assert subjects(runtime, account) == ["kept"]
    assert state_of(runtime, job_id) == "waiting"
    deaf.redis.close()
    deaf.broker.close()


@pytest.mark.parametrize("back_in_time", [True, False])
def test_a_job_whose_run_lost_the_database_is_tried_again(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    postgres_server: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    back_in_time: bool,
) -> None:
    # Given a run in the middle of which the database goes away
    runtime.pool.timeout = 0.3
    monkeypatch.setattr(actors, "_PAUSES", (0.3,) * 30 if back_in_time else ())
    name = runtime.pool.conninfo.rpartition("/")[2]
    raised: list[BaseException | None] = []
    threading.excepthook, before = lambda args: raised.append(args.exc_value), threading.excepthook
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        with held_in_the_middle(runtime, add_account, user) as (_, job_id, thread, go_on):
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            go_on.set()
            # Long enough to find that out.
            thread.join(2)
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
            thread.join(20)
    threading.excepthook = before

    # Then it is put off as soon as the database is back
    assert [type(error) for error in raised] == [StoreUnavailable]
    assert runtime.runs == set()
    if back_in_time:
        assert eventually(lambda: state_of_when_there(runtime, job_id) == "delayed")
        return

    # Or, if that took too long, when the hold has run out
    assert eventually(lambda: state_of_when_there(runtime, job_id) == "active")
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE job SET held_until = now() - interval '1 second'")

        # Then the sweep finds the job
        assert [job.id for job in jobs.sweep_dead(connection, 10)] == [job_id]


def state_of_when_there(runtime: Runtime, job_id: JobId) -> str | None:
    try:
        return state_of(runtime, job_id)
    except StoreUnavailable:
        return None


def test_a_run_that_ended_without_a_word_is_held_no_longer(
    runtime: Runtime, add_account: Accounts, user: MailUser, database_url: str
) -> None:
    # Given a run whose database refuses it in the middle, while the process lives on
    account = add_account.add(user)
    job_id = ask(runtime, account)
    with psycopg.connect(database_url, autocommit=True) as admin:
        # The claim succeeds; the account cannot be read any more
        admin.execute("ALTER TABLE account RENAME TO account_away")
        with pytest.raises(psycopg.errors.UndefinedTable):
            run(runtime, job_id)
        admin.execute("ALTER TABLE account_away RENAME TO account")

        # When its hold runs out
        assert runtime.runs == set()
        admin.execute("UPDATE job SET held_until = now() - interval '1 second'")

    # Then the sweep finds it
    with transaction(runtime.pool) as connection:
        assert [job.id for job in jobs.sweep_dead(connection, 10)] == [job_id]


def test_a_run_whose_account_cannot_be_read_for_now_is_put_off(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a worker that has long read accounts, when a later release adds a column to them
    monkeypatch.setattr(actors, "_PAUSES", (0.1,) * 10)
    account = add_account.add(user)
    job_id = ask(runtime, account)
    with ExitStack() as stack:
        for _ in range(runtime.pool.max_size):
            connection = stack.enter_context(transaction(runtime.pool))
            for _ in range(8):
                accounts.get(connection, account.id)
    with psycopg.connect(database_url) as migration:
        migration.execute("ALTER TABLE account ADD COLUMN later text")

    # When the job runs
    with pytest.raises(StoreUnavailable):
        run(runtime, job_id)

    # Then it is tried again soon, and not only once its hold has run out
    assert state_of(runtime, job_id) == "delayed"


def test_what_nobody_foresaw_is_one_failed_attempt(
    runtime: Runtime,
    add_account: Accounts,
    user: MailUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a fault of ours
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("with a secret")

    monkeypatch.setattr(actors, "sync", broken)
    account = add_account.add(user)
    job_id = ask(runtime, account)

    # When the job runs
    run(runtime, job_id)

    # Then it is tried again later, and the user is not told what was in it
    job = job_of(runtime, job_id)
    assert job is not None
    assert (job.state, job.error) == ("delayed", "Internal error: ZeroDivisionError.")


@contextmanager
def working(runtime: Runtime) -> Iterator[dramatiq.Worker]:
    """A worker as the process has it."""
    declare(runtime, attachment_limit=2**20)
    worker = dramatiq.Worker(runtime.broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=5000)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_job_that_is_queued_by_name_is_run(
    runtime: Runtime, add_account: Accounts, user: MailUser, queue: str
) -> None:
    # Given a worker, and a message that somebody made who has never seen it
    account = add_account.add(user)
    user.append(letter("one"))
    with working(runtime):
        # When it is put on a queue
        enqueue(runtime.broker, ask(runtime, account), queue)

        # Then the actor of that name has run it
        assert eventually(lambda: subjects(runtime, account) == ["one"])


def test_a_run_that_takes_too_long_is_a_failed_attempt(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that sends a byte now and then for ever, and little patience
    monkeypatch.setattr(client, "SYNC_LIMIT", 0.3)

    def drip(wire: Wire, _tag: str) -> None:
        while True:
            wire.send(b"*")
            time.sleep(0.02)

    with fake_imap({"LIST": drip}) as server, working(runtime):
        account = add_account.add(user, host=server.host, port=server.port)

        # When the account is synced
        job_id = ask(runtime, account)
        enqueue(runtime.broker, job_id, QUEUE)

        # Then its connection is cut, and the job is tried again later
        assert eventually(lambda: client.cut_overdue() or state_of(runtime, job_id) == "delayed")
        assert eventually(lambda: not runtime.runs)
    job = job_of(runtime, job_id)
    assert job is not None
    assert (job.attempts, job.error) == (1, "The mail server broke the connection off.")


def test_a_run_ends_with_its_batch_when_the_process_is_to_stop(
    runtime: Runtime, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that is to stop, and a run with much to do
    monkeypatch.setattr(policy, "BATCH", 8)
    account = add_account.add(user)
    user.append(*[letter(f"no. {n}") for n in range(5)])
    runtime.stopping.set()

    # When it runs
    job_id = ask(runtime, account)
    run(runtime, job_id)

    # Then it stores one batch, and waits for another process with the rest
    assert len(subjects(runtime, account)) == 2
    assert state_of(runtime, job_id) == "waiting"
    assert queued(runtime) == [job_id]


def test_a_server_that_renumbers_at_each_look_is_left_alone_after_a_while(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a server with another UIDVALIDITY each time
    numbers = iter(range(1, 1000))

    def examine(wire: Wire, tag: str) -> None:
        answer = mailbox(next(numbers), 3)["EXAMINE"]
        assert isinstance(answer, bytes)
        wire.send(answer.replace(b"TAG", tag.encode()))

    with fake_imap({"EXAMINE": examine}) as server:
        account = add_account.add(user, host=server.host, port=server.port)

        # When its account is synced again and again
        for _ in range(12):
            job_id = ask(runtime, account, "auto")
            due_now(runtime, job_id)
            run(runtime, job_id)

        # Then the mailbox is opened no more after its sixth number in a row
        assert len(server.heard("EXAMINE")) <= 2 * (policy.MOST_RESETS + 2)


def test_flags_and_expunged_messages_are_told_and_count_nothing(
    runtime: Runtime, add_account: Accounts, user: MailUser, told: Told
) -> None:
    # Given a synced account, whose first sync told how far it was
    account = add_account.add(user)
    user.append(letter("one"), letter("two"))
    run(runtime, ask(runtime, account))
    first = told.so_far()
    assert [event.type for event in first] == ["state", "push", "progress"]
    assert (first[-1].done, first[-1].total) == (2, 2)

    # When another client reads a message and expunges the other
    with user.session() as mail:
        mail.select_folder("INBOX")
        mail.add_flags([1], [r"\Seen"])
        mail.delete_messages([2])
        mail.expunge([2])
    run(runtime, ask(runtime, account))
    heard = told.so_far()[len(first) :]

    # Then both are told, each with its revision
    assert [(event.type, event.count) for event in heard] == [("flags", 0), ("expunged", 0)]
    assert [event.revision - heard[0].revision for event in heard] == [0, 1]


def test_an_account_by_oauth_is_synced_from_its_first_login_on(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given a new account by a grant, with mail, over TLS
    account = oauth_accounts.add(granter, grant=sso.grant(granter.name), security="tls")
    granter.append(letter("one"), letter("two"))

    # When its first job runs, and another after the access has ended in the middle
    run(oauth_runtime, ask(oauth_runtime, account, "manual"))
    first = (oauth_accounts.get(account).state, subjects(oauth_runtime, account))
    sso.end_access(granter.name)
    granter.append(letter("three"))
    run(oauth_runtime, ask(oauth_runtime, account))

    # Then all of it is there, and the provider was asked twice
    assert (first[0], sorted(first[1])) == ("active", ["one", "two"])
    assert sorted(subjects(oauth_runtime, account)) == ["one", "three", "two"]
    assert oauth_accounts.get(account).state == "active"
    assert len(sso.asked) == 2


def test_access_that_was_withdrawn_stops_the_account_until_it_is_connected_again(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given an account whose owner has withdrawn the access
    account = oauth_accounts.add(granter, grant=sso.grant(granter.name))
    run(oauth_runtime, ask(oauth_runtime, account))
    sso.withdraw(granter.name)

    # When jobs run
    for _ in range(3):
        run(oauth_runtime, ask(oauth_runtime, account))

    # Then the user is told so, and the provider is asked no more
    now = oauth_accounts.get(account)
    assert now.state == "auth_failed"
    assert now.state_reason == "Access was withdrawn; connect the account again."
    assert len(sso.asked) == 2

    # And when the owner grants it again, it works again
    sealed = oauth_runtime.keyring.seal(account.id, sso.grant(granter.name), "refresh token")
    with transaction(oauth_runtime.pool) as connection:
        accounts.resume(connection, "owner", account.id, sealed, "corp")
    run(oauth_runtime, ask(oauth_runtime, account))
    assert oauth_accounts.get(account).state == "active"


@pytest.mark.parametrize("said", [saying(503, b""), saying(401, {"error": "invalid_client"})])
def test_a_provider_in_trouble_puts_the_job_off_and_leaves_the_account_as_it_is(
    oauth_runtime: Runtime,
    oauth_accounts: Accounts,
    granter: MailUser,
    sso: Sso,
    said: Misbehaviour,
) -> None:
    # Given an account that works, and whose next access token cannot be had
    account = oauth_accounts.add(granter, grant=sso.grant(granter.name))
    run(oauth_runtime, ask(oauth_runtime, account))
    with transaction(oauth_runtime.pool) as connection:
        connection.execute("UPDATE oauth_token SET fresh_until = now()")
    sso.misbehaves = said

    # When a job runs
    job_id = ask(oauth_runtime, account)
    run(oauth_runtime, job_id)

    # Then it is tried again later, and then it works
    assert state_of(oauth_runtime, job_id) == "delayed"
    assert oauth_accounts.get(account).state == "active"
    sso.misbehaves = None
    due_now(oauth_runtime, job_id)
    with transaction(oauth_runtime.pool) as connection:
        connection.execute("UPDATE account SET busy_until = NULL")
    run(oauth_runtime, job_id)
    assert state_of(oauth_runtime, job_id) == "completed"


def test_a_provider_that_says_how_long_to_wait_is_not_asked_before(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given a provider that asks for ten minutes
    account = oauth_accounts.add(granter, grant=sso.grant(granter.name))
    sso.misbehaves = saying(429, b"", {"Retry-After": "600"})

    # When a job runs
    job_id = ask(oauth_runtime, account)
    before = datetime.now(UTC)
    run(oauth_runtime, job_id)

    # Then the next attempt is after that
    job = job_of(oauth_runtime, job_id)
    assert job is not None
    assert job.run_at >= before + timedelta(seconds=595)
