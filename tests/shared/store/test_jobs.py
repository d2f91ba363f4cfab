"""Jobs: asked for, claimed, finished, put off, given up, swept, pruned."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from postwire.errors import Conflict, NotFound
from postwire.model import Account, Job, JobId, Reason
from postwire.store import accounts, jobs
from postwire.store.jobs import Asked
from postwire.store.pool import Pool, transaction
from support import rows


@pytest.fixture
def account(store: Pool) -> Account:
    """An account without jobs."""
    return rows.active(store)


def ask(store: Pool, account: Account, reason: Reason = "auto") -> Asked:
    with transaction(store) as connection:
        return jobs.ask(connection, account.id, account.user_id, reason)


def claim(store: Pool, id_: JobId, holder: str = "worker") -> Job | None:
    with transaction(store) as connection:
        return jobs.claim(connection, id_, holder)


def running(store: Pool, account: Account, reason: Reason = "auto") -> Job:
    job = claim(store, ask(store, account, reason).id)
    assert job is not None
    return job


def read(store: Pool, id_: JobId) -> Job:
    with transaction(store) as connection:
        return jobs.get_of_user(connection, "ann", id_)


def everything(store: Pool) -> list[Job]:
    with transaction(store) as connection:
        return jobs.list_of_user(
            connection, "ann", account_id=None, state=None, before=None, limit=999
        )


def let_time_pass(store: Pool, seconds: int) -> None:
    with transaction(store) as connection:
        connection.execute(
            """
            UPDATE job SET run_at = run_at - make_interval(secs => %(s)s),
                           held_until = held_until - make_interval(secs => %(s)s)
            """,
            {"s": seconds},
        )


def test_asking_again_returns_the_open_job(store: Pool, account: Account) -> None:
    # Given a job that waits
    first = ask(store, account)
    # When the machine asks again
    again = ask(store, account)
    # Then it is the same job, which is queued already
    assert first.enqueue
    assert again == Asked(first.id, enqueue=False, queue="sync")
    assert len(everything(store)) == 1


def test_threads_that_ask_at_once_open_one_job(
    store: Pool, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given eight threads that wait for each other, in a millisecond that does not end
    monkeypatch.setattr(jobs.time, "time_ns", lambda: 1_759_449_600_000_000_000)
    barrier = Barrier(8)

    def at_once(_: int) -> Asked:
        barrier.wait(timeout=10)
        return ask(store, account)

    for _ in range(10):
        # When they ask for the same account at once
        with ThreadPoolExecutor(8) as threads:
            asked = list(threads.map(at_once, range(8)))
        # Then they all have the one job, and nobody an error
        assert len({one.id for one in asked}) == 1
        with transaction(store) as connection:
            job = jobs.claim(connection, asked[0].id, "worker")
            assert job is not None
            jobs.finish(connection, job, "worker", found=0, more=False)


def test_a_job_that_follows_another_within_a_millisecond_has_an_id_of_its_own(
    store: Pool, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a clock that stands still
    monkeypatch.setattr(jobs.time, "time_ns", lambda: 1_759_449_600_000_000_000)
    # When three jobs follow each other
    ids = []
    for _ in range(3):
        job = running(store, account, "manual")
        ids.append(job.id)
        with transaction(store) as connection:
            jobs.finish(connection, job, "worker", found=1, more=False)
    # Then each has an id, in the shape that clients know
    assert ids == [f"sync-{account.id}-{1_759_449_600_000 + n}" for n in range(3)]


def test_all_accounts_are_asked_for_in_the_order_they_were_named(store: Pool) -> None:
    # Given accounts, and threads that name them in opposite orders
    ids = [rows.active(store, "ann", f"{n}@example.com").id for n in range(12)]

    def ask_all(turn: int) -> list[Asked]:
        wanted = ids if turn % 2 else ids[::-1]
        with transaction(store) as connection:
            asked = jobs.ask_all(connection, wanted, "ann", "auto")
        assert [one.id[5:41] for one in asked] == wanted
        return asked

    # When they ask at once
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask_all, range(16)))
    # Then none waited for another crosswise, and each account has its one job
    assert len(everything(store)) == 12


def test_a_person_who_asks_does_not_wait_behind_the_machine(store: Pool, account: Account) -> None:
    # Given a job that the machine asked for
    first = ask(store, account, "auto")
    # When a person asks
    asked = ask(store, account, "manual")
    # Then the same job moves to the queue of those who wait
    assert asked == Asked(first.id, enqueue=True, queue="sync.manual")
    # And the machine does not move it back
    assert ask(store, account, "push") == Asked(first.id, enqueue=False, queue="sync.manual")


def test_a_person_who_asks_does_not_wait_for_a_backoff(store: Pool, account: Account) -> None:
    # Given a job that is put off for a minute
    job = running(store, account)
    with transaction(store) as connection:
        assert jobs.put_off(connection, job, "worker", "Busy.", 60) == "delayed"
    assert claim(store, job.id) is None
    # When the machine asks, nothing changes; when a person asks, it is due
    assert not ask(store, account, "push").enqueue
    assert ask(store, account, "manual") == Asked(job.id, enqueue=True, queue="sync.manual")
    assert claim(store, job.id) is not None


def test_a_job_is_claimed_by_one_of_those_it_was_delivered_to(
    store: Pool, account: Account
) -> None:
    # Given a job that was delivered eight times
    asked = ask(store, account)
    # When eight workers claim it at once
    with ThreadPoolExecutor(8) as threads:
        claimed = list(threads.map(lambda n: claim(store, asked.id, f"w{n}"), range(8)))
    # Then one of them runs it
    (job,) = [one for one in claimed if one]
    assert (job.state, job.started_at is not None) == ("active", True)


def test_a_holder_that_lives_keeps_its_job_and_a_dead_one_loses_it(
    store: Pool, account: Account
) -> None:
    # Given a job in the hands of a worker
    job = running(store, account)
    # When it gives a sign just before it would count as dead
    let_time_pass(store, jobs.HOLD - 1)
    with transaction(store) as connection:
        assert jobs.hold(connection, ["worker", "other"]) == {"worker"}
    let_time_pass(store, jobs.HOLD - 1)
    # Then it keeps the job; and without another sign it loses it
    assert claim(store, job.id, "other") is None
    let_time_pass(store, 2)
    assert claim(store, job.id, "other") is not None
    # And what it brings home counts no more
    with transaction(store) as connection:
        assert jobs.finish(connection, job, "worker", found=9, more=False) is None
        assert jobs.put_off(connection, job, "worker", "late", 0) is None
        assert jobs.give_up(connection, job, "worker", "late") is None
    assert (read(store, job.id).state, read(store, job.id).found) == ("active", 0)


def test_a_job_that_ends_well_is_completed_with_what_it_found(
    store: Pool, account: Account
) -> None:
    # Given a job that failed once before
    job = running(store, account)
    with transaction(store) as connection:
        jobs.put_off(connection, job, "worker", "Busy.", 0)
    claim(store, job.id)
    # When it ends well
    with transaction(store) as connection:
        assert jobs.finish(connection, job, "worker", found=3, more=False) == "completed"
    # Then that is what it says
    done = read(store, job.id)
    assert (done.state, done.found, done.error, done.attempts) == ("completed", 3, None, 0)
    assert done.finished_at is not None
    # And it cannot be run again
    assert claim(store, job.id) is None


def test_an_automatic_run_that_found_nothing_leaves_no_history(
    store: Pool, account: Account
) -> None:
    for reason, kept in (("auto", 0), ("push", 1), ("manual", 2)):
        # When a run ends that found nothing
        job = running(store, account, reason)  # type: ignore[arg-type]
        with transaction(store) as connection:
            assert jobs.finish(connection, job, "worker", found=0, more=False) == "completed"
        # Then only the machine's own looks are forgotten
        assert len(everything(store)) == kept


def test_who_asks_while_it_runs_gets_another_look(store: Pool, account: Account) -> None:
    # Given a job that runs
    job = running(store, account)
    # When somebody asks
    assert ask(store, account, "push") == Asked(job.id, enqueue=False, queue="sync")
    # Then it waits again when it ends, once
    with transaction(store) as connection:
        assert jobs.finish(connection, job, "worker", found=0, more=False) == "waiting"
    assert claim(store, job.id) is not None
    with transaction(store) as connection:
        assert jobs.finish(connection, job, "worker", found=0, more=False) == "completed"


def test_a_job_with_more_to_do_waits_again_and_adds_up(store: Pool, account: Account) -> None:
    # Given a job that did its part of a large mailbox
    job = running(store, account)
    with transaction(store) as connection:
        assert jobs.finish(connection, job, "worker", found=200, more=True) == "waiting"
    # When it has done the rest
    claim(store, job.id)
    with transaction(store) as connection:
        jobs.finish(connection, job, "worker", found=5, more=False)
    # Then it says what it found in all
    assert read(store, job.id).found == 205


def test_a_job_fails_after_its_last_attempt(store: Pool, account: Account) -> None:
    # Given a job that fails again and again
    job = running(store, account)
    for n in range(1, jobs.ATTEMPTS):
        with transaction(store) as connection:
            assert jobs.put_off(connection, job, "worker", f"Error {n}.", 0) == "delayed"
        assert claim(store, job.id) is not None
    # When the last attempt fails
    with transaction(store) as connection:
        assert jobs.put_off(connection, job, "worker", "The last.", 0) == "failed"
    # Then it says so, and the account can be asked for anew
    failed = read(store, job.id)
    assert (failed.state, failed.attempts, failed.error) == ("failed", 3, "The last.")
    assert ask(store, account).id != job.id


def test_what_comes_too_early_is_no_attempt(store: Pool, account: Account) -> None:
    # Given a job that runs while its server wants to be left alone
    job = running(store, account)
    # When it is postponed, by the one who has it
    with transaction(store) as connection:
        assert jobs.postpone(connection, job, "somebody", "Later.", 60) is None
        assert jobs.postpone(connection, job, "worker", "Later.", 60) == "delayed"
    # Then it says why, has all its attempts, and cannot be claimed yet
    after = read(store, job.id)
    assert (after.state, after.error, after.attempts) == ("delayed", "Later.", 0)
    assert claim(store, job.id) is None
    let_time_pass(store, 60)
    assert claim(store, job.id)


def test_a_job_that_is_given_up_is_not_tried_again_unless_somebody_asked(
    store: Pool, account: Account
) -> None:
    # Given a job whose password is wrong
    job = running(store, account)
    with transaction(store) as connection:
        assert jobs.give_up(connection, job, "worker", "Wrong password.") == "failed"
    # And another one, during which a person entered the right password
    job = running(store, account)
    ask(store, account, "manual")
    with transaction(store) as connection:
        assert jobs.give_up(connection, job, "worker", "Wrong password.") == "waiting"
    # Then that one is tried
    assert claim(store, job.id) is not None


def test_the_sweep_finds_what_was_lost_and_leaves_what_is_on_its_way(store: Pool) -> None:
    # Given jobs of either queue that wait for long, one that was just asked for, one that is put
    # off, and one whose holder lives
    lost, other, fresh, later, alive = (
        rows.active(store, "ann", f"{n}@example.com") for n in "abcde"
    )
    stranded, manual = ask(store, lost), ask(store, other, "manual")
    let_time_pass(store, jobs.STRANDED + 1)
    ask(store, fresh)
    running(store, alive)
    put_off = running(store, later)
    with transaction(store) as connection:
        jobs.put_off(connection, put_off, "worker", "Busy.", 60)
        # When the sweeper looks
        # Then it finds what nobody runs, on its queue, and not twice
        for queue, id_ in (("sync", stranded.id), ("sync.manual", manual.id)):
            (swept,) = jobs.sweep_lost(connection, queue, 100)
            assert (swept.id, swept.queue, swept.state) == (id_, queue, "waiting")
            assert jobs.sweep_lost(connection, queue, 100) == []
        assert jobs.sweep_dead(connection, 100) == []
        # And what waits and is due is counted
        assert jobs.count_due(connection, "sync") == 2
        assert jobs.count_due(connection, "sync.manual") == 1
    assert claim(store, stranded.id) is not None


def test_a_job_whose_holders_die_fails_after_its_last_attempt(
    store: Pool, account: Account
) -> None:
    # Given a job whose worker dies each time
    id_ = ask(store, account).id
    states = []
    for _ in range(jobs.ATTEMPTS):
        assert claim(store, id_) is not None
        let_time_pass(store, jobs.HOLD + 1)
        # When the sweeper looks
        with transaction(store) as connection:
            (swept,) = jobs.sweep_dead(connection, 100)
        states.append(swept.state)
    # Then it is tried as often as any other, and no more
    assert states == ["waiting", "waiting", "failed"]
    failed = read(store, id_)
    assert (failed.attempts, failed.error) == (3, "The worker that ran it died.")
    assert failed.finished_at is not None


def test_a_clock_that_is_set_back_keeps_no_job_in_dead_hands(store: Pool, account: Account) -> None:
    # Given a holder that died before the database's clock was set back by an hour
    job = running(store, account)
    let_time_pass(store, -3600)
    # When the sweeper looks
    with transaction(store) as connection:
        # Then it finds the job
        assert [one.id for one in jobs.sweep_dead(connection, 100)] == [job.id]


def test_a_dead_holder_that_a_claim_finds_first_counts_as_well(
    store: Pool, account: Account
) -> None:
    job = running(store, account)
    let_time_pass(store, jobs.HOLD + 1)
    again = claim(store, job.id, "other")
    assert again is not None
    assert again.attempts == 1


def test_a_job_that_is_cancelled_is_run_no_more(store: Pool) -> None:
    # Given a job that waits, and one that runs
    waiting = ask(store, rows.active(store)).id
    active = running(store, rows.active(store, "ann", "other@example.com"))
    with transaction(store) as connection:
        # When their owner cancels them, and a stranger tries to
        with pytest.raises(NotFound):
            jobs.cancel(connection, "bob", waiting)
        for id_ in (waiting, active.id):
            cancelled = jobs.cancel(connection, "ann", id_)
            assert (cancelled.state, cancelled.error) == ("failed", "Cancelled.")
        # Then the one is not run, and the other's holder has lost it
        assert jobs.claim(connection, waiting, "worker") is None
        assert jobs.hold(connection, ["worker"]) == set()
        assert jobs.finish(connection, active, "worker", found=1, more=True) is None
        # And what has ended cannot be cancelled
        with pytest.raises(Conflict):
            jobs.cancel(connection, "ann", waiting)


def test_a_job_says_how_many_are_before_it(store: Pool) -> None:
    # Given three jobs of the machine and one of a person
    ids = [ask(store, rows.active(store, "ann", f"{n}@example.com")).id for n in "abc"]
    manual = ask(store, rows.active(store, "bob"), "manual").id
    # Then each knows its place in its own queue
    assert [read(store, id_).position for id_ in ids] == [1, 2, 3]
    assert [job.position for job in everything(store)] == [3, 2, 1]
    with transaction(store) as connection:
        assert jobs.get_of_user(connection, "bob", manual).position == 1
    # And what runs has none
    claim(store, ids[0])
    assert [read(store, id_).position for id_ in ids] == [None, 1, 2]


def test_what_is_left_of_a_large_mailbox_holds_up_no_person(store: Pool, account: Account) -> None:
    # Given a person's job that has made way
    job = running(store, account, "manual")
    with transaction(store) as connection:
        assert jobs.finish(connection, job, "worker", found=200, more=True) == "waiting"
    # Then it goes on behind the machine's, as the person's
    waiting = read(store, job.id)
    assert (waiting.queue, waiting.reason) == ("sync", "manual")
    # And comes forward when the person asks again
    assert ask(store, account, "manual") == Asked(job.id, enqueue=True, queue="sync.manual")


def test_a_job_that_is_swept_has_waited_since_it_was_due(store: Pool) -> None:
    # Given a job that is due for a minute, and that nobody took
    account = rows.active(store)
    with transaction(store) as connection:
        jobs.ask(connection, account.id, account.user_id, "auto")
        connection.execute("UPDATE job SET run_at = now() - interval '1 minute'")
    # When it is swept
    with transaction(store) as connection:
        assert len(jobs.sweep_lost(connection, "sync", 100)) == 1
    # Then it is not swept again at once, and its age is what it was
    with transaction(store) as connection:
        assert jobs.sweep_lost(connection, "sync", 100) == []
        (depth,) = jobs.depths(connection)
    assert depth.oldest >= 60


def test_two_sweepers_find_different_jobs(store: Pool) -> None:
    # Given jobs that were lost
    ids = {ask(store, rows.active(store, "ann", f"{n}@example.com")).id for n in range(30)}
    let_time_pass(store, jobs.STRANDED + 1)

    def sweep(_: int) -> list[JobId]:
        with transaction(store) as connection:
            return [one.id for one in jobs.sweep_lost(connection, "sync", 8)]

    # When several sweepers look at once
    with ThreadPoolExecutor(6) as threads:
        swept = [id_ for some in threads.map(sweep, range(6)) for id_ in some]
    # Then each job was found once
    assert sorted(swept) == sorted(ids)


def test_a_worker_that_ends_lets_go_of_what_it_runs(store: Pool, account: Account) -> None:
    # Given a worker that is asked to stop in the middle of a job
    job = running(store, account)
    with transaction(store) as connection:
        assert [one.id for one in jobs.let_go(connection, "worker")] == [job.id]
    # Then another one need not wait until it counts as dead
    assert claim(store, job.id, "other") is not None


def test_history_is_pruned_to_what_is_kept(
    store: Pool, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given little room for history, and another account that has some
    monkeypatch.setattr(jobs, "KEEP_COMPLETED", 2)
    monkeypatch.setattr(jobs, "KEEP_FAILED", 3)
    other = running(store, rows.active(store, "ann", "other@example.com"), "manual")
    with transaction(store) as connection:
        jobs.finish(connection, other, "worker", found=0, more=False)
    # When more jobs end than are kept
    ended = []
    for n in range(10):
        job = running(store, account, "manual")
        ended.append(job.id)
        with transaction(store) as connection:
            if n % 2:
                jobs.give_up(connection, job, "worker", "No.")
            else:
                jobs.finish(connection, job, "worker", found=1, more=False)
    # Then the newest of each kind are left, and the other account has what it had
    kept = {job.id for job in everything(store)}
    assert kept == {ended[6], ended[8], ended[5], ended[7], ended[9], other.id}


def test_depths_and_stats_count_open_jobs(store: Pool) -> None:
    # Given a job of a person that waits for ten seconds, and one of the machine that runs
    first, second = (rows.active(store, "ann", f"{n}@example.com") for n in "ab")
    ask(store, first, "manual")
    running(store, second)
    let_time_pass(store, 10)
    with transaction(store) as connection:
        # Then the metrics say so
        depths = {(one.queue, one.state): one for one in jobs.depths(connection)}
        assert depths["sync.manual", "waiting"].jobs == 1
        assert 9 < depths["sync.manual", "waiting"].oldest < 20
        assert depths["sync", "active"].jobs == 1
        # And so do the statistics, to their owner
        assert jobs.stats(connection, "ann")["waiting"] == 1
        assert sum(jobs.stats(connection, "bob").values()) == 0


def test_jobs_are_reached_through_their_owner_and_listed_newest_first(store: Pool) -> None:
    # Given jobs
    ids = [ask(store, rows.active(store, "ann", f"{n}@example.com")).id for n in "abc"]
    # Then a stranger reaches none
    with transaction(store) as connection, pytest.raises(NotFound):
        jobs.get_of_user(connection, "bob", ids[0])
    # And their owner reads them one after the other
    seen, before = [], None
    with transaction(store) as connection:
        while page := jobs.list_of_user(
            connection, "ann", account_id=None, state="waiting", before=before, limit=1
        ):
            before = (page[0].created_at, page[0].id)
            seen.append(page[0].id)
    assert seen == ids[::-1]


def test_a_removed_account_takes_its_jobs_along(store: Pool, account: Account) -> None:
    # Given a job that runs
    job = running(store, account)
    # When its account is removed
    with transaction(store) as connection:
        accounts.remove(connection, "ann", account.id)
        # Then what the worker brings home is nobody's
        assert jobs.finish(connection, job, "worker", found=1, more=False) is None
    assert everything(store) == []
