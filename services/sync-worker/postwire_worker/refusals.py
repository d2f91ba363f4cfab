"""What a mail server says when it will not, as one of our errors.

Response codes first, for they are what RFC 5530 and RFC 9051 §7.1 define; words only where there
is no code, for most servers have used words alone.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from postwire.errors import (
    AuthenticationFailed,
    MailboxNotFound,
    PostwireError,
    ServerBusy,
    TransientError,
)
from postwire.metrics import IMAP_TURNED_AWAY

#: Seconds that a server may make us wait at most.
LONGEST_WAIT = 60 * 60.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way to say "later": how it is recognised, and how long to wait if nothing is said."""

    name: str
    said: re.Pattern[str]
    seconds: float
    words: str


_KINDS = (
    _Kind(
        "throttled",
        # Gmail's code stands in answers that succeeded, too: mscdex/node-imap#593.
        re.compile(r"\[THROTTLED\]|throttl|backoff|bandwidth limit", re.IGNORECASE),
        300,
        "The mail server slows this account down; it is left alone for 5 minutes.",
    ),
    _Kind(
        "limit",
        # The third is Outlook's, of too many short connections: mscdex/node-imap#523.
        re.compile(
            r"\[LIMIT\]|too many|authenticated but not connected|number of connections"
            r"|connection limit",
            re.IGNORECASE,
        ),
        60,
        "The mail server allows no more connections to this account now.",
    ),
    _Kind(
        "in_use",
        re.compile(r"\[INUSE\]", re.IGNORECASE),
        15,
        "The mailbox is in use by another program.",
    ),
    _Kind(
        "unavailable",
        re.compile(r"\[UNAVAILABLE\]|try again|temporar", re.IGNORECASE),
        30,
        "The mail server is not available right now.",
    ),
)
_REFUSED = re.compile(
    r"\[(AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED|PRIVACYREQUIRED)\]", re.IGNORECASE
)
#: It is not the login that is wrong.
_TROUBLE = re.compile(r"\[(SERVERBUG|CONTACTADMIN|OVERQUOTA)\]|internal error", re.IGNORECASE)
#: Microsoft says how long; see field report ikvk/imap_tools#135.
_BACKOFF = re.compile(r"backoff time: (\d{1,15}) milliseconds", re.IGNORECASE)
#: What may be repeated of a challenge, and what of it is not about the token.
_STATUS = re.compile(r"[a-z0-9_]{1,40}", re.IGNORECASE)
_FAULT = re.compile(r"5\d\d")
_GONE = re.compile(
    r"\[(NONEXISTENT|TRYCREATE)\]|does(n't| not) exist|no such|unknown mailbox", re.IGNORECASE
)


def busy(answer: str, provider: str) -> ServerBusy | None:
    """The error where the server asks to come back later, with the time to wait; it is counted."""
    kind = next((kind for kind in _KINDS if kind.said.search(answer)), None)
    if kind is None:
        return None
    IMAP_TURNED_AWAY.labels(provider=provider, kind=kind.name).inc()
    throttled = kind.name == "throttled"
    if found := _BACKOFF.search(answer):
        wait = min(int(found[1]) / 1000, LONGEST_WAIT)
        return ServerBusy(come_back_in(wait), retry_after=wait, throttled=throttled)
    return ServerBusy(kind.words, retry_after=kind.seconds, throttled=throttled)


def come_back_in(seconds: float) -> str:
    """What is said of a server that wants to be left alone for so long."""
    number, unit = math.ceil(seconds), "second"
    if seconds > 90:  # noqa: PLR2004 - from here on nobody counts in seconds
        number, unit = math.ceil(seconds / 60), "minute"
    return f"The mail server asks to come back in {number} {unit}{'s' * (number != 1)}."


def of_login(
    answer: str,
    provider: str,
    words: str = "The mail server refused the user name or password.",
) -> PostwireError:
    """The error for a refused login; `words` are for what is no passing trouble."""
    # Too many connections look like a wrong password on some servers, but for the words; and some
    # servers say "try again" of a wrong password, but have a code for it.
    if not _REFUSED.search(answer):
        if later := busy(answer, provider):
            return later
        if _TROUBLE.search(answer):
            return TransientError("The mail server could not log in; it says the fault is its own.")
    return AuthenticationFailed(words)


def of_token(answer: str, provider: str, status: str | None) -> PostwireError:
    """The error for an access token that was refused, with the status (RFC 7628 §3.2.2).

    XOAUTH2 has HTTP's numbers there.
    """
    if status and _FAULT.fullmatch(status):
        return TransientError("The mail server could not log in; it says the fault is its own.")
    said = f" ({status})" if status and _STATUS.fullmatch(status) else ""
    words = f"The mail server refuses the access that was granted{said}; connect the account again."
    return of_login(answer, provider, words)


def of_command(answer: str, provider: str, doing: str) -> PostwireError:
    """The error for another command that was refused; `doing` is its name in lower case."""
    if later := busy(answer, provider):
        return later
    if doing in {"select", "status"} and _GONE.search(answer):
        return MailboxNotFound("The mail server has no such mailbox.")
    return TransientError(f"The mail server refused to {doing}.")
