"""Where an address logs in: what is known of providers, then what DNS says, then guesses.

Nothing is connected to and nothing is fetched, so whoever asks learns names and ports alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import Annotated, TypeVar

from litestar import get
from litestar.exceptions import ClientException
from litestar.params import QueryParameter

from postwire import login, oauth
from postwire.model import Security
from postwire.providers import Provider, by_address, by_host, by_mx
from postwire_api import problems
from postwire_api.names import Names, Service, ascii_domain
from postwire_api.parts import DnsNames, Providers, User
from postwire_api.schemas import Source, Suggestion, Suggestions

#: Seconds that each question to DNS has; all are asked at once.
_PATIENCE = 3.0
#: Suggestions that are answered at most; nobody reads more.
_MOST = 6
#: Where programs log in by TLS from the first byte (RFC 8314 §3.2).
_TLS_PORT = 993

T = TypeVar("T")


@get(
    "/accounts/discover",
    summary="Find where an address logs in",
    costly=True,
    responses=problems.documented(),
)
async def discover_account(
    *,
    user: User,  # noqa: ARG001 - who may ask at all
    names: DnsNames,
    providers: Providers,
    address: Annotated[str, QueryParameter(max_length=254, description="The whole address.")],
) -> Suggestions:
    """Suggest host, port and user name for `POST /api/accounts`, within 3 s; no login is tried.

    What is known of large providers comes first, then what the domain says in DNS: mail servers of
    a known provider, and SRV records (RFC 6186). Where it says nothing, usual names that exist are
    suggested. There may be none.
    """
    try:
        login.check_address(address)
    except ValueError as error:
        raise ClientException(str(error)) from None
    found = await _find(address, names, providers)
    return Suggestions(suggestions=list(_each_once(found))[:_MOST])


async def _find(address: str, names: Names, providers: oauth.Providers) -> list[Suggestion]:
    if provider := by_address(address):
        return [_of_provider(provider, address, "provider", providers)]
    domain = ascii_domain(address.rpartition("@")[2])
    if domain is None:
        return []
    exchangers, secured, plain, guessed = await asyncio.gather(
        _in_time(names.mx(domain), []),
        _in_time(names.srv("_imaps", domain), []),
        _in_time(names.srv("_imap", domain), []),
        asyncio.gather(
            *(_in_time(_guess(names, f"{name}.{domain}"), None) for name in ("imap", "mail"))
        ),
    )
    hosted = filter(None, map(by_mx, exchangers[:1]))
    said = [
        *(_of_provider(provider, address, "mx", providers) for provider in hosted),
        *_of_services(secured, "tls", address, domain, providers),
        # RFC 8314 §5.1: TLS from the first byte is preferred, whatever the priorities say.
        *_of_services(plain, "starttls", address, domain, providers),
    ]
    # A domain that has spoken, be it to say that it has no IMAP, is not guessed at.
    if said or secured or plain:
        return said
    return [_of_guess(host, address) for host in guessed if host]


async def _in_time(question: Awaitable[T], otherwise: T) -> T:
    try:
        return await asyncio.wait_for(question, _PATIENCE)
    except TimeoutError:
        return otherwise


async def _guess(names: Names, host: str) -> str | None:
    return host if await names.exists(host) else None


def _of_provider(
    provider: Provider, address: str, source: Source, providers: oauth.Providers
) -> Suggestion:
    bare = provider.bare_username and source == "provider"
    return Suggestion(
        host=provider.imap_host,
        port=provider.imap_port,
        security="tls",
        username=address.rpartition("@")[0] if bare else address,
        source=source,
        provider=provider.name,
        oauth=provider.oauth if provider.oauth in providers else None,
        note=provider.note,
        help=provider.help,
    )


def _of_services(
    services: Iterable[Service],
    security: Security,
    address: str,
    domain: str,
    providers: oauth.Providers,
) -> Iterator[Suggestion]:
    for service in services:
        if not service.host:
            continue
        provider = by_host(service.host)
        yield Suggestion(
            host=service.host,
            port=service.port,
            security=security,
            username=address,
            source="srv",
            provider=provider.name if provider else None,
            oauth=provider.oauth if provider and provider.oauth in providers else None,
            note=provider.note if provider else _warning(service.host, domain),
            help=provider.help if provider else None,
        )


def _warning(host: str, domain: str) -> str | None:
    # RFC 6186 §6: DNS can be forged, and the password goes to whom it names.
    if f".{host}".endswith(f".{domain}"):
        return None
    return f"{domain} says that its mail is read at {host}. Go on only if you know that server."


def _of_guess(host: str, address: str) -> Suggestion:
    return Suggestion(
        host=host,
        port=_TLS_PORT,
        security="tls",
        username=address,
        source="guess",
        provider=None,
        oauth=None,
        note="This is a guess: there is a server of that name.",
        help=None,
    )


def _each_once(found: Iterable[Suggestion]) -> Iterator[Suggestion]:
    seen = set()
    for one in found:
        if (one.host, one.port) not in seen:
            seen.add((one.host, one.port))
            yield one
