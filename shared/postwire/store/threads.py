"""Which messages belong together: threads by References and In-Reply-To, and as the server says.

The linking of RFC 5256's REFERENCES algorithm, without its merging by subject: all Message-IDs
that one message names belong to one thread, its own among them. So a parent that comes late finds
its children, and children find each other by an ancestor that never comes. Whatever the order in
which messages are stored, the threads are the same. A thread that the server itself names (RFC
8474, X-GM-THRID) is one more such id, which all its messages name. Everything here happens under
the lock on the account's row that raising its revision takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row
from psycopg.types.json import Jsonb

from postwire.model import AccountId, Address, Headers, MessageId, ThreadId

#: People of a thread that are kept: the first ones.
PARTICIPANTS = 20
#: Messages that `catch_up` threads in one transaction.
CATCH_UP = 1_000
#: A quoted local part means the same without its quotes (RFC 5256 §2.1).
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=@)')
_ESCAPED = re.compile(r"\\(.)")

#: When somebody first appeared: time of the message, place in it; then name and address.
_Appearance: TypeAlias = tuple[float, int, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A message that has no thread yet; none equals another, whatever they say."""

    headers: Headers
    internaldate: datetime
    server_thread: str | None = None


@dataclass(frozen=True, slots=True)
class _Summary:
    """What is kept of a thread; of one message, of several, or of threads that become one."""

    started_at: datetime
    subject: str
    participants: Sequence[_Appearance]


@dataclass(slots=True, eq=False)
class _Group:
    """What belongs together: messages that arrive, Message-IDs, threads there already."""

    threads: set[ThreadId] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def thread(self) -> ThreadId:
        """The one that stays: the oldest, whose id clients have known for longest."""
        return min(self.threads)

    def take(self, other: _Group) -> None:
        """Become one with `other`."""
        self.threads |= other.threads
        self.keys |= other.keys
        self.arrivals += other.arrivals


def join(
    connection: Connection[TupleRow],
    account_id: AccountId,
    revision: int,
    arrivals: Sequence[Arrival],
) -> dict[Arrival, ThreadId]:
    """The thread of each of `arrivals`, for the caller to write, in the same transaction.

    Messages whose thread becomes part of another one are stamped with `revision`.
    """
    if not arrivals:
        return {}
    keys = {key for arrival in arrivals for key in _keys(arrival)}
    known = _find_threads(connection, account_id, keys)
    groups = _grouped(arrivals, known)
    _add_ids(connection, [group for group in groups if not group.threads])
    _keep(connection, account_id, groups)
    for group in groups:
        if merged := sorted(group.threads - {group.thread}):
            _merge(connection, account_id, revision, merged, into=group.thread)
    _add_references(connection, account_id, groups, known)
    return {arrival: group.thread for group in groups for arrival in group.arrivals}


def catch_up(connection: Connection[TupleRow], account_id: AccountId) -> bool:
    """Thread some messages that were stored without; whether there may be more of them.

    They are told of to nobody: what they say is as it was.
    """
    row = connection.execute(
        "UPDATE account SET revision = revision + 1 WHERE id = %s RETURNING revision", [account_id]
    ).fetchone()
    arrivals = _unthreaded(connection, account_id)
    if row is None or not arrivals:
        return False
    joined = join(connection, account_id, row[0], list(arrivals.values()))
    _set_threads(connection, account_id, {id_: joined[one] for id_, one in arrivals.items()})
    _set_direction(connection, account_id, list(arrivals))
    return len(arrivals) == CATCH_UP


def behind(connection: Connection[TupleRow], user_id: str | None = None) -> list[AccountId]:
    """Accounts that have messages without a thread: those of the user, or all there are."""
    found = connection.execute(
        """
        SELECT id FROM account
         WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
           AND (SELECT true FROM message
                 WHERE message.account_id = account.id AND message.thread_id IS NULL
                 LIMIT 1)
         ORDER BY id
        """,
        {"user_id": user_id},
    )
    return [AccountId(str(id_)) for (id_,) in found]


def participants(kept: Iterable[Sequence[Any]]) -> tuple[Address, ...]:
    """The people of a thread, in the order in which they appeared."""
    return tuple(Address(name, address) for _, _, name, address in kept)


