"""Accounts and mail made up from a seed, laid down by SQL: a million messages in a minute or two.

Word frequencies fall as in real text; a few words have a known share of the messages. Mail comes
every 13 minutes, so that a larger account goes further back.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import AccountId, Address, Body, Headers, MessageId
from postwire.store import documents
from support import many

#: Minutes between two messages.
APART = 13
#: Different documents; messages repeat them, each with marks of its own.
_POOL = 2_000
_WORDS = 40
#: Which share of the documents has the word.
_SHARES = {"everywhere": 0.5, "monthly": 0.05}
#: So many messages of an account have the word `seldom`, however many there are.
SELDOM = 20

_BODIES: LiteralString = """
    INSERT INTO body (account_id, message_id, text)
    SELECT account_id, id, repeat('Words of ' || subject || '. ', 10)
      FROM message WHERE account_id = %(account)s
"""
_SEARCH: LiteralString = """
    INSERT INTO search (account_id, message_id, internaldate, document)
    SELECT account_id, message.id, internaldate,
           document || array_to_tsvector(
               ARRAY[%(owner)s,
                     %(owner)s || '/' || extract(epoch FROM internaldate)::bigint / 2592000]
               || CASE WHEN message.id %% (%(many)s / %(seldom)s) = 0
                       THEN '{seldom}' ELSE '{}' END::text[])
      FROM message JOIN pool ON pool.n = message.id %% %(pool)s
     WHERE account_id = %(account)s
"""
_CURSORS: LiteralString = """
    UPDATE mailbox SET uidvalidity = 1, backfill_uid = 0, uidnext = 1 + (
           SELECT max(id) FROM message WHERE account_id = %(account)s)
     WHERE account_id = %(account)s
"""
#: Each has mailboxes and a history of jobs, and another watcher holds it.
_ACCOUNTS: tuple[LiteralString, ...] = (
    """
    INSERT INTO account (id, user_id, address, host, port, security, username, credential, state,
                         sync_every, next_sync_at)
    SELECT gen_random_uuid(), 'user' || n / 10, n || '@example.com', 'imap.example.com', 993, 'tls',
           n || '@example.com', 'sealed', 'active', 30, now() + n * interval '1 second' + '1 hour'
      FROM generate_series(%(first)s::integer, %(last)s) AS n
    """,
    """
    INSERT INTO mailbox (account_id, name, uidvalidity, uidnext, backfill_uid)
    SELECT id, name, 1, 1, 0 FROM account CROSS JOIN unnest('{INBOX,Sent,Archive}'::text[]) AS name
        ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO lease (account_id, holder, fence, expires_at)
    SELECT id, 'another', 1, now() + interval '1 day' FROM account ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO job (id, account_id, user_id, reason, state, found, finished_at)
    SELECT 'sync-' || id || '-' || n, id, user_id, 'auto', 'completed', 1, now()
      FROM account CROSS JOIN generate_series(1, 10) AS n ON CONFLICT DO NOTHING
    """,
)  # fmt: skip


def prepare(url: str) -> None:
    """Make the documents that messages repeat."""
    draw = random.Random(6)  # noqa: S311 - no secret
    words = ["".join(draw.choices("aeioulnrstkm", k=draw.randint(3, 9))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / (n + 5) for n in range(len(words))))
    with psycopg.connect(url, autocommit=True) as connection:
        # Nothing else is to be counted meanwhile.
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE UNLOGGED TABLE pool (n int PRIMARY KEY, document tsvector)")
        with connection.cursor().copy("COPY pool FROM STDIN") as copy:
            for n in range(_POOL):
                text = draw.choices(words, cum_weights=weights, k=_WORDS)
                text += [word for word, share in _SHARES.items() if draw.random() < share]
                copy.write_row([n, _document(n, " ".join(text))])


def _document(n: int, text: str) -> str:
    sender = Address(f"Person{n % 500} Name", f"person{n % 500}@example{n % 50}.com")
    source = documents.Source(
        MessageId(n),
        datetime(2024, 1, 1, tzinfo=UTC),
        Headers(subject=text[:30], from_=(sender,), to=(Address("", "ann@example.com"),)),
        Body(text=text),
    )
    return documents.document(AccountId("nobody"), source)


def fill(url: str, account_id: AccountId, messages: int) -> None:
    """Give the account so many messages, and all that is kept of them."""
    many.fill(url, account_id, messages, APART)
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        what = {"account": account_id, "owner": documents.owner(account_id), "many": messages,
                "pool": _POOL, "seldom": SELDOM}  # fmt: skip
        connection.execute(_BODIES, what)
        index = _drop_index(connection)
        connection.execute(_SEARCH, what)
        connection.execute(index)
    many.analyze(url)


def number(url: str, account_id: AccountId) -> None:
    """Let the account's mailboxes have been synced up to their last message."""
    with psycopg.connect(url) as connection:
        connection.execute(_CURSORS, {"account": account_id})


def _drop_index(connection: Connection[TupleRow]) -> LiteralString:
    """Drop what is quicker made than kept; how it is made."""
    (definition,) = connection.execute(
        "SELECT pg_get_indexdef('search_document'::regclass)"
    ).fetchone() or ("",)
    connection.execute("DROP INDEX search_document")
    return definition.replace(" ON ONLY ", " ON ")  # type: ignore[no-any-return]


def add_accounts(url: str, upto: int) -> None:
    """Further accounts with next to no mail, until there are so many; another watcher has them."""
    with psycopg.connect(url) as connection:
        (there,) = connection.execute("SELECT count(*) FROM account").fetchone() or (0,)
        for statement in _ACCOUNTS:
            connection.execute(statement, {"first": there + 1, "last": upto})
    many.analyze(url)
