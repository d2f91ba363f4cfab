"""The first sync of a mailbox: Postwire as it is deployed, beside Node and beside mbsync.

PYTHONPATH=tests python -m bench.first_sync
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import corpus, cost, programs, wire, workers
from bench.cost import Ran
from bench.result import Budget, Measurement, Table, alone, progress
from support.dovecot import Dovecot
from support.mailbox import MailUser
from support.system import System, run_everything

SIZES = (2_000, 10_000)
#: Seconds until any of them must be done.
PATIENCE = 900.0
COLUMNS = (
    "messages/s",
    "client CPU ms/message",
    "peak memory MB",
    "on the wire MB",
    "Dovecot CPU ms/message",
    "PostgreSQL CPU ms/message",
)
COLD = "Postwire, server's cache cold"
POSTWIRE = "Postwire"
NODE = "imapflow and mailparser, rows by hundreds"
REFETCH = "the predecessor's way on Node"
FLOOR = "floor: mbsync, no parsing, no database"

WORDS = (
    "Mail as people have it (bench/corpus.py: 10,000 messages are 1.5 GB) lies in one user's INBOX "
    "on Dovecot, which runs on the same machine; each fetches all of it for the first time. "
    "Postwire is all its processes: an account is added by the API, and the time runs until the "
    "last message is stored; its CPU and memory are those of the sync-workers, of the memory the "
    "larger one's. The predecessor's way is imap-simple with HEADER, TEXT and the whole of each "
    "message, mailparser, and a SELECT and an INSERT for each. The good way on Node streams each "
    "message once through imapflow and mailparser, without the HTML and links that mailparser "
    "would make of plain text, and stores a hundred by one INSERT. mbsync writes a maildir, "
    "without fsync. Not like for like: Node and mbsync fetch attachments, and mailparser decodes "
    "them, while Postwire stores what they are and leaves them on the server until somebody asks; "
    "but Postwire finds threads, indexes the text for search, keeps flags and counts, and tells "
    "browsers while it goes, which neither of the others does. The programs' time has their start "
    "in it, Postwire's has the queue. Dovecot had read the mailbox before, as that of a user who "
    "reads mail, but for the row that says otherwise. The bytes are both ways, as Dovecot logs "
    "them, without the login. At the end all flags are changed at once, and then the older half is "
    "expunged: the time runs from the command to the server until the API tells of it."
)


@dataclass(frozen=True, slots=True)
class Found:
    """What one first sync cost, altogether."""

    messages: int
    ran: Ran
    wire: float
    dovecot: float
    postgres: float

    @property
    def cpu(self) -> float:
        """Milliseconds of the client's CPU for a message."""
        return self._each(self.ran.cpu)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.ran.seconds

    @property
    def row(self) -> tuple[float, ...]:
        """As `COLUMNS` say."""
        servers = self._each(self.dovecot), self._each(self.postgres)
        return (self.rate, self.cpu, self.ran.peak, self.wire, *servers)

    def _each(self, seconds: float) -> float:
        return 1000 * seconds / self.messages


def measure() -> Measurement:
    """Each with each size, one after the other on the same mail."""
    with run_everything() as (system, server):
        idle = workers.memory(system)
        users = {size: _user(server, size) for size in SIZES}
        found = {size: _all(system, user, size) for size, user in users.items()}
        changed = _change_all(system, users[SIZES[-1]], SIZES[-1])
    small, large = found.values()
    tables = [
        Table(
            f"First sync of {size:,} messages",
            COLUMNS,
            {name: one.row for name, one in rows.items()},
            chart="bars",
            drawn=COLUMNS[0],
        )
        for size, rows in found.items()
    ]
    return Measurement(
        "First sync", WORDS, [*tables, changed], _budgets(small[POSTWIRE].ran, large, idle)
    )


def _user(server: Dovecot, size: int) -> MailUser:
    user = MailUser(server, server.new_user())
    progress(f"{size:,} messages, {corpus.fill(user, size) / 1e6:,.0f} MB")
    return user


def _all(system: System, user: MailUser, size: int) -> dict[str, Found]:
    table = {"DATABASE_URL": system.setting("database_url")}
    with tempfile.TemporaryDirectory(prefix="postwire-bench-") as name:
        folder = Path(name)
        ways: dict[str, Callable[[], Ran]] = {
            COLD: lambda: _postwire(system, user, size),
            FLOOR: lambda: _mbsync(user, folder, size),
            NODE: lambda: _node("imapflow_sync", user, size, table),
            REFETCH: lambda: _node("refetch", user, size, table),
            POSTWIRE: lambda: _postwire(system, user, size),
        }
        found = {name: _metered(name, system, user, size, way) for name, way in ways.items()}
    return {name: found[name] for name in (POSTWIRE, COLD, REFETCH, NODE, FLOOR)}


