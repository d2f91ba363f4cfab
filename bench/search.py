"""How long a search takes in a large account, what its index weighs, and what indexing costs.

    PYTHONPATH=tests python bench/search.py [MESSAGES [MESSAGES_OF_OTHERS]]

A throw-away PostgreSQL; one account with MESSAGES (200,000) among others with 1,000,000 in all,
made up from a seed. Word frequencies fall as in real text, and a few words are placed in a known
share of the messages. The peer is what one would do without an index: ILIKE over subject and text.
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import AccountId, Address, Body, Headers, Incoming, MessageId
from postwire.store import documents, search
from postwire.store.documents import Source
from postwire.store.pool import Pool, make_pool, transaction
from postwire_api import excerpts
from postwire_api.query import parse
from postwire_demo import services
from postwire_demo.servers import postgres
from support import rows

SEED = 6
NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Accounts of others; each has the same share of their messages.
OTHERS = 100
#: Different documents of the others; their messages repeat them.
POOL = 2_000
RUNS = 40
#: Which share of the messages has the word.
SHARES = {"everywhere": 0.5, "monthly": 0.05, "seldom": 0.001, "once": 0.00002}
#: Shares of messages with the phrase, with its words apart, with an attachment, and unread.
PHRASE, SEPARATE, ATTACHED, UNREAD = 0.02, 0.3, 0.1, 0.05
SEARCHES = {
    "a word in 0.002 %": "once",
    "a word in 0.1 %": "seldom",
    "a word in 5 %": "monthly",
    "a word in 50 %": "everywhere",
    "a word in 5 %, two years old": "monthly before:2024-01-01",
    "two words, 5 % and 50 %": "monthly everywhere",
    "phrase, in 2 %": '"quarterly figures"',
    "phrase of frequent words, in none": '"figures everywhere monthly"',
    "from: one of 500": "from:person7",
    "from: and word": "from:person7 monthly",
    "word, in:, is:unread, after:": "monthly in:archive is:unread after:2023-01-01",
    "filters only: is:unread in:archive": "is:unread in:archive",
    "filters only, found nowhere": "is:unread in:rare",
    "only -word": "-everywhere",
    "a word that nobody wrote": "zyzzyva",
}


class Corpus:
    """Mail made up from a seed."""

    def __init__(self, messages_: int) -> None:
        self.messages = messages_
        self.random = random.Random(SEED)  # noqa: S311 - no secret
        self.words = ["".join(self.random.choices("aeioulnrstkm", k=self.random.randint(3, 9)))
                      for _ in range(30_000)]  # fmt: skip
        self.weights = list(itertools.accumulate(1 / (n + 5) for n in range(len(self.words))))

    def body(self, count: int) -> str:
        """Some `count` words, a few of them placed by their share."""
        drawn = self.random.choices(self.words, cum_weights=self.weights, k=count)
        for word, share in SHARES.items():
            if self.random.random() < share:
                drawn[self.random.randrange(count)] = word
        if self.random.random() < PHRASE:
            drawn[0:0] = ["quarterly", "figures"]
        elif self.random.random() < SEPARATE:
            drawn[0:0] = ["figures", "and", "quarterly"]
        return " ".join(drawn)

    def source(self, id_: int, count: int) -> Source:
        """A message; some are long, most are short; the higher the id the newer."""
        person = self.random.randrange(500)
        text = self.body(count)
        return Source(
            MessageId(id_),
            NOW - timedelta(minutes=13 * (self.messages - id_)),
            Headers(
                subject=" ".join(self.random.choices(self.words, cum_weights=self.weights, k=5)),
                from_=(
                    Address(f"Person{person} Name", f"person{person}@example{person % 50}.com"),
                ),
                to=(Address("Robin", "robin@example.com"),),
            ),
            Body(text=text, snippet=text[:200]),
            ("report.pdf",) if self.random.random() < ATTACHED else (),
        )


def main() -> None:
    """Fill, index, measure, and print."""
    started = time.monotonic()
    count = int((*sys.argv, "", "")[1] or 200_000)
    others = int((*sys.argv, "", "")[2] or 5 * count)
    with database() as url, psycopg.connect(url, autocommit=True) as connection:
        mine = fill(connection, url, Corpus(count), others)
        print(f"{count:,} messages, {others:,} of others; filled in {since(started)}")
        build(connection)
        weigh(connection)
        measure(url, mine)
        compare(connection, mine)
        cost(url)
    print(f"all of it took {since(started)}")


def since(started: float) -> str:
    """How long ago that was, in words."""
    return f"{time.monotonic() - started:.0f} s"


@contextmanager
def database() -> Iterator[str]:
    """A migrated database that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="postwire-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8), durable=False) as url:
            services.migrate({"database_url": url}, folder / "migrate.log")
            yield url


