"""200 accounts that have new mail at once, what a person waits meanwhile, and the queue by itself.

python -m bench.many_accounts
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex

import psycopg

from bench import corpus
from bench.queue_alone import PICKED_UP, PickedUp, Queues, Through, until
from bench.result import Budget, Measurement, Table, alone, progress
from bench.sync_jobs import TABLE, Database, Peers, Postwire, Run
from postwire_demo.servers import valkey
from support.dovecot import Dovecot
from support.mailbox import MailUser
from support.system import System, run_everything

ACCOUNTS = 200
MESSAGES = 50
#: Accounts of the slow way: its rate does not depend on how many there are.
NAIVE = 20
#: Beside so many small accounts, one with so many messages.
SMALL, LARGE = 60, 5_000
_OURS, _BULLMQ = "Postwire", "BullMQ, ImapFlow, mailparser"
_NAIVE = "Dramatiq, IMAPClient, email"
_BESIDE = f"Postwire, {SMALL} accounts beside one of {LARGE:,}"
#: Jobs that do nothing: whose, how many, by how many processes with how many threads each.
THROUGH = {
    "Postwire, 1 x 1": ("Postwire", 4_000, 1, 1),
    "Postwire, 2 x 4": ("Postwire", 10_000, 2, 4),
    "Dramatiq, 1 x 1": ("Dramatiq", 2_000, 1, 1),
    "Dramatiq, 2 x 4": ("Dramatiq", 10_000, 2, 4),
    "BullMQ, 1 x 1": ("BullMQ", 10_000, 1, 1),
    "BullMQ, 2 x 4": ("BullMQ", 20_000, 2, 4),
}
_COMPARED = ("Postwire, 1 x 1", "Dramatiq, 1 x 1", "Postwire, 2 x 4", "BullMQ, 2 x 4")

_WORDS = """
Two sync-workers with four threads each, and the one for what people ask, as they are deployed, with
the watcher, PostgreSQL (durable), Valkey and Dovecot on the same two cores. 200 accounts, added by
the API and synced empty, each get 50 messages; then all are due at once, and the watcher's clock
asks for them (IDLE is kept out, for it would ask for each as its mail is put in). Meanwhile a
person asks for another account, whose sync finds nothing, again and again. BullMQ has two processes
with four jobs each, ImapFlow, mailparser and pg with batches of 50, the same mailboxes, Valkey and
PostgreSQL; a person's job has priority. Not like for like: Postwire fetches texts and leaves
attachments on the server, threads and indexes what it stores, tells browsers, and takes a person's
request by HTTP; the peers read messages whole, as their parsers want them, and write one row each.
The naive way is IMAPClient, the standard library's parser and a row at a time on Dramatiq with its
defaults, with 20 of the accounts. The queues by themselves have jobs that do nothing, asked for
in turn, so that each has been idle. CPU is that of the workers.
"""


def measure() -> Measurement:
    """Run all of it."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        runs = _sync(stack.enter_context(run_everything(watch_accounts="1")), folder)
    with _folder() as folder, valkey(folder, folder / "valkey.log", token_hex(8)) as url:
        queues = Queues(url, folder)
        progress(f"{PICKED_UP} jobs, one by one")
        picked_up = queues.picked_up()
        through = {name: queues.through(*how) for name, how in THROUGH.items()}
    return Measurement(
        title="Many accounts, and the queue",
        words=" ".join(_WORDS.split()),
        tables=_tables(runs, picked_up, through),
        budgets=_budgets(runs, picked_up, through),
    )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="postwire-bench-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _sync(everything: tuple[System, Dovecot], folder: Path) -> dict[str, Run]:
    system, server = everything
    url = system.setting("database_url")
    with psycopg.connect(url, autocommit=True) as database:
        # One account has the watcher's only IDLE, so that the others' jobs come by the clock.
        system.add_account(MailUser(server, server.new_user()), "idle")
        system.wait_until_watched()
        asking = MailUser(server, server.new_user())
        (person,) = _add(system, database, [asking], "robin")
        progress(f"{ACCOUNTS} accounts are added and filled")
        users = [MailUser(server, server.new_user()) for _ in range(ACCOUNTS)]
        accounts = _add(system, database, users, "many")
        for n, user in enumerate(users):
            corpus.fill(user, MESSAGES, seed=n)
        system.start_another("sync-worker")
        product = Postwire(system, database, person)
        progress("Postwire")
        ours = product.sync(accounts)
        database.execute(TABLE)
        peers = Peers(system.setting("redis_url"), url, server, folder)
        names = [user.name for user in users]
        progress("BullMQ")
        theirs = peers.bullmq(names, asking.name)
        database.execute("TRUNCATE peer_message")
        progress(f"Dramatiq as it comes, {NAIVE} accounts")
        naive = peers.naive(names[-NAIVE:])
        progress(f"Postwire, {SMALL} accounts and one of {LARGE} messages")
        large = MailUser(server, server.new_user())
        last = _add(system, database, [large], "large")
        corpus.fill(large, LARGE, seed=ACCOUNTS)
        for n, user in enumerate(users[:SMALL]):
            corpus.fill(user, MESSAGES, first=MESSAGES, seed=n)
        beside = product.sync(accounts[:SMALL], large=last)
    return {_OURS: ours, _BULLMQ: theirs, _NAIVE: naive, _BESIDE: beside}


