"""One tree of errors; the first cut answers the only question a queue asks.

`TransientError`: trying again may help. `PermanentError`: it will not, until somebody changes
something. Messages are words for a user; they carry identifiers, never secrets or mail content.
Names follow the response codes of RFC 5530 where one fits.
"""

from __future__ import annotations

from typing import Literal


class PostwireError(Exception):
    """Something went wrong in a way that Postwire knows; `str()` is fit for a user."""

    def __str__(self) -> str:
        return super().__str__() or (self.__doc__ or "").strip().splitlines()[0]


class TransientError(PostwireError):
    """Trying again later may help."""


class ConnectionLost(TransientError):
    """The mail server could not be reached, or the connection broke."""


class ProxyFailed(ConnectionLost):
    """The proxy to the mail server does not answer, or does not let us through."""

    def __init__(self, message: str = "", *, of_address: bool = False) -> None:
        super().__init__(message)
        #: Whether it is for the one address, so that another of the server's may do.
        self.of_address = of_address


class ServerBusy(TransientError):
    """The mail server asks to wait (RFC 5530 UNAVAILABLE, LIMIT, INUSE)."""

    def __init__(
        self, message: str = "", *, retry_after: float = 30, throttled: bool = False
    ) -> None:
        super().__init__(message)
        #: Seconds until the account may be asked for again.
        self.retry_after = retry_after
        #: Whether it is for certain the account it has no time for, rather than one message.
        self.throttled = throttled


class NoFreeConnection(TransientError):
    """All connections that Postwire may have to the mail server are taken."""

    def __init__(
        self, host: str = "the mail server", scope: Literal["host", "account"] = "account"
    ) -> None:
        super().__init__(f"Waiting for a free connection to {host}.")
        #: Of what there are no more.
        self.scope = scope


class CursorMoved(TransientError):
    """Another worker stored this batch first; the batch was dropped."""


class StoreUnavailable(TransientError):
    """The database does not answer right now."""


class QueueUnavailable(TransientError):
    """Redis does not answer right now."""


class KeysUnavailable(TransientError):
    """The keys that tokens are verified by cannot be had right now; try again shortly."""


class NotReady(TransientError):
    """It is being fetched from the mail server; ask again shortly."""


class PermanentError(PostwireError):
    """Trying again will not help until somebody changes something."""


class AuthenticationFailed(PermanentError):
    """The mail server refused the user name or password."""


class NotMigrated(PermanentError):
    """The database lacks migrations that this release needs."""


class MailboxNotFound(PermanentError):
    """The mail server has no such mailbox."""


class CapabilityMissing(PermanentError):
    """The mail server cannot do what is needed."""


class CertificateRejected(PermanentError):
    """The mail server's TLS certificate could not be verified."""


class AddressForbidden(PermanentError):
    """The host leads to an address that Postwire may not connect to."""


class CredentialUnreadable(PermanentError):
    """The stored credential cannot be opened with the keys that are set."""


class KeyMissing(PermanentError):
    """The stored credential was sealed with a key that this process does not have."""


class NotFound(PermanentError):
    """There is no such thing, or it is not yours."""


class Gone(PermanentError):
    """The mail server does not have it any more."""


class TooLarge(PermanentError):
    """It is larger than Postwire fetches."""


class Conflict(PermanentError):
    """It is there already."""


class BadQuery(PermanentError):
    """The search was not understood."""


class TokenRejected(PermanentError):
    """The token is missing, malformed, expired, or not meant for this."""


class BadEvent(PermanentError):
    """An event from Redis could not be read."""


class SettingsError(Exception):
    """The settings are incomplete or wrong; the message lists all problems at once."""