def fill(connection: Connection[TupleRow], url: str, corpus: Corpus, others: int) -> AccountId:
    """Both corpora by turns, as mail comes in; foreign keys and the index wait until later."""
    with make_pool(url, 1) as pool:
        account = rows.active(pool, "robin", "robin@example.com")
        boxes = [rows.mailbox(pool, account, name).id for name in ("INBOX", "Archive", "Rare")]
        theirs = [rows.active(pool, f"u{n}", f"{n}@example.com").id for n in range(OTHERS)]
    connection.execute("SET session_replication_role = replica")
    connection.execute("DROP INDEX search_document")
    connection.execute("CREATE UNLOGGED TABLE pool (n int, document tsvector)")
    with connection.cursor().copy("COPY pool FROM STDIN") as copy:
        for n in range(POOL):
            copy.write_row([n, documents.document(AccountId(""), corpus.source(n, 30))])
    turns = 20
    for turn in range(turns):
        ids = range(1 + turn * corpus.messages // turns, 1 + (turn + 1) * corpus.messages // turns)
        fill_mine(connection, corpus, account.id, boxes, ids)
        fill_others(connection, theirs, others // turns)
    connection.execute("SELECT setval('message_id', 100000000)")
    connection.execute("SET session_replication_role = DEFAULT")
    return account.id


def fill_mine(
    connection: Connection[TupleRow],
    corpus: Corpus,
    account_id: AccountId,
    boxes: list[int],
    ids: range,
) -> None:
    """Messages with everything a search looks at."""
    sources = [corpus.source(id_, corpus.random.choice((20, 40, 60, 80, 200))) for id_ in ids]
    copy_rows(
        connection,
        """COPY message (account_id, id, digest, "references", subject, internaldate, addresses,
           size, direction, snippet, has_attachments, added_revision, revision) FROM STDIN""",
        (
            [account_id, one.id, sha256(str(one.id).encode()).digest(), [], one.headers.subject,
             one.internaldate, people(one), 5_000, "inbound", "", bool(one.filenames), 1, 1]
            for one in sources
        ),
    )  # fmt: skip
    copy_rows(
        connection,
        "COPY body (account_id, message_id, text) FROM STDIN",
        ([account_id, one.id, one.body and one.body.text] for one in sources),
    )
    copy_rows(
        connection,
        "COPY search (account_id, message_id, internaldate, document) FROM STDIN",
        (
            [account_id, one.id, one.internaldate, documents.document(account_id, one)]
            for one in sources
        ),
    )
    copy_rows(
        connection,
        "COPY placement (account_id, mailbox_id, uidvalidity, uid, message_id, flags) FROM STDIN",
        (
            [account_id, place(corpus, boxes), 1, one.id, one.id,
             [] if corpus.random.random() < UNREAD else ["\\Seen"]]
            for one in sources
        ),
    )  # fmt: skip


def place(corpus: Corpus, boxes: list[int]) -> int:
    """Half in the first mailbox, half in the second, next to nothing in the third."""
    return corpus.random.choices(boxes, (50, 50, 0.005))[0]


def people(source: Source) -> str:
    """As `message.addresses` holds them."""
    return json.dumps({"from_": [[one.name, one.address] for one in source.headers.from_]})


def copy_rows(
    connection: Connection[TupleRow], statement: LiteralString, rows_: Iterable[list[object]]
) -> None:
    """One COPY."""
    with connection.cursor().copy(statement) as copy:
        for row in rows_:
            copy.write_row(row)


def fill_others(connection: Connection[TupleRow], accounts: list[AccountId], count: int) -> None:
    """Documents of the others, out of the pool; a search sees no more of them."""
    parameters = {"accounts": accounts, "count": count, "others": len(accounts), "pool": POOL}
    connection.execute(
        """
        CREATE TEMP TABLE new AS
        SELECT (%(accounts)s::uuid[])[1 + n %% %(others)s] AS account_id, n %% %(pool)s AS pooled,
               nextval('message_id') + 10000000 AS id, now() - random() * interval '5 years' AS at
          FROM generate_series(1, %(count)s) AS n
        """,
        parameters,
    )
    connection.execute(
        """
        INSERT INTO search (account_id, message_id, internaldate, document)
        SELECT account_id, id, at,
               document || array_to_tsvector(ARRAY[
                   '@' || replace(account_id::text, '-', ''),
                   '@' || replace(account_id::text, '-', '') || '/'
                       || extract(epoch FROM at)::bigint / 2592000])
          FROM new JOIN pool ON pool.n = pooled
        """
    )
    connection.execute("DROP TABLE new")


def build(connection: Connection[TupleRow]) -> None:
    """The index, as the migration has it."""
    started = time.monotonic()
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute(
        "CREATE INDEX search_document ON search USING gin (document) WITH (fastupdate = off)"
    )
    print(f"index built in {since(started)}")
    connection.execute("VACUUM ANALYZE")


def weigh(connection: Connection[TupleRow]) -> None:
    """Bytes of table and index, a message, in the account's partition and in all."""
    for name, id_ in (("all partitions", None), ("the account's partition", 1)):
        row = connection.execute(
            """
            SELECT sum(n)::float, sum(pg_table_size(part))::float, sum(gin)::float
              FROM (SELECT tableoid::regclass AS part, count(*) AS n, min(message_id) AS lowest
                      FROM search GROUP BY 1) AS parts
              CROSS JOIN LATERAL (
                   SELECT sum(pg_relation_size(indexrelid)) AS gin
                     FROM pg_index
                     JOIN pg_class ON pg_class.oid = indexrelid
                     JOIN pg_am ON pg_am.oid = relam AND amname = 'gin'
                    WHERE indrelid = part) AS weight
             WHERE %(id)s::bigint IS NULL OR lowest = %(id)s
            """,
            {"id": id_},
        ).fetchone()
        n, table, gin = row or (1.0, 0.0, 0.0)
        print(
            f"{name}: {n:,.0f} documents, table {table / 1e6:,.0f} MB ({table / n:,.0f} B each), "
            f"GIN index {gin / 1e6:,.0f} MB ({gin / n:,.0f} B each)"
        )


def measure(url: str, account_id: AccountId) -> None:
    """Each search, as the API does it, the first 50 results with their excerpts."""
    print(f"{'search':42} {'found':>6} {'p50 ms':>8} {'p99 ms':>8}   (p99 of {RUNS})")
    with make_pool(url, 1) as pool:
        for name, text in SEARCHES.items():
            found, times = 0, []
            for _ in range(RUNS):
                started = time.perf_counter()
                found = run(pool, account_id, text)
                times.append((time.perf_counter() - started) * 1000)
            times.sort()
            p99 = times[min(int(RUNS * 0.99), RUNS - 1)]
            print(f"{name:42} {found:>6} {statistics.median(times):>8.1f} {p99:>8.1f}")


def run(pool: Pool, account_id: AccountId, text: str) -> int:
    """One request but for HTTP and JSON; how many the window has."""
    query = parse(text)
    with transaction(pool) as connection:
        page = search.find(
            connection, "robin", query, account_id=account_id, below=None, offset=0, limit=50
        )
    for one in page.found:
        excerpts.excerpt(one.text, query.marked)
    return page.matches


def compare(connection: Connection[TupleRow], account_id: AccountId) -> None:
    """What the same words take by ILIKE."""
    for word in ("once", "seldom", "everywhere"):
        times = []
        for _ in range(3):
            started = time.perf_counter()
            connection.execute(
                """
                SELECT message.id FROM message
                  JOIN body ON body.account_id = message.account_id
                           AND body.message_id = message.id
                 WHERE message.account_id = %(account)s AND expunged_at IS NULL
                   AND (subject ILIKE %(like)s OR text ILIKE %(like)s)
                 ORDER BY internaldate DESC LIMIT 50
                """,
                {"account": account_id, "like": f"%{word}%"},
            )
            times.append((time.perf_counter() - started) * 1000)
        print(f"{'ILIKE, ' + word:42} {'':>6} {statistics.median(times):>8.1f}")


def cost(url: str) -> None:
    """What storing one message takes, in batches of 100, with the index and without."""
    corpus = Corpus(10_000)
    with make_pool(url, 1) as pool:
        box = rows.mailbox(pool, rows.active(pool, "robin", "new@example.com"))
        whole, indexing, cutting, cursor = 0.0, 0.0, 0.0, rows.START
        for first in range(1, 2_000, 100):
            sources = [corpus.source(n, 90) for n in range(first, first + 100)]
            batch = rows.batch(box, *map(incoming, sources), before=cursor)
            cursor = batch.after
            started = time.perf_counter()
            rows.store_batch(pool, batch)
            whole += time.perf_counter() - started
            started = time.perf_counter()
            for one in sources:
                documents.document(box.account_id, one)
            cutting += time.perf_counter() - started
            indexing += again(pool, box.account_id, sources)
    per = 1000 / 2_000
    print(
        f"storing a message of 90 words: {whole * per:.2f} ms, of which indexing "
        f"{indexing * per:.2f} ms (cutting into words {cutting * per:.2f} ms)"
    )


def incoming(source: Source) -> Incoming:
    """The source as the server would give it."""
    one = rows.incoming(source.id, subject=source.headers.subject, from_=source.headers.from_)
    return replace(one, body=source.body)


def again(pool: Pool, account_id: AccountId, sources: list[Source]) -> float:
    """Seconds that the newest hundred take to be indexed once more, commit and all."""
    with transaction(pool) as connection:
        removed = connection.execute(
            "DELETE FROM search WHERE message_id IN (SELECT message_id FROM search"
            " WHERE account_id = %s ORDER BY message_id DESC LIMIT 100) RETURNING message_id",
            [account_id],
        ).fetchall()
    named = [replace(one, id=id_) for one, (id_,) in zip(sources, sorted(removed), strict=True)]
    started = time.perf_counter()
    with transaction(pool) as connection:
        documents.index(connection, account_id, named)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
