"""What a sync says on the wire: commands, and bytes each way, for what happens most.

    PYTHONPATH=tests python bench/round_trips.py [MESSAGES]

PostgreSQL and Dovecot are real and run on this machine; a proxy between counts. The floor is a
login and a logout with nothing in between; the naive way asks for all UIDs and all flags.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog
from imapclient import IMAPClient

from postwire.credentials import make_keyring
from postwire.jobs import make_broker, make_redis
from postwire.model import Account, AccountId
from postwire.store import accounts, audits
from postwire.store.pool import Pool, make_pool, transaction
from postwire_demo import services
from postwire_demo.processes import HOST
from postwire_demo.servers import postgres
from postwire_worker import audit
from postwire_worker.budget import Budget
from postwire_worker.imap import connect
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.dovecot import Dovecot, dovecot
from support.local import local_dialer
from support.mailbox import MailUser, letter

#: Commands that are named; of more, the first ones.
SHOWN = 14
#: Made once, as in a worker: making one takes longer than a sync.
DIALER = local_dialer()


@dataclass(slots=True)
class Proxy:
    """Hands bytes on and counts them."""

    port: int
    target: int
    up: int = 0
    down: int = 0
    heard: bytearray = field(default_factory=bytearray)

    def clear(self) -> None:
        """Begin to count anew."""
        self.up = self.down = 0
        self.heard.clear()

    def commands(self) -> list[str]:
        """The names of the commands, as the client sent them."""
        lines = self.heard.decode("utf-8", "replace").splitlines()
        words = (line.split() for line in lines if len(line.split()) > 1)
        return [" ".join(one[1:3]) if one[1] == "UID" else one[1] for one in words]

    def serve(self, listener: socket.socket) -> None:
        """Take clients until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((HOST, self.target))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._hand_on, args=pair, daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := source.recv(65_536):
                if upward:
                    self.up += len(data)
                    self.heard += data
                else:
                    self.down += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def counting(target: int) -> Iterator[Proxy]:
    """A proxy before the port `target`."""
    with socket.create_server((HOST, 0)) as listener:
        proxy = Proxy(listener.getsockname()[1], target)
        threading.Thread(target=proxy.serve, args=[listener], daemon=True).start()
        yield proxy
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Count each case once; nothing of it depends on the time."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with running() as (pool, server, proxy):
        user = MailUser(server, server.new_user())
        with user.session() as mail:
            mail.create_folder("Archive")
            for number in range(messages):
                mail.append("INBOX", letter(f"no. {number}"))
            mail.select_folder("INBOX")
            account = add_account(pool, user, proxy)
            print(f"\nINBOX with {messages} messages, Sent and Archive with none")
            print(f"{'':34}{'commands':>9}{'sent B':>9}{'read B':>10}{'ms':>8}  which")
            measure(f"first sync of {messages}", proxy, lambda: run(pool, account))
            measure("nothing changed", proxy, lambda: run(pool, account))
            mail.append("INBOX", letter("new"))
            measure("one new message", proxy, lambda: run(pool, account))
            mail.add_flags([messages // 2], [r"\Seen"])
            measure("one flag", proxy, lambda: run(pool, account))
            mail.delete_messages([1])
            mail.expunge([1])
            measure("one expunged", proxy, lambda: run(pool, account))
            mail.move([2], "Archive")
            measure("one moved", proxy, lambda: run(pool, account))
            due(pool, account)
            measure("audit of all", proxy, lambda: run(pool, account, audited=True))
            with transaction(pool) as connection:
                connection.execute("DELETE FROM placement WHERE uid % 1000 = 999")
            due(pool, account)
            measure("audit, one in 1000 was lost", proxy, lambda: run(pool, account, audited=True))
            measure("floor: login and logout", proxy, lambda: floor(user, proxy))
            measure("naive: all UIDs and flags", proxy, lambda: naive(user, proxy))


@contextmanager
def running() -> Iterator[tuple[Pool, Dovecot, Proxy]]:
    """The servers, and the proxy before Dovecot."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-bench-")))
        folder.chmod(0o755)
        mail = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-dovecot-")))
        database = stack.enter_context(
            postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8))
        )
        services.migrate({"database_url": database}, folder / "migrate.log")
        binary = shutil.which("dovecot") or "/usr/sbin/dovecot"
        server = stack.enter_context(dovecot(binary, mail))
        pool = make_pool(database, 2)
        stack.callback(pool.close)
        yield pool, server, stack.enter_context(counting(server.port))


def add_account(pool: Pool, user: MailUser, proxy: Proxy) -> Account:
    """The user's account with all mailboxes, reached through the proxy."""
    account_id = AccountId(str(uuid.uuid4()))
    with transaction(pool) as connection:
        return accounts.add(
            connection,
            account_id,
            user_id="bench",
            address=user.name,
            host=HOST,
            port=proxy.port,
            security="none",
            username=user.name,
            credential=make_keyring(f"k1:{'A' * 43}=").seal(account_id, user.server.password),
            window_days=None,
            mailboxes=["*"],
        )


def run(pool: Pool, account: Account, *, audited: bool = False) -> None:
    """One sync, and the audit after it."""
    password = make_keyring(f"k1:{'A' * 43}=").open(account.id, account.credential)
    with connect(account, password, DIALER, "sync") as session:
        for _ in sync(session, pool, account):
            pass
        if audited:
            for _ in audit.take(session, runtime(pool), account, "auto"):
                pass


def due(pool: Pool, account: Account) -> None:
    """Let the account's audit be due."""
    with transaction(pool) as connection:
        audits.take_due(connection, account.id, timedelta(0))
        connection.execute("UPDATE audit SET due_at = now()")


def runtime(pool: Pool) -> Runtime:
    """What an audit needs of a worker; it tells nobody, so there is no Redis."""
    client = make_redis("redis://localhost")
    return Runtime(
        pool,
        client,
        make_broker(client),
        make_keyring(f"k1:{'A' * 43}="),
        DIALER,
        "bench",
        Budget(pool, "bench"),
        audit_every=timedelta(1),
    )


def floor(user: MailUser, proxy: Proxy) -> None:
    """What the login costs alone."""
    with IMAPClient(HOST, proxy.port, ssl=False, timeout=30) as client:
        client.login(user.name, user.server.password)


def naive(user: MailUser, proxy: Proxy) -> None:
    """What a sync without any memory of the server's state asks in one mailbox."""
    with IMAPClient(HOST, proxy.port, ssl=False, timeout=60) as client:
        client.login(user.name, user.server.password)
        client.select_folder("INBOX", readonly=True)
        client.search("ALL")
        # IMAPClient.fetch takes numbers only.
        client._imap.uid("FETCH", "1:*", "(FLAGS)")  # noqa: SLF001


def measure(words: str, proxy: Proxy, work: Callable[[], None]) -> None:
    """Print one row of the table."""
    proxy.clear()
    began = time.monotonic()
    work()
    took = (time.monotonic() - began) * 1000
    time.sleep(0.2)
    commands = proxy.commands()
    shown = ", ".join(commands if len(commands) <= SHOWN else [*commands[:6], "…", commands[-1]])
    counts = f"{len(commands):9}{proxy.up:9}{proxy.down:10}{took:8.0f}"
    print(f"{words:34}{counts}  {shown}")


if __name__ == "__main__":
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main()