def _metered(name: str, system: System, user: MailUser, size: int, way: Callable[[], Ran]) -> Found:
    servers = cost.child("dovecot"), cost.child("postgres")
    sessions = wire.sessions(user)
    before = [cost.cpu(pid) for pid in servers]
    ran = way()
    dovecot, postgres = (cost.cpu(pid) - cpu for pid, cpu in zip(servers, before, strict=True))
    # The watcher's session ends with the account.
    system.remove_accounts()
    found = Found(size, ran, wire.carried(user, sessions) / 1e6, dovecot, postgres)
    progress(f"{name}: {ran.seconds:.1f} s, {found.cpu:.2f} ms/message, {ran.peak:.0f} MB")
    return found


def _postwire(system: System, user: MailUser, size: int) -> Ran:
    add = lambda: workers.add_whole(system, user)  # noqa: E731
    return workers.spend(system, add, {"messages": size}, PATIENCE)


def _change_all(system: System, user: MailUser, size: int) -> Table:
    """What happens to all messages at once, in an account that is synced and watched."""
    _postwire(system, user, size)
    with user.session() as mail:
        mail.socket().settimeout(PATIENCE)
        mail.select_folder("INBOX")

        def expunge() -> None:
            mail.delete_messages(f"1:{size // 2}", silent=True)
            mail.expunge()

        unread = lambda: mail.remove_flags("1:*", r"\Seen", silent=True)  # noqa: E731
        flags = workers.spend(system, unread, {"unread": size}, PATIENCE)
        expunged = workers.spend(system, expunge, {"messages": size - size // 2}, PATIENCE)
    system.remove_accounts()
    rows = {
        "Postwire, all flags changed": flags,
        "Postwire, half of them expunged": expunged,
    }
    return Table(
        f"Changes of {size:,} messages at once",
        ("seconds", "client CPU seconds", "peak memory MB"),
        {name: (one.seconds, one.cpu, one.peak) for name, one in rows.items()},
    )


def _node(script: str, user: MailUser, size: int, table: dict[str, str]) -> Ran:
    ran = programs.node(script, user, PATIENCE, **table, TABLE=f"{script}_{size}")
    _check(size, msgspec.json.decode(ran.stdout)["stored"])
    return ran


def _mbsync(user: MailUser, folder: Path, size: int) -> Ran:
    ran = programs.mbsync(user, folder, PATIENCE)()
    _check(size, len([*folder.glob("INBOX/[cn]*/*")]))
    return ran


def _check(wanted: int, stored: int) -> None:
    if stored != wanted:
        raise ValueError(f"{stored} of {wanted} messages are stored")


def _budgets(small: Ran, large: dict[str, Found], idle: float) -> list[Budget]:
    ours, refetch, node, floor = large[POSTWIRE], large[REFETCH], large[NODE], large[FLOOR]
    cpu = f"Of our {ours.cpu:.2f} ms a message {_SHARES}"
    waited = 1 - ours.ran.cpu / ours.ran.seconds
    time = (
        f"One thread fetches, reads and stores in turn: for {waited:.0%} of the time it waited for "
        "the mail server, for PostgreSQL, or for one of the cores that all of them share."
    )
    memory = f"A sync-worker that has done nothing yet has {idle:.0f} MB."
    peaks = refetch.ran.peak / ours.ran.peak
    return [
        Budget("CPU, the predecessor's over ours", refetch.cpu / ours.cpu, "", 40, obstacle=cpu),
        Budget(
            "time, the predecessor's over ours", ours.rate / refetch.rate, "", 40, obstacle=time
        ),
        Budget("bytes, the predecessor's over ours", refetch.wire / ours.wire, "", 11),
        Budget("memory, the predecessor's over ours", peaks, "", 45, obstacle=memory),
        Budget("CPU, good Node's over ours", node.cpu / ours.cpu, "", 25, obstacle=cpu),
        Budget("time, good Node's over ours", ours.rate / node.rate, "", 25, obstacle=time),
        Budget("time, ours over mbsync's", floor.rate / ours.rate, at_most=0.70, obstacle=time),
        Budget("client CPU of a message", ours.cpu, "ms", at_most=0.45, obstacle=cpu),
        Budget("peak memory", ours.ran.peak, "MB", at_most=60, obstacle=memory),
        Budget(
            "peak memory, of 10,000 over 2,000",
            ours.ran.peak / small.peak,
            at_most=1.1,
            obstacle=f"{memory} Above it is one batch, bounded by its bytes whatever the mailbox "
            "holds; among more letters are larger ones.",
        ),
    ]


#: By py-spy, of the samples in which the sync held the interpreter's lock.
_SHARES = (
    "34 % make documents for search, 21 % decode and clean text, 19 % bind and send rows, 9 % read "
    "answers to FETCH, 5 % find threads (py-spy, where the GIL was held). No peer makes a search "
    "index or threads: they are 40 % of it."
)

if __name__ == "__main__":
    alone(measure)
