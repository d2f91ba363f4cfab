"""Accounts with many messages, laid down by SQL alone: to see how queries fare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
from psycopg.abc import Params

from postwire.model import AccountId

#: In threads of three, one after the other; every tenth lies in a thread of a thousand.
_MESSAGES: LiteralString = """
    INSERT INTO message (account_id, digest, message_id, in_reply_to, "references", subject, date,
                         internaldate, addresses, size, direction, snippet, has_attachments,
                         added_revision, revision, thread_id)
    SELECT %(account)s, sha256(n::text::bytea), '<' || n || '@example.com>', NULL, '{}',
           'Message ' || n, now(),
           '2024-01-01'::timestamptz + n * make_interval(mins => %(apart)s),
           '{"from_": [["Bob", "bob@example.com"]], "to": [["", "ann@example.com"]]}',
           1000, 'inbound', repeat('Words of message ' || n || ' ', 8), n %% 7 = 0,
           n / 50 + 1, n / 50 + 1,
           %(first)s + CASE n %% 10 WHEN 0 THEN n / 10000 ELSE 1000 + n / 3 END
      FROM generate_series(1, %(many)s) AS n
"""
_THREADS: LiteralString = """
    INSERT INTO thread (account_id, id, subject, started_at, participants)
    SELECT account_id, thread_id, min(subject), min(internaldate),
           '[[0, 0, "Bob", "bob@example.com"], [0, 1, "", "ann@example.com"]]'
      FROM message
     WHERE account_id = %(account)s
     GROUP BY account_id, thread_id
"""
_MAILBOXES: LiteralString = """
    INSERT INTO mailbox (account_id, name) VALUES (%(account)s, 'INBOX'), (%(account)s, 'Old'),
                                                  (%(account)s, 'Rare')
"""
#: The oldest tenth in Old, one message in two thousand in Rare, all others in INBOX.
_PLACEMENTS: LiteralString = r"""
    INSERT INTO placement (account_id, mailbox_id, uidvalidity, uid, message_id, flags)
    SELECT message.account_id, mailbox.id, 1, message.id, message.id,
           CASE message.id %% 5 WHEN 0 THEN '{}'::text[] ELSE ARRAY['\Seen'] END
      FROM message
      JOIN mailbox ON mailbox.account_id = message.account_id AND mailbox.name =
           CASE WHEN message.id %% 2000 = 7 THEN 'Rare'
                WHEN internaldate
                     < '2024-01-01'::timestamptz + %(many)s * make_interval(secs => 6 * %(apart)s)
                THEN 'Old' ELSE 'INBOX' END
     WHERE message.account_id = %(account)s
"""
#: What the triggers would have written.
_THREAD_MAILBOXES: LiteralString = """
    INSERT INTO thread_mailbox (account_id, thread_id, mailbox_id, placements, newest_at, newest_id)
    SELECT account_id, thread_id, mailbox_id, count(*), max(newest_at), max(newest_id)
      FROM (SELECT message.account_id, message.thread_id, message.id,
                   max(internaldate) OVER thread AS newest_at, max(id) OVER thread AS newest_id
              FROM message
             WHERE message.account_id = %(account)s
            WINDOW thread AS (PARTITION BY thread_id)) AS message
      JOIN placement USING (account_id)
     WHERE placement.message_id = message.id
     GROUP BY account_id, thread_id, mailbox_id
"""
_MAILBOX_COUNTS: LiteralString = r"""
    INSERT INTO mailbox_count (mailbox_id, messages, unread)
    SELECT mailbox_id, count(*), count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags)))
      FROM placement
     WHERE account_id = %(account)s
     GROUP BY mailbox_id
"""
#: Each message's own id, as if it were hashed.
_REFERENCES: LiteralString = """
    INSERT INTO thread_reference (account_id, message_id_hash, thread_id)
    SELECT account_id, substr(digest, 1, 16), thread_id FROM message WHERE account_id = %(account)s
"""
_REVISION: LiteralString = "UPDATE account SET revision = %(many)s / 50 + 1 WHERE id = %(account)s"


def fill(url: str, account_id: AccountId, many: int, apart: int = 1) -> None:
    """Give the account so many messages, the oldest first, so many minutes apart."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT setval('thread_id', nextval('thread_id') + 10000000)")
        (first,) = row.fetchone() or (0,)
        # The rows fit together; to have each foreign key looked up takes most of the time.
        connection.execute("SET LOCAL session_replication_role = replica")
        what: Params = {"account": account_id, "many": many, "first": first - 9_000_000,
                        "apart": apart}  # fmt: skip
        for statement in (_MESSAGES, _THREADS, _MAILBOXES, _PLACEMENTS, _THREAD_MAILBOXES,
                          _MAILBOX_COUNTS, _REFERENCES, _REVISION):  # fmt: skip
            connection.execute(statement, what)


def analyze(url: str) -> None:
    """Let the planner know; autovacuum would, in time."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def explain(connection: psycopg.Connection[Any], tell: Callable[[str], object]) -> None:
    """Tell the plan of each statement from now on, in this transaction."""
    connection.add_notice_handler(lambda notice: tell(notice.message_primary or ""))
    connection.execute("LOAD 'auto_explain'")
    connection.execute("SET LOCAL auto_explain.log_level = notice")
    connection.execute("SET LOCAL auto_explain.log_analyze = on")
    connection.execute("SET LOCAL auto_explain.log_buffers = on")
    connection.execute("SET LOCAL auto_explain.log_timing = off")
    connection.execute("SET LOCAL auto_explain.log_min_duration = 0")
