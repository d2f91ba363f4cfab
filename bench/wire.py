"""What the mail server says that its sessions have sent and read, without anything in between."""

from __future__ import annotations

import re
import time

from support.mailbox import MailUser

#: Of Dovecot's `imap_logout_format`, as it is by default.
_ENDED = re.compile(r"imap\((.+?)\)<.*\bin=(\d+) out=(\d+)")
#: Seconds until the end of a session must have been logged.
_PATIENCE = 20.0


def sessions(user: MailUser) -> int:
    """How many sessions of the user have ended."""
    return len(_ended(user))


def carried(user: MailUser, since: int) -> int:
    """Bytes both ways of the user's sessions, without their logins; the first `since` are left out.

    Raises:
        TimeoutError: none has ended since.
    """
    until = time.monotonic() + _PATIENCE
    while len(_ended(user)) <= since:
        if time.monotonic() > until:
            raise TimeoutError("No session has ended")
        time.sleep(0.05)
    # Of several, the last may not be written yet.
    time.sleep(0.5)
    return sum(_ended(user)[since:])


def _ended(user: MailUser) -> list[int]:
    log = (user.server.ca_file.parent / "dovecot.log").read_text(errors="replace")
    return [int(read) + int(sent) for name, read, sent in _ENDED.findall(log) if name == user.name]
