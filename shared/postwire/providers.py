"""What is particular about the mail servers of the large providers: data, and nothing else.

Each number has its source. What is not known of a provider is left out, and then what is usual
holds. Where users log in is as Thunderbird's collection (thunderbird/autoconfig) has it, or the
provider's own pages; servers that take in mail are as the providers tell their customers to set.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What all the others are called together, for there is no end of them.
OTHER = "other"


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
    #: Ends of the names of the servers that take in mail for its customers' own domains.
    mx: tuple[str, ...] = ()
    #: What a user has to do before the first login, in words, and where that is explained.
    note: str | None = None
    help: str | None = None
    #: Its usual name among the OAuth providers of an installation.
    oauth: str | None = None
    #: Whether its own addresses log in by what stands before the @.
    bare_username: bool = False


_ZOHO = (
    "Zoho lets programs in once IMAP was allowed in its settings; where two-factor "
    "authentication is on, it wants an application-specific password."
)
_ZOHO_HELP = "https://www.zoho.com/mail/help/imap-access.html"

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "Gmail",
        ("gmail.com", "googlemail.com"),
        ("gmail.com", "googlemail.com"),
        "imap.gmail.com",
        # jstedfast/MailKit#377
        connections=15,
        mx=("google.com", "googlemail.com"),
        note="Gmail wants an app password; the usual one is refused. To get one, 2-Step "
        "Verification has to be on.",
        help="https://myaccount.google.com/apppasswords",
        oauth="google",
    ),
    Provider(
        "Outlook",
        ("office365.com", "outlook.com", "hotmail.com"),
        ("outlook.com", "hotmail.com", "live.com", "msn.com"),
        "outlook.office365.com",
        mx=("mail.protection.outlook.com", "olc.protection.outlook.com", "mx.microsoft"),
        note="Microsoft takes no passwords from mail programs any more: such an account is "
        "connected by OAuth, in the application that this inbox belongs to.",
        help="https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040",
        oauth="microsoft",
    ),
    Provider(
        "Yahoo",
        ("mail.yahoo.com",),
        ("yahoo.com", "ymail.com", "rocketmail.com"),
        "imap.mail.yahoo.com",
        # As EmailEngine does.
        renew_idle=3 * 60.0,
        mx=("am0.yahoodns.net",),
        note="Yahoo wants an app password; the usual one is refused.",
        help="https://login.yahoo.com/account/security",
    ),
    Provider(
        "AOL",
        ("imap.aol.com",),
        ("aol.com", "aim.com", "aol.de", "aol.fr", "aol.co.uk", "netscape.net"),
        "imap.aol.com",
        mx=("gm0.yahoodns.net",),
        note="AOL wants an app password; the usual one is refused.",
        help="https://login.aol.com/account/security",
    ),
    Provider(
        "iCloud",
        ("mail.me.com",),
        ("icloud.com", "me.com", "mac.com"),
        "imap.mail.me.com",
        mx=("mail.icloud.com",),
        note="iCloud wants an app-specific password; the usual one is refused.",
        help="https://appleid.apple.com/",
        bare_username=True,
    ),
    Provider(
        "Fastmail",
        ("fastmail.com", "messagingengine.com"),
        ("fastmail.com", "fastmail.fm"),
        "imap.fastmail.com",
        mx=("messagingengine.com",),
        note="Fastmail wants an app password; the usual one is refused.",
        help="https://www.fastmail.com/help/clients/apppassword.html",
    ),
    Provider(
        "GMX",
        ("imap.gmx.net",),
        ("gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.eu", "gmx.org", "gmx.info"),
        "imap.gmx.net",
        mx=("gmx.net",),
        note="GMX lets programs in once POP3 & IMAP was allowed in its e-mail settings.",
        help="https://hilfe.gmx.net/pop-imap/einschalten.html",
    ),
    Provider(
        "GMX",
        ("imap.gmx.com",),
        ("gmx.com", "gmx.us", "gmx.co.uk", "gmx.fr", "gmx.es", "gmx.it"),
        "imap.gmx.com",
        note="GMX lets programs in once POP3 & IMAP was allowed in its e-mail settings.",
    ),
    Provider(
        "WEB.DE",
        ("imap.web.de",),
        ("web.de",),
        "imap.web.de",
        mx=("web.de",),
        note="WEB.DE lets programs in once POP3 & IMAP was allowed in its e-mail settings.",
        help="https://hilfe.web.de/pop-imap/einschalten.html",
        bare_username=True,
    ),
    Provider(
        "T-Online",
        ("secureimap.t-online.de",),
        ("t-online.de", "magenta.de"),
        "secureimap.t-online.de",
        note="T-Online wants its e-mail password, which is not the one of its web page.",
        help="https://www.telekom.de/hilfe/apps-dienste/e-mail/programme/passwort-verwalten",
    ),
    Provider("Posteo", ("posteo.de",), ("posteo.de", "posteo.net", "posteo.org"), "posteo.de"),
    Provider(
        "Mail.ru",
        ("imap.mail.ru",),
        ("mail.ru", "inbox.ru", "internet.ru", "list.ru", "bk.ru"),
        "imap.mail.ru",
        mx=("mail.ru",),
        note="Mail.ru wants a password for external applications; the usual one is refused.",
        help="https://help.mail.ru/mail/security/protection/external",
    ),
    Provider(
        "Yandex",
        ("imap.yandex.com", "imap.yandex.ru"),
        ("yandex.com", "yandex.ru", "yandex.by", "yandex.kz", "ya.ru", "narod.ru"),
        "imap.yandex.com",
        mx=("mx.yandex.net", "mx.yandex.ru"),
        note="Yandex wants an app password, and IMAP switched on in its settings.",
        help="https://yandex.com/support/mail/mail-clients/others.html",
    ),
    Provider(
        "Zoho",
        ("imap.zoho.com",),
        ("zoho.com", "zohomail.com"),
        "imap.zoho.com",
        note=_ZOHO,
        help=_ZOHO_HELP,
    ),
    Provider(
        "Zoho",
        ("imap.zoho.eu",),
        ("zoho.eu", "zohomail.eu"),
        "imap.zoho.eu",
        note=_ZOHO,
        help=_ZOHO_HELP,
    ),
    # Those who have a domain of their own log in elsewhere.
    Provider(
        "Zoho",
        ("imappro.zoho.com",),
        (),
        "imappro.zoho.com",
        mx=("zoho.com",),
        note=_ZOHO,
        help=_ZOHO_HELP,
    ),
    Provider(
        "Zoho",
        ("imappro.zoho.in",),
        (),
        "imappro.zoho.in",
        mx=("zoho.in",),
        note=_ZOHO,
        help=_ZOHO_HELP,
    ),
    Provider("Rackspace", ("emailsrvr.com",), (), "secure.emailsrvr.com", mx=("emailsrvr.com",)),
    Provider("QQ", ("imap.qq.com",), ("qq.com",), "imap.qq.com"),
    Provider("Naver", ("imap.naver.com",), ("naver.com",), "imap.naver.com"),
    Provider("Orange", ("imap.orange.fr",), ("orange.fr", "wanadoo.fr"), "imap.orange.fr"),
    Provider("Free", ("imap.free.fr",), ("free.fr",), "imap.free.fr", bare_username=True),
    Provider("Libero", ("imapmail.libero.it",), ("libero.it", "iol.it"), "imapmail.libero.it"),
    Provider("Seznam", ("imap.seznam.cz",), ("seznam.cz", "email.cz", "post.cz"), "imap.seznam.cz"),
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
    return next((p for p in PROVIDERS if _ends(host, p.hosts)), None)


def name_of(host: str) -> str:
    """The provider's name for metrics, `other` where it is none of those that are known."""
    provider = by_host(host)
    return provider.name if provider else OTHER


def by_mx(host: str) -> Provider | None:
    """The provider for whose customers' own domains this server takes in mail."""
    return next((p for p in PROVIDERS if _ends(host, p.mx)), None)


def by_address(address: str) -> Provider | None:
    """The provider whose users have such an address."""
    domain = address.rpartition("@")[2].lower()
    return next((p for p in PROVIDERS if domain in p.domains), None)


def _ends(host: str, ends: tuple[str, ...]) -> bool:
    return f".{host.lower().rstrip('.')}".endswith(tuple(f".{end}" for end in ends))