def _add(system: System, database: Database, users: Sequence[MailUser], owner: str) -> list[str]:
    """Add the accounts by the API, each with an owner of its own, and wait for their first sync."""
    added = [system.add_account(user, f"{owner}{n or ''}") for n, user in enumerate(users)]
    open_jobs = "SELECT FROM job WHERE state IN ('waiting', 'active', 'delayed')"
    until(lambda: database.execute(open_jobs).fetchone() is None)
    # Due when it is told, and not before.
    database.execute(
        "UPDATE account SET sync_every = 36000, next_sync_at = now() + interval '10 hours'"
    )
    return added


def _tables(
    runs: dict[str, Run], picked_up: dict[str, PickedUp], through: dict[str, Through]
) -> list[Table]:
    all_at_once = [_OURS, _BULLMQ, _NAIVE]
    return [
        Table(
            f"{ACCOUNTS} accounts with {MESSAGES} new messages each",
            ("messages/s", "CPU ms/message", "of all processes", "memory MB"),
            {name: runs[name].figures for name in all_at_once},
            chart="bars",
            drawn="messages/s",
        ),
        Table(
            "When an account is done",
            ("first s", "median s", "last s", "(p95 - p5) / last"),
            {name: runs[name].fairness for name in (_OURS, _BULLMQ, _BESIDE)},
        ),
        Table(
            "What a person waits meanwhile",
            ("begun, median ms", "begun, longest ms", "done, median ms", "done, longest ms"),
            {name: runs[name].person for name in (_OURS, _BULLMQ)},
        ),
        Table(
            "Picked up from an idle queue",
            ("median ms", "p99 ms", "longest ms", "CPU of the idle worker, % of a core"),
            {name: found.figures for name, found in picked_up.items()},
            chart="bars",
            drawn="median ms",
            logarithmic=True,
        ),
        Table(
            "Jobs that do nothing",
            ("jobs/s", "CPU µs/job"),
            {name: [found.rate, found.cpu] for name, found in through.items()},
            chart="bars",
            drawn="jobs/s",
        ),
    ]


def _budgets(
    runs: dict[str, Run], picked_up: dict[str, PickedUp], through: dict[str, Through]
) -> list[Budget]:
    ours, stock, theirs = (picked_up[name] for name in ("Postwire", "Dramatiq", "BullMQ"))
    one, one_stock, two, two_theirs = (through[name] for name in _COMPARED)
    rate, each, all_each, _ = runs[_OURS].figures
    naive_rate, _, naive_each, _ = runs[_NAIVE].figures
    job = runs[_OURS].cpu / ACCOUNTS * 1e6
    return [
        Budget(
            "Many accounts on two quiet cores",
            rate,
            "messages/s",
            at_least=1500,
            obstacle=f"All processes together take {all_each:.2f} ms of CPU a message, the workers "
            f"{each:.2f} of them: two cores that do nothing else give {2000 / all_each:.0f}.",
        ),
        Budget(
            "Many accounts beside the naive way",
            rate / naive_rate,
            "times",
            at_least=20,
            obstacle=f"All processes take {all_each:.2f} ms of CPU a message, with the naive way "
            f"{naive_each:.2f}: {naive_each / all_each:.1f} times as much is all there is.",
        ),
        Budget(
            "Picked up from an idle queue, p99",
            ours.figures[1],
            "ms",
            at_most=5,
            obstacle=f"The longest of {PICKED_UP}: woken threads wait for a core that is busy.",
        ),
        Budget(
            "Picked up beside BullMQ, medians",
            ours.figures[0] / theirs.figures[0],
            "times",
            at_most=1,
        ),
        Budget(
            "CPU of the idle worker beside Dramatiq's",
            ours.idle / max(stock.idle, 0.1),
            "times",
            at_most=1,
            obstacle=f"{ours.idle:.2f} % of a core: its threads look twice a second whether they "
            "are to end, Dramatiq's once.",
        ),
        Budget(
            "Jobs that do nothing, beside Dramatiq, 1 x 1",
            one.rate / one_stock.rate,
            "times",
            at_least=10,
            obstacle="A worker takes no more than it has threads for, so each job is fetched by "
            "itself: to fetch more would keep jobs from workers that are free.",
        ),
        Budget(
            "The same beside BullMQ, 2 x 4",
            two.rate / two_theirs.rate,
            "times",
            at_least=1,
            obstacle=f"Python takes {two.cpu:.0f} µs of CPU for a job in two calls of Redis, Node "
            f"{two_theirs.cpu:.0f}; a sync takes {job:,.0f}, so that nobody would see it.",
        ),
    ]


if __name__ == "__main__":
    alone(measure)
