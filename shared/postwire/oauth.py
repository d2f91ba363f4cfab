"""Who gives out access by OAuth: the token endpoints that the operator has named (RFC 6749 §3.2).

Never a user: a worker sends a client secret there, and reaches where a user does not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from postwire.errors import SettingsError

#: What is the same for everyone who registers an application there.
_PRESETS: dict[str, dict[str, str]] = {
    "google": {"token_url": "https://oauth2.googleapis.com/token"},
    "microsoft": {
        "token_url": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        "scope": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
    },
}


@dataclass(frozen=True, slots=True)
class Provider:
    """A token endpoint, and what Postwire is to it.

    A public client (RFC 6749 §2.1) has no secret. Without a scope, the one that the user granted
    is asked for again (§6).
    """

    name: str
    token_url: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str | None = field(repr=False)
    scope: str | None


Providers: TypeAlias = Mapping[str, Provider]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    client_id: str
    token_url: str
    client_secret: str | None = None
    scope: str | None = None


def make_providers(text: str) -> Providers:
    """The providers in a JSON object by name; presets fill in what is left away.

    Raises:
        SettingsError: in words, without the secrets.
    """
    try:
        given = msgspec.json.decode(text, type=dict[str, dict[str, str]])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise SettingsError(
            "POSTWIRE_OAUTH_PROVIDERS is no JSON object of objects of strings; write it as "
            '{"google": {"client_id": "…", "client_secret": "…"}}'
        ) from None
    return {name: _provider(name, values) for name, values in given.items()}


def _provider(name: str, values: Mapping[str, str]) -> Provider:
    try:
        entry = msgspec.convert(_PRESETS.get(name, {}) | dict(values), _Entry)
    except msgspec.ValidationError as error:
        # It names fields, never values.
        raise SettingsError(f"POSTWIRE_OAUTH_PROVIDERS: {name}: {error}") from None
    if not is_safe(entry.token_url):
        raise SettingsError(
            f"POSTWIRE_OAUTH_PROVIDERS: {name}: token_url must be an https address, "
            "or one on this machine"
        )
    return Provider(name, entry.token_url, entry.client_id, entry.client_secret, entry.scope)


def is_safe(url: str) -> bool:
    """Whether nobody in between reads or forges what is said there (RFC 6749 §3.2)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_local(host)))


def _is_local(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
