"""What readers, syncs, workers and watchers ask most, by the store's own functions."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.jobs import QUEUE
from postwire.model import Account, AccountId, Flagged, JobId, Mailbox, MessageId
from postwire.store import (
    accounts,
    changes,
    connections,
    contents,
    conversations,
    jobs,
    leases,
    mailboxes,
    messages,
    placements,
    processes,
    search,
    set_aside,
    wall_clock,
)
from postwire_api import excerpts
from postwire_api.query import parse

Query: TypeAlias = Callable[[Connection[TupleRow]], object]
#: A page as the API reads it: one more than it shows.
PAGE = 51
#: The holder whose turn it is, and how many accounts it has.
WATCHER, HELD = "bench", 10
SEARCHES = {
    "search: a word in 20 messages": "seldom",
    "search: a word in half of them": "everywhere",
    "search: from: one of 500 people": "from:person7",
    "search: two words in INBOX": "monthly everywhere in:inbox",
    "search: a word that nobody wrote": "zyzzyva",
}


def of_mail(connection: Connection[TupleRow], account: Account) -> dict[str, Query]:
    """What is asked of one account's mail, by name."""
    middle = _middle(connection, account.id)
    boxes = {box.name: box for box in mailboxes.list_all(connection, account.id)}
    return {
        **_lists(account.id, middle),
        **_single(account, middle[1]),
        **{name: _search(account.id, text) for name, text in SEARCHES.items()},
        **_sync(boxes["INBOX"], middle[1]),
    }


def _middle(connection: Connection[TupleRow], account_id: AccountId) -> conversations.Position:
    """The message in the middle of the account's."""
    row = connection.execute(
        """
        SELECT internaldate, id FROM message WHERE account_id = %(account)s AND id >= (
               SELECT (min(id) + max(id)) / 2 FROM message WHERE account_id = %(account)s)
         ORDER BY id LIMIT 1
        """,
        {"account": account_id},
    ).fetchone()
    assert row is not None  # noqa: S101 - it was filled
    return row[0], MessageId(row[1])


def _lists(account_id: AccountId, middle: conversations.Position) -> dict[str, Query]:
    def listed(mailbox: str | None, before: conversations.Position | None = None) -> Query:
        return lambda connection: messages.list_of_user(
            connection, "ann", account_id=account_id, mailbox=mailbox, before=before, limit=PAGE
        )

    def talks(mailbox: str | None, before: conversations.Position | None = None) -> Query:
        return lambda connection: conversations.list_of_user(
            connection, "ann", account_id=account_id, mailbox=mailbox, before=before, limit=PAGE
        )

    return {
        "messages, first page": listed(None),
        "messages, in the middle": listed(None, middle),
        "messages of INBOX": listed("INBOX"),
        "messages of INBOX, in the middle": listed("INBOX", middle),
        "messages of the oldest tenth": listed("Old"),
        "conversations, first page": talks(None),
        "conversations, in the middle": talks(None, middle),
        "conversations of INBOX": talks("INBOX"),
        "conversations of INBOX, in the middle": talks("INBOX", middle),
        "conversations of the oldest tenth": talks("Old"),
    }


def _single(account: Account, message_id: MessageId) -> dict[str, Query]:
    def conversation(connection: Connection[TupleRow]) -> object:
        thread_id = messages.get_of_user(connection, "ann", message_id).thread_id
        assert thread_id  # noqa: S101 - it was filled
        found = conversations.get_of_user(connection, "ann", thread_id)
        conversations.newest_of(connection, account.id, thread_id, before=None, limit=PAGE)
        return found

    def changed(since: int) -> Query:
        return lambda connection: changes.since(
            connection, "ann", account.id, revision=since, epoch=account.epoch, limit=50
        )

    return {
        "one message": lambda connection: messages.get_of_user(connection, "ann", message_id),
        "one conversation": conversation,
        "changes, the last": changed(account.revision - 1),
        "changes, from the middle": changed(account.revision // 2),
        "mailboxes and their counts": lambda connection: mailboxes.list_of_account(
            connection, account.id
        ),
        "unread of each account": lambda connection: accounts.unread_of_user(connection, "ann"),
    }


def _search(account_id: AccountId, text: str) -> Query:
    query = parse(text)

    def run(connection: Connection[TupleRow]) -> object:
        page = search.find(
            connection, "ann", query, account_id=account_id, below=None, offset=0, limit=50
        )
        return [excerpts.excerpt(one.text, query.marked) for one in page.found]

    return run


def _sync(inbox: Mailbox, message_id: MessageId) -> dict[str, Query]:
    digests = [sha256(str(n).encode()).digest() for n in range(100)]
    said = [Flagged(message_id + n, ("\\Seen",), None) for n in range(100)]
    return {
        "sync: the mailboxes": lambda connection: mailboxes.list_all(connection, inbox.account_id),
        "sync: which of 100 messages are known": lambda connection: messages.find_known(
            connection, inbox.account_id, digests
        ),
        "sync: 100 flags compared": lambda connection: placements.differing(
            connection, inbox, said
        ),
        "sync: 1,000 UIDs": lambda connection: placements.uids(
            connection, inbox, message_id, 1_000
        ),
    }


def of_accounts(mine: AccountId) -> dict[str, Query]:
    """What clock, watchers and workers ask however many accounts there are, by name."""
    job = JobId(f"sync-{mine}-0")
    return {
        "clock: take 50 that are due": lambda connection: accounts.take_due(connection, 50),
        "clock: sweep dead jobs": lambda connection: jobs.sweep_dead(connection, 50),
        "clock: sweep lost jobs": lambda connection: jobs.sweep_lost(connection, QUEUE, 50),
        "clock: sweep attachments": lambda connection: contents.sweep(connection, 50),
        "clock: dead connections": connections.forget_dead,
        "clock: was it set back": wall_clock.note,
        "metrics: depths of the queues": jobs.depths,
        "metrics: states of accounts": accounts.count_states,
        "jobs: ask": lambda connection: jobs.ask(connection, mine, "ann", "manual"),
        "jobs: claim": lambda connection: jobs.claim(connection, job, "bench"),
        "jobs: count the user's": lambda connection: jobs.stats(connection, "ann"),
        "jobs: what to try again": lambda connection: set_aside.take_due(connection, mine),
        "watcher: sign of life": lambda connection: processes.beat(connection, WATCHER, "watcher"),
        "watcher: how things stand": lambda connection: leases.standing(connection, WATCHER),
        "watcher: claim free accounts": lambda connection: leases.claim(connection, WATCHER, 100),
        f"watcher: the {HELD} it holds": lambda connection: leases.held(connection, WATCHER),
        "API: the user's accounts": lambda connection: accounts.list_of_user(connection, "ann"),
    }
