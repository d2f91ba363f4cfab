"""How long conversations and changes take in an account of 200,000 messages among a million.

`PYTHONPATH=tests python bench/conversations.py [plans]`; with `plans` it shows what PostgreSQL did.
Then how long a batch takes to be stored there, and what of it is due to joining its threads and to
the triggers that keep `thread_mailbox`.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from postwire.model import Account, Incoming, MessageId
from postwire.store import changes, conversations, messages, threads
from postwire.store.migrate import migrate
from postwire.store.pool import Pool, make_pool, snapshot, transaction
from postwire_demo.servers import postgres
from support import many, rows

LARGE = 200_000
OTHERS = 20
OTHER = 50_000
RUNS = 100
#: Batches that are stored, and messages in each.
BATCHES = 40
BATCH = 100

Reading = Callable[[Connection[TupleRow]], object]


def readings(pool: Pool, account: Account) -> dict[str, Reading]:
    """What is measured, by name."""
    middle, late = (above(pool, account, n) for n in (LARGE // 2, LARGE // 200))

    def listed(mailbox: str | None = None, before: conversations.Position | None = None) -> Reading:
        return lambda connection: conversations.list_of_user(
            connection, "ann", account_id=account.id, mailbox=mailbox, before=before, limit=51
        )

    def changed(since: int) -> Reading:
        return lambda connection: changes.since(
            connection, "ann", account.id, revision=since, epoch=1, limit=50
        )

    return {
        "conversations, first page": listed(),
        "conversations, in the middle": listed(before=middle),
        "conversations of INBOX": listed("INBOX"),
        "conversations of INBOX, in the middle": listed("INBOX", middle),
        "conversations of Rare (100 messages)": listed("Rare"),
        "conversations of Old (the oldest tenth)": listed("Old"),
        "conversations of Old, the last": listed("Old", late),
        "conversations of Archive (the older half)": listed("Archive"),
        "conversations of INBOX, below its last": listed("INBOX", late),
        "changes, the last": changed(LARGE // 50),
        "changes, from the middle": changed(LARGE // 100),
        "changes, from the beginning": changed(0),
        "messages, first page (to compare)": lambda connection: messages.list_of_user(
            connection, "ann", account_id=account.id, mailbox=None, before=None, limit=51
        ),
    }


def main() -> None:
    """Fill a database, and print the milliseconds of each reading and of a batch."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        with postgres(data, Path(folder) / "log", secrets.token_urlsafe(), durable=False) as url:
            migrate(url)
            pool = make_pool(url, 2)
            account = rows.active(pool)
            many.fill(url, account.id, LARGE)
            for n in range(OTHERS):
                many.fill(url, rows.active(pool, "bob", f"{n}@example.com").id, OTHER)
            add_archive(pool, account)
            many.analyze(url)
            for name, read in readings(pool, account).items():
                measure(pool, name, read)
            store(pool, account)
            pool.close()


def above(pool: Pool, account: Account, n: int) -> conversations.Position:
    """Where a page begins whose messages are the oldest `n`."""
    with snapshot(pool) as connection:
        ((time_,),) = connection.execute(
            "SELECT internaldate FROM message WHERE account_id = %s ORDER BY id OFFSET %s LIMIT 1",
            [account.id, n],
        )
    return time_, MessageId(1)


def add_archive(pool: Pool, account: Account) -> None:
    """Give the older half a second placement."""
    archive = rows.mailbox(pool, account, "Archive")
    with transaction(pool) as connection:
        connection.execute(
            """
            INSERT INTO placement (account_id, mailbox_id, uidvalidity, uid, message_id, flags)
            SELECT account_id, %s, 1, id, id, '{}' FROM message
             WHERE account_id = %s ORDER BY id LIMIT %s
            """,
            [archive.id, account.id, LARGE // 2],
        )


def store(pool: Pool, account: Account) -> None:
    """Print what a batch takes, joining its threads, and what it takes without the triggers."""
    box = rows.mailbox(pool, account, "New")
    joining: list[float] = []
    took: dict[bool, list[float]] = {True: [], False: []}
    with patch.object(threads, "join", partial(timed, joining, threads.join)):
        for n in range(2 * BATCHES):
            kept = n % 2 == 0
            switch(pool, on=kept)
            cursor = replace(rows.START, uidnext=1 + n * BATCH)
            batch = rows.batch(
                box, *(letter(cursor.uidnext + i) for i in range(BATCH)), before=cursor
            )
            timed(took[kept], rows.store_batch, pool, batch)
    switch(pool, on=True)
    for name, each in {
        f"storing {BATCH} messages": took[True],
        "  of it threads.join": joining[::2],
        "storing them without the triggers": took[False],
    }.items():
        print(f"{name:45} median {statistics.median(each):7.2f} ms")


def letter(uid: int) -> Incoming:
    """Each third one begins a thread, and the two that follow answer it."""
    first = uid - uid % 3
    return rows.incoming(
        uid, subject=f"New {uid}", references=(f"<{first}@new.example.com>",),
        message_id=f"<{uid}@new.example.com>",
    )  # fmt: skip


def timed(took: list[float], run: Callable[..., object], *given: object) -> None:
    """Note how many milliseconds it took."""
    start = time.perf_counter()
    run(*given)
    took.append(1000 * (time.perf_counter() - start))


def switch(pool: Pool, *, on: bool) -> None:
    """Let the triggers work, or not."""
    word = SQL("ENABLE" if on else "DISABLE")
    with transaction(pool) as connection:
        for table in ("placement", "message"):
            connection.execute(
                SQL("ALTER TABLE {} {} TRIGGER USER").format(Identifier(table), word)
            )


def measure(pool: Pool, name: str, read: Reading) -> None:
    """Print median and p99 of the runs, and the plans where they are asked for."""
    took = []
    for _ in range(RUNS):
        with snapshot(pool) as connection:
            start = time.perf_counter()
            read(connection)
            took.append(1000 * (time.perf_counter() - start))
    p99 = statistics.quantiles(took, n=100)[-1]
    print(f"{name:45} median {statistics.median(took):7.2f} ms   p99 {p99:7.2f} ms")
    if sys.argv[1:] == ["plans"]:
        with snapshot(pool) as connection:
            many.explain(connection, print)
            read(connection)


if __name__ == "__main__":
    main()
