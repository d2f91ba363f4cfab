"""The demo's mail server keeps what an IMAP client builds upon."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imapclient.exceptions import LoginError

from postwire_demo import servers
from postwire_demo.letters import seeds
from postwire_demo.mail import MailAccount, connect, deliver, fill

RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LETTER = b"From: ann@postwire.example\r\nSubject: One\r\n\r\nHello\r\n"


def test_uids_and_their_validity_outlive_a_restart(tmp_path: Path) -> None:
    # Given a mailbox with a message
    with server(tmp_path) as account, connect(account) as session:
        deliver(session, LETTER, RECEIVED)
        before = session.select_folder("INBOX")

    # When the server is started again
    with server(tmp_path) as again, connect(again) as session:
        # Then nothing has changed, the port included
        assert again == account
        after = session.select_folder("INBOX")
        assert after[b"UIDVALIDITY"] == before[b"UIDVALIDITY"]
        assert after[b"UIDNEXT"] == before[b"UIDNEXT"] == 2
        assert session.fetch([1], ["ENVELOPE"])[1][b"ENVELOPE"].subject == b"One"


def test_a_message_keeps_when_it_was_received(tmp_path: Path) -> None:
    with server(tmp_path) as account, connect(account) as session:
        session.normalise_times = False
        deliver(session, LETTER, RECEIVED)
        session.select_folder("INBOX")
        assert session.fetch([1], ["INTERNALDATE"])[1][b"INTERNALDATE"] == RECEIVED


def test_one_who_waits_in_idle_hears_of_a_delivery(tmp_path: Path) -> None:
    with server(tmp_path) as account, connect(account) as waiting, connect(account) as other:
        waiting.select_folder("INBOX")
        waiting.idle()
        deliver(other, LETTER, RECEIVED)
        # Not idle_check(): it gives up on a line that arrives in two pieces.
        waiting.socket().settimeout(5)
        assert b"* 1 EXISTS" in waiting.socket().recv(1000)
        waiting.shutdown()


def test_a_delivery_during_a_look_gets_one_uid(tmp_path: Path) -> None:
    with server(tmp_path) as account, connect(account) as reader:
        writer = threading.Thread(target=deliver_many, args=(account, 40))
        writer.start()
        while writer.is_alive():
            reader.select_folder("INBOX")
        writer.join()
        assert reader.select_folder("INBOX")[b"EXISTS"] == 40


def test_nobody_else_gets_in(tmp_path: Path) -> None:
    with server(tmp_path) as account:
        with pytest.raises(LoginError):
            connect(account.model_copy(update={"password": "guess"}))
        with pytest.raises(LoginError):
            connect(account.model_copy(update={"username": "guest@postwire.example"}))


def test_the_first_mail_is_laid_once(tmp_path: Path) -> None:
    with server(tmp_path) as account:
        for _ in range(2):
            fill(account, seeds(RECEIVED))
        with connect(account) as session:
            assert session.folder_status("INBOX")[b"MESSAGES"] == 13
            assert session.folder_status("Sent")[b"MESSAGES"] == 2


def deliver_many(account: MailAccount, count: int) -> None:
    with connect(account) as session:
        for _ in range(count):
            deliver(session, LETTER, RECEIVED)


def server(folder: Path) -> AbstractContextManager[MailAccount]:
    return servers.imap(folder / "mail", folder / "log", "demo@postwire.example", "pass word")
