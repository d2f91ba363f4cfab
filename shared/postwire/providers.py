"""What is particular about the mail servers of the large providers: data, and nothing else.

Each number has its source. What is not known of a provider is left out, and then what is usual
holds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: by which names its servers and its users' addresses are known."""

    name: str
    #: Ends of the names of its IMAP servers, by whole labels, in lower case.
    hosts: tuple[str, ...]
    #: Domains of its users' addresses, in lower case.
    domains: tuple[str, ...]
    #: Where its users log in, by TLS from the first byte.
    imap_host: str
    imap_port: int = 993
    #: Connections that one account may have; None: not known.
    connections: int | None = None
    #: Seconds after which IDLE has to be renewed; None: as usual.
    renew_idle: float | None = None
    #: Whether its servers are looked at by the clock, whatever they say of IDLE.
    distrust_idle: bool = False
    #: Whether it opens no mailbox for who has not said who they are (RFC 2971).
    wants_id: bool = False


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "Gmail",
        ("gmail.com", "googlemail.com"),
        ("gmail.com", "googlemail.com"),
        "imap.gmail.com",
        # jstedfast/MailKit#377
        connections=15,
    ),
    Provider(
        "Outlook",
        ("office365.com", "outlook.com", "hotmail.com"),
        ("outlook.com", "hotmail.com", "live.com", "msn.com"),
        "outlook.office365.com",
    ),
    Provider(
        "Yahoo",
        ("mail.yahoo.com",),
        ("yahoo.com", "ymail.com", "rocketmail.com"),
        "imap.mail.yahoo.com",
        # As EmailEngine does.
        renew_idle=3 * 60.0,
    ),
    Provider("iCloud", ("mail.me.com",), ("icloud.com", "me.com", "mac.com"), "imap.mail.me.com"),
    Provider(
        "Rambler",
        ("rambler.ru",),
        ("rambler.ru", "lenta.ru", "autorambler.ru", "myrambler.ru", "ro.ru"),
        "imap.rambler.ru",
        # As EmailEngine does.
        renew_idle=55.0,
    ),
    Provider(
        "163.com",
        ("163.com",),
        ("163.com",),
        "imap.163.com",
        distrust_idle=True,
        # OfflineIMAP/offlineimap#696
        wants_id=True,
    ),
)


def by_host(host: str) -> Provider | None:
    """The provider whose IMAP server has this name."""
    name = "." + host.lower().rstrip(".")
    return next((p for p in PROVIDERS if name.endswith(tuple(f".{end}" for end in p.hosts))), None)


def by_address(address: str) -> Provider | None:
    """The provider whose users have such an address."""
    domain = address.rpartition("@")[2].lower()
    return next((p for p in PROVIDERS if domain in p.domains), None)
