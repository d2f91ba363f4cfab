"""Message by message: what the mail server has, what the database has, what the viewers have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser

import psycopg

from chaos.load import Watched
from chaos.world import World

#: Seconds a job may be open.
JOB_AGE = 60
_HEADER = b"BODY[HEADER]"

#: Name of the mailbox, UIDVALIDITY and UID.
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Held:
    """A message as one side has it."""

    subject: str
    digest: bytes
    flags: frozenset[str]


@dataclass(slots=True)
class Audit:
    """What is not as it should be, in words; empty where all is well."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    #: Messages set aside, which somebody has to ask for.
    aside: int = 0
    #: Messages that were compared.
    compared: int = 0

    def troubles(self) -> list[str]:
        """All of it."""
        return self.lost + self.duplicated + self.unequal + self.stuck


def audit(world: World) -> Audit:
    """Compare everything now."""
    found = Audit()
    with psycopg.connect(world.postgres.direct, autocommit=True, connect_timeout=5) as database:
        for account in world.accounts:
            _compare(found, account, dict(_served(account)), dict(_stored(database, account)))
            found.duplicated += _twice(database, account)
        found.stuck += _stuck(database)
        (found.aside,) = database.execute("SELECT count(*) FROM set_aside").fetchone() or (0,)
    found.unequal += world.crowd.compare()
    return found


def _compare(
    found: Audit, account: Watched, served: dict[Place, Held], stored: dict[Place, Held]
) -> None:
    found.compared += len(served)
    for place in sorted(served.keys() | stored.keys()):
        there, here = served.get(place), stored.get(place)
        if here is None and there:
            found.lost.append(f"lost: {there.subject} of {account.id}, {place}")
        elif there is None and here:
            found.unequal.append(f"not expunged: {here.subject} of {account.id}, {place}")
        elif there != here:
            found.unequal.append(f"unequal: {there} for {here} of {account.id}, {place}")


def _served(account: Watched) -> Iterator[tuple[Place, Held]]:
    with account.user.session() as client:
        for _, _, name in client.list_folders():
            uidvalidity = client.select_folder(name, readonly=True)[b"UIDVALIDITY"]
            items = ["FLAGS", "RFC822.SIZE", "BODY.PEEK[HEADER]"]
            uids = client.search()
            said = client.fetch(uids, items) if uids else {}
            for uid, one in said.items():
                header = one[_HEADER]
                flags = frozenset(flag.decode() for flag in one[b"FLAGS"]) - {r"\Recent"}
                digest = hashlib.sha256(b"%d\0%b" % (one[b"RFC822.SIZE"], header)).digest()
                subject = str(BytesHeaderParser().parsebytes(header)["Subject"])
                yield (name, uidvalidity, uid), Held(subject, digest, flags)


def _stored(database: psycopg.Connection, account: Watched) -> Iterator[tuple[Place, Held]]:
    rows = database.execute(
        """
        SELECT mailbox.name, placement.uidvalidity, uid, subject, digest, placement.flags
          FROM placement
          JOIN mailbox ON mailbox.id = placement.mailbox_id
          JOIN message ON message.account_id = placement.account_id
                      AND message.id = placement.message_id AND expunged_at IS NULL
         WHERE placement.account_id = %s
        """,
        [account.id],
    )
    for name, uidvalidity, uid, subject, digest, flags in rows:
        yield (name, uidvalidity, uid), Held(subject, digest, frozenset(flags))


def _twice(database: psycopg.Connection, account: Watched) -> list[str]:
    """Letters stored more than once, by their subjects; and messages that lie nowhere."""
    twice = database.execute(
        """
        SELECT 'stored twice: ' || subject FROM message
         WHERE account_id = %(id)s GROUP BY subject HAVING count(*) > 1
        UNION ALL
        SELECT 'lies nowhere: ' || subject FROM message
         WHERE account_id = %(id)s AND expunged_at IS NULL
           AND NOT EXISTS (SELECT FROM placement
                            WHERE account_id = message.account_id AND message_id = message.id)
        """,
        {"id": account.id},
    )
    return [f"{words} of {account.id}" for (words,) in twice]


def _stuck(database: psycopg.Connection) -> list[str]:
    stuck = database.execute(
        """
        SELECT format('job %%s is %%s for %%s s: %%s', id, state,
                      extract(epoch FROM now() - created_at)::int, error)
          FROM job
         WHERE state IN ('waiting', 'active', 'delayed')
           AND created_at < now() - make_interval(secs => %s)
        UNION ALL
        SELECT format('account %%s is %%s: %%s', id, state, state_reason)
          FROM account WHERE state <> 'active'
        UNION ALL
        SELECT format('set aside in %%s: %%s', mailbox.name, set_aside.error)
          FROM set_aside JOIN mailbox ON mailbox.id = mailbox_id
        """,
        [JOB_AGE],
    )
    return [words for (words,) in stuck]
