"""How long conversations and changes take in an account of 200,000 messages among a million.

`PYTHONPATH=tests python bench/conversations.py [plans]`; with `plans` it shows what PostgreSQL did.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import Account, MessageId
from postwire.store import changes, conversations, messages
from postwire.store.migrate import migrate
from postwire.store.pool import Pool, make_pool, snapshot
from postwire_demo.servers import postgres
from support import many, rows

LARGE = 200_000
OTHERS = 20
OTHER = 50_000
RUNS = 30

Reading = Callable[[Connection[TupleRow]], object]


def readings(pool: Pool, account: Account) -> dict[str, Reading]:
    """What is measured, by name."""
    with snapshot(pool) as connection:
        (middle,) = connection.execute(
            "SELECT internaldate FROM message WHERE account_id = %s ORDER BY id OFFSET %s LIMIT 1",
            [account.id, LARGE // 2],
        ).fetchone() or (None,)

    def listed(mailbox: str | None = None, *, deep: bool = False) -> Reading:
        return lambda connection: conversations.list_of_user(
            connection, "ann", account_id=account.id, mailbox=mailbox,
            before=(middle, MessageId(1)) if deep else None, limit=51,
        )  # fmt: skip

    def changed(since: int) -> Reading:
        return lambda connection: changes.since(
            connection, "ann", account.id, revision=since, epoch=1, limit=50
        )

    return {
        "conversations, first page": listed(),
        "conversations, in the middle": listed(deep=True),
        "conversations of INBOX": listed("INBOX"),
        "conversations of INBOX, in the middle": listed("INBOX", deep=True),
        "conversations of Rare (100 messages)": listed("Rare"),
        "conversations of Old (the oldest tenth)": listed("Old"),
        "conversations of Old, in the middle": listed("Old", deep=True),
        "changes, the last": changed(LARGE // 50),
        "changes, from the middle": changed(LARGE // 100),
        "changes, from the beginning": changed(0),
        "messages, first page (to compare)": lambda connection: messages.list_of_user(
            connection, "ann", account_id=account.id, mailbox=None, before=None, limit=51
        ),
    }


def main() -> None:
    """Fill a database, and print the milliseconds of each reading."""
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
            many.analyze(url)
            for name, read in readings(pool, account).items():
                measure(pool, name, read)
            pool.close()


def measure(pool: Pool, name: str, read: Reading) -> None:
    """Print the median and the slowest of the runs, and the plans where they are asked for."""
    took = []
    for _ in range(RUNS):
        with snapshot(pool) as connection:
            start = time.perf_counter()
            read(connection)
            took.append(1000 * (time.perf_counter() - start))
    print(f"{name:45} median {statistics.median(took):7.2f} ms   slowest {max(took):7.2f} ms")
    if sys.argv[1:] == ["plans"]:
        with snapshot(pool) as connection:
            many.explain(connection, print)
            read(connection)


if __name__ == "__main__":
    main()
