"""The demo's mail account as its owner knows it: where it is and how to put mail into it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from imapclient import IMAPClient
from pydantic import BaseModel

from postwire_demo.letters import Seed

#: Seconds the mail server may take for one answer.
TIMEOUT = 20.0


class MailAccount(BaseModel):
    """Where the account is and what opens it."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    username: str
    password: str


def connect(account: MailAccount) -> IMAPClient:
    """A session that is logged in; it is the caller's to log out."""
    session = IMAPClient(account.host, account.port, ssl=account.security == "tls", timeout=TIMEOUT)
    try:
        if account.security == "starttls":
            session.starttls()
        session.login(account.username, account.password)
    except BaseException:
        session.shutdown()
        raise
    return session


def deliver(session: IMAPClient, content: bytes, received: datetime) -> None:
    """Put a new message into the INBOX."""
    session.append("INBOX", content, msg_time=received)


def fill(account: MailAccount, seeds: list[Seed]) -> None:
    """Put `seeds` into their mailboxes, unless that was done already."""
    with connect(account) as session:
        # In the INBOX there may be other mail meanwhile; nobody else writes to Sent.
        if session.folder_exists("Sent") and session.folder_status("Sent")[b"MESSAGES"]:
            return
        for mailbox in sorted({seed.mailbox for seed in seeds}):
            if not session.folder_exists(mailbox):
                session.create_folder(mailbox)
        for seed in seeds:
            session.append(seed.mailbox, seed.content, seed.flags, seed.received)