def senders(kept: Iterable[Sequence[Any]], last: Sequence[Sequence[str]]) -> tuple[Address, ...]:
    """Those who first appeared as the sender of a message, and the senders `last` of all."""
    began = [(name, address) for _, n, name, address in kept if n == 0]
    once: dict[str, Address] = {}
    for name, address in [*began, *last]:
        once.setdefault(address.casefold(), Address(name, address))
    return tuple(once.values())


def _keys(arrival: Arrival) -> list[bytes]:
    """What links a message to others; In-Reply-To counts where there are no References (§3)."""
    headers = arrival.headers
    replied = [headers.in_reply_to] if headers.in_reply_to else []
    named = [
        *(headers.references or replied),
        *([headers.message_id] if headers.message_id else []),
    ]
    told = [_server_key(arrival.server_thread)] if arrival.server_thread else []
    return told + [_key(message_id) for message_id in named]


def _key(message_id: str) -> bytes:
    bare = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), message_id.strip("<>"))
    return blake2b(bare.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _server_key(server_thread: str) -> bytes:
    # Hashed for another purpose, so that no sender can name a server's thread as a Message-ID.
    return blake2b(server_thread.encode(), digest_size=16, person=b"server thread").digest()


def _find_threads(
    connection: Connection[TupleRow], account_id: AccountId, keys: Iterable[bytes]
) -> dict[bytes, ThreadId]:
    found = connection.execute(
        """
        SELECT message_id_hash, thread_id FROM thread_reference
         WHERE account_id = %s AND message_id_hash = ANY(%s)
        """,
        [account_id, list(keys)],
    )
    return {bytes(key): thread for key, thread in found}


def _grouped(arrivals: Sequence[Arrival], known: dict[bytes, ThreadId]) -> list[_Group]:
    by_thread = {thread: _Group(threads={thread}) for thread in known.values()}
    by_key = {key: by_thread[thread] for key, thread in known.items()}
    for key, group in by_key.items():
        group.keys.add(key)
    groups: dict[_Group, None] = {}
    for arrival in arrivals:
        keys = _keys(arrival)
        met = list({by_key[key]: None for key in keys if key in by_key})
        # The others join the largest, so that a long thread is not gone through for each message.
        joined = max(met, key=lambda group: len(group.keys), default=_Group())
        moved = set(keys).union(*(group.keys for group in met if group is not joined))
        for group in met:
            if group is not joined:
                joined.take(group)
                groups.pop(group, None)
        joined.keys |= moved
        joined.arrivals.append(arrival)
        by_key |= dict.fromkeys(moved, joined)
        groups[joined] = None
    return list(groups)


def _add_ids(connection: Connection[TupleRow], new: Sequence[_Group]) -> None:
    ids = connection.execute(
        "SELECT nextval('thread_id') FROM generate_series(1, %s)", [len(new)]
    ).fetchall()
    for group, (id_,) in zip(new, ids, strict=True):
        group.threads.add(id_)


def _keep(
    connection: Connection[TupleRow], account_id: AccountId, groups: Sequence[_Group]
) -> None:
    """Write what is kept of each thread; what was kept before counts as well."""
    kept = _kept(connection, account_id, [thread for group in groups for thread in group.threads])
    told = [
        _together(
            [_of_message(arrival) for arrival in group.arrivals]
            + [kept[thread] for thread in group.threads if thread in kept]
        )
        for group in groups
    ]
    connection.cursor().executemany(
        """
        INSERT INTO thread (account_id, id, subject, started_at, participants)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (account_id, id)
            DO UPDATE SET subject = EXCLUDED.subject, started_at = EXCLUDED.started_at,
                          participants = EXCLUDED.participants
        """,
        [
            [account_id, group.thread, one.subject, one.started_at, Jsonb(one.participants)]
            for group, one in zip(groups, told, strict=True)
        ],
    )


def _kept(
    connection: Connection[TupleRow], account_id: AccountId, threads: Sequence[ThreadId]
) -> dict[ThreadId, _Summary]:
    found = connection.execute(
        """
        SELECT id, started_at, subject, participants FROM thread
         WHERE account_id = %s AND id = ANY(%s)
        """,
        [account_id, list(threads)],
    )
    return {
        id_: _Summary(started_at, subject, [tuple(one) for one in people])
        for id_, started_at, subject, people in found
    }


def _of_message(arrival: Arrival) -> _Summary:
    headers = arrival.headers
    people = (*headers.from_, *headers.to, *headers.cc)
    at = arrival.internaldate.timestamp()
    appeared = [(at, n, person.name, person.address) for n, person in enumerate(people)]
    return _Summary(arrival.internaldate, headers.subject, appeared)


def _together(told: Sequence[_Summary]) -> _Summary:
    """The earliest subject, and the people who appeared first, in whatever order they come."""
    first = min(told, key=lambda one: (one.started_at, one.subject))
    people: dict[str, _Appearance] = {}
    for appearance in sorted(appearance for one in told for appearance in one.participants):
        people.setdefault(appearance[3].casefold(), appearance)
    return _Summary(first.started_at, first.subject, list(people.values())[:PARTICIPANTS])


def _merge(
    connection: Connection[TupleRow],
    account_id: AccountId,
    revision: int,
    merged: Sequence[ThreadId],
    *,
    into: ThreadId,
) -> None:
    """Move everything of the threads `merged`; their ids go on to lead `into` the other one."""
    what = {"account": account_id, "merged": merged, "into": into, "revision": revision}
    connection.execute(
        """
        UPDATE message SET thread_id = %(into)s, revision = %(revision)s
         WHERE account_id = %(account)s AND thread_id = ANY(%(merged)s)
        """,
        what,
    )
    connection.execute(
        """
        UPDATE thread_reference SET thread_id = %(into)s
         WHERE account_id = %(account)s AND thread_id = ANY(%(merged)s)
        """,
        what,
    )
    connection.execute(
        """
        UPDATE thread SET merged_into = %(into)s
         WHERE account_id = %(account)s
           AND (id = ANY(%(merged)s) OR merged_into = ANY(%(merged)s))
        """,
        what,
    )


def _add_references(
    connection: Connection[TupleRow],
    account_id: AccountId,
    groups: Sequence[_Group],
    known: dict[bytes, ThreadId],
) -> None:
    new = [(key, group.thread) for group in groups for key in group.keys if key not in known]
    connection.execute(
        """
        INSERT INTO thread_reference (account_id, message_id_hash, thread_id)
        SELECT %s, new.key, new.thread FROM unnest(%s::bytea[], %s::bigint[]) AS new (key, thread)
        """,
        [account_id, [key for key, _ in new], [thread for _, thread in new]],
    )


def _set_threads(
    connection: Connection[TupleRow], account_id: AccountId, thread_of: dict[MessageId, ThreadId]
) -> None:
    connection.execute(
        """
        UPDATE message SET thread_id = joined.thread
          FROM unnest(%s::bigint[], %s::bigint[]) AS joined (id, thread)
         WHERE message.account_id = %s AND message.id = joined.id
        """,
        [list(thread_of), list(thread_of.values()), account_id],
    )


def _unthreaded(
    connection: Connection[TupleRow], account_id: AccountId
) -> dict[MessageId, Arrival]:
    cursor = connection.cursor(row_factory=dict_row)
    found = cursor.execute(
        """
        SELECT id, message_id, in_reply_to, "references", subject, internaldate, addresses
          FROM message
         WHERE account_id = %s AND thread_id IS NULL
         ORDER BY id
         LIMIT %s
        """,
        [account_id, CATCH_UP],
    )
    return {row["id"]: Arrival(_headers(row), row["internaldate"]) for row in found}


def _headers(row: dict[str, Any]) -> Headers:
    people: dict[str, Any] = {
        name: tuple(Address(*person) for person in row["addresses"].get(name, ()))
        for name in ("from_", "to", "cc")
    }
    return Headers(
        message_id=row["message_id"],
        in_reply_to=row["in_reply_to"],
        references=tuple(row["references"]),
        subject=row["subject"],
        **people,
    )


def _set_direction(
    connection: Connection[TupleRow], account_id: AccountId, ids: Sequence[MessageId]
) -> None:
    """Older releases told the direction by the mailbox a message was first found in."""
    connection.execute(
        r"""
        UPDATE message SET direction = 'outbound'
          FROM account
         WHERE account.id = %(account)s AND message.account_id = %(account)s
           AND message.id = ANY(%(ids)s) AND direction = 'inbound'
           AND (EXISTS (SELECT FROM jsonb_array_elements(addresses -> 'from_') AS person
                         WHERE lower(person ->> 1) IN (lower(address), lower(username)))
                OR EXISTS (SELECT FROM placement JOIN mailbox ON mailbox.id = placement.mailbox_id
                            WHERE placement.account_id = %(account)s
                              AND placement.message_id = message.id
                              AND special_use IN ('\Sent', '\Drafts')))
        """,
        {"account": account_id, "ids": ids},
    )
