"""What a mail server says when it will not, as one of our errors.

Response codes first, for they are what RFC 5530 and RFC 9051 §7.1 define; words only where there
is no code, for most servers have used words alone.
"""

from __future__ import annotations

import re

from postwire.errors import (
    AuthenticationFailed,
    MailboxNotFound,
    PostwireError,
    ServerBusy,
    TransientError,
)

_REFUSED = re.compile(
    r"\[(AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED|PRIVACYREQUIRED)\]", re.IGNORECASE
)
_BUSY = re.compile(
    r"\[(UNAVAILABLE|INUSE|LIMIT)\]|too many|throttl|backoff|try again|temporar", re.IGNORECASE
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


def busy(answer: str) -> ServerBusy | None:
    """The error where the server asks to come back later, with the seconds if it says so."""
    if not _BUSY.search(answer):
        return None
    found = _BACKOFF.search(answer)
    wait = int(found[1]) / 1000 if found else None
    return ServerBusy("The mail server asks to come back later.", retry_after=wait)


def of_login(
    answer: str, words: str = "The mail server refused the user name or password."
) -> PostwireError:
    """The error for a refused login; `words` are for what is no passing trouble."""
    # Too many connections look like a wrong password on some servers, but for the words; and some
    # servers say "try again" of a wrong password, but have a code for it.
    if not _REFUSED.search(answer):
        if later := busy(answer):
            return later
        if _TROUBLE.search(answer):
            return TransientError("The mail server could not log in; it says the fault is its own.")
    return AuthenticationFailed(words)


def of_token(answer: str, status: str | None) -> PostwireError:
    """The error for an access token that was refused, with the status (RFC 7628 §3.2.2).

    XOAUTH2 has HTTP's numbers there.
    """
    if status and _FAULT.fullmatch(status):
        return TransientError("The mail server could not log in; it says the fault is its own.")
    said = f" ({status})" if status and _STATUS.fullmatch(status) else ""
    words = f"The mail server refuses the access that was granted{said}; connect the account again."
    return of_login(answer, words)


def of_command(answer: str, doing: str) -> PostwireError:
    """The error for another command that was refused; `doing` is its name in lower case."""
    if later := busy(answer):
        return later
    if doing in {"select", "status"} and _GONE.search(answer):
        return MailboxNotFound("The mail server has no such mailbox.")
    return TransientError(f"The mail server refused to {doing}.")
