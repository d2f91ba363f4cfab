"""Another mail program: it delivers at a steady rate, and flags, moves and expunges."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from imapclient import SEEN, IMAPClient

from chaos.ledger import Ledger
from support.mailbox import MailUser, letter

#: Where mail is moved to.
ARCHIVE = "Archive"
MAILBOXES = ("INBOX", ARCHIVE)
#: How often each is done.
_ACTIONS = {"deliver": 60, "flag": 20, "move": 10, "expunge": 10}
_FLAGS = (SEEN, b"\\Flagged", b"\\Answered", b"$chaos")
#: Lines of the shortest and of the longest text: less and more than a segment of TCP.
_LINES = (1, 400)


@dataclass(slots=True)
class Watched:
    """An account with the session of its user's own mail program."""

    id: str
    owner: str
    user: MailUser
    client: IMAPClient


class Load(threading.Thread):
    """Changes the accounts `rate` times a second, until it is told to stop."""

    def __init__(self, accounts: Sequence[Watched], ledger: Ledger, seed: str, rate: float) -> None:
        super().__init__(name="load")
        self._accounts = accounts
        self._ledger = ledger
        self._random = random.Random(f"{seed} load")  # noqa: S311 - to be drawn again
        self._pause = 1 / rate
        self._number = 0
        self._stopping = threading.Event()

    def run(self) -> None:
        """Go on until `stop`."""
        try:
            while not self._stopping.wait(self._pause):
                self.change(self._random.choice(self._accounts))
        except Exception as error:  # noqa: BLE001 - the storm has to know, whatever it was
            self._ledger.finds(f"the load broke off: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """Make no change any more."""
        self._stopping.set()
        if self.is_alive():
            self.join(30)

    def change(self, account: Watched) -> None:
        """Make one change."""
        (action,) = self._random.choices(list(_ACTIONS), list(_ACTIONS.values()))
        found: list[int] = []
        if action != "deliver":
            account.client.select_folder(
                "INBOX" if action == "move" else self._random.choice(MAILBOXES)
            )
            found = account.client.search()
        if found:
            self._do(action, account, self._random.choice(found))
        else:
            self.deliver(account)

    def deliver(self, account: Watched) -> None:
        """Put a new letter into INBOX."""
        self._number += 1
        subject = f"chaos-{self._number}"
        text = "It rains, and then it rains some more.\n" * self._random.randint(*_LINES)
        html = f"<p>{text}</p>" if self._random.random() < 0.3 else None
        self._ledger.delivers(subject, account.id)
        account.client.append("INBOX", letter(subject, text, html=html))
        self._ledger.delivers(subject, account.id)
        self._ledger.changes["delivered"] += 1

    def _do(self, action: str, account: Watched, uid: int) -> None:
        client = account.client
        match action:
            case "flag":
                flags = self._random.sample(_FLAGS, 2)
                client.add_flags(uid, flags[:1], silent=True)
                client.remove_flags(uid, flags[1:], silent=True)
                self._ledger.changes["flagged"] += 1
            case "move":
                client.move(uid, ARCHIVE)
                self._ledger.changes["moved"] += 1
            case _:
                fields = client.fetch(uid, ["BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])[uid]
                (header,) = [value for name, value in fields.items() if name.startswith(b"BODY")]
                self._ledger.expunges(header.decode().split()[1])
                client.delete_messages(uid, silent=True)
                client.uid_expunge(uid)
                self._ledger.changes["expunged"] += 1


def log_in(stack: ExitStack, user: MailUser) -> IMAPClient:
    """A session that lasts as long as the storm."""
    client = stack.enter_context(user.session())
    if not client.folder_exists(ARCHIVE):
        client.create_folder(ARCHIVE)
    return client
