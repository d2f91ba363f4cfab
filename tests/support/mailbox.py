"""A user's mailbox on the tests' Dovecot: put mail in, see what lies there."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from imapclient import IMAPClient

from postwire_worker.dialer import Dialer
from support.dovecot import Dovecot
from support.local import local_dialer


@dataclass(frozen=True, slots=True)
class MailUser:
    """A login nobody had before."""

    server: Dovecot
    name: str

    @contextmanager
    def session(self) -> Iterator[IMAPClient]:
        """A session of the user's own mail program, so to speak."""
        with IMAPClient(self.server.host, self.server.port, ssl=False, timeout=10) as client:
            client.normalise_times = False
            client.login(self.name, self.server.password)
            yield client

    def append(
        self,
        *letters: bytes,
        mailbox: str = "INBOX",
        flags: tuple[str, ...] = (),
        received: datetime | None = None,
    ) -> None:
        """Put `letters` into the mailbox."""
        with self.session() as client:
            if not client.folder_exists(mailbox):
                client.create_folder(mailbox)
            for content in letters:
                client.append(mailbox, content, flags, received)

    def number_anew(self, mailbox: str, uidvalidity: int) -> None:
        """Give a mailbox that has messages another UIDVALIDITY."""
        settings = self.server.ca_file.with_name("dovecot.conf")
        command = ["doveadm", "-c", str(settings), "mailbox", "update", "-u", self.name]
        command += ["--uid-validity", str(uidvalidity), mailbox]
        subprocess.run(command, check=True, timeout=20)


def letter(
    subject: str = "Hello",
    text: str = "How are you?",
    *,
    html: str | None = None,
    sender: str = "Anna Lindqvist <anna@northwind.example>",
    attachment: bytes | None = None,
    message_id: str | None = None,
) -> bytes:
    """A message as it arrives, with CRLF."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "Robin <robin@postwire.example>"
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id or make_msgid(domain="northwind.example")
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    if attachment:
        message.add_attachment(
            attachment, maintype="application", subtype="octet-stream", filename="data.bin"
        )
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def trusting(server: Dovecot) -> Dialer:
    """Leads to the tests' own servers, and trusts their authority and nobody else."""
    return replace(local_dialer(), ssl_context=ssl.create_default_context(cafile=server.ca_file))
