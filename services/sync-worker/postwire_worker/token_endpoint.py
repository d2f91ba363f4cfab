"""A provider's token endpoint: a new access token for a refresh token (RFC 6749 §6).

The answer comes from a stranger: it is read up to a limit, and nothing of it is repeated but an
error code that is known. Refresh tokens and secrets are in no error and in no log.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpcore
import msgspec

from postwire.errors import (
    AddressForbidden,
    AuthenticationFailed,
    PostwireError,
    ServerBusy,
    TransientError,
)
from postwire.metrics import OAUTH_REFRESHES
from postwire.oauth import Provider
from postwire_worker.dialer import TRIES, Dialer

#: Seconds for all of it, however slowly the answer comes.
LIMIT = 20.0
#: Bytes of an answer; the largest tokens have some thousand.
_ROOM = 64 * 1024
#: An encoded body could be a thousand times as large as what came.
_HEADERS: dict[str | bytes, str | bytes] = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/x-www-form-urlencoded",
}
#: Seconds that a token is taken to last where the provider does not say (§5.1), and at most.
_USUAL = 60 * 60.0
_LONGEST = 24 * 60 * 60.0
#: Seconds that a provider can make us wait at most, and where it does not say.
_LONGEST_WAIT = 60 * 60.0
_USUAL_WAIT = 30.0

#: RFC 6749 §A.12, §A.17; nothing that could end a line, or a field of the SASL message.
_TOKEN = re.compile(r"[\x20-\x7e]{1,16384}")
_DIGITS = re.compile(r"[0-9]{1,9}")
#: It is what Postwire is set to send that is wrong, not what the user granted (§5.2).
_OPERATORS = {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request"}
#: The user has to be asked again (§4.1.2.1, §5.2; OpenID Connect Core §3.1.2.6). Any other code may
#: be something's in between, and is no reason to stop an account.
_USERS = {
    "invalid_grant",
    "invalid_scope",
    "access_denied",
    "interaction_required",
    "login_required",
    "consent_required",
}


class Misconfigured(TransientError):
    """The operator has to change something; the user cannot."""


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token that lasts `expires_in` seconds, and what the refresh token is from now on.

    `refresh_token` is None where it stays what it was.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after: str
    body: bytes


class _Success(msgspec.Struct):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a kind, no token
    expires_in: float | None = None
    refresh_token: str | None = None


class _Failure(msgspec.Struct):
    """RFC 6749 §5.2."""

    error: str


def refresh(provider: Provider, refresh_token: str, dialer: Dialer) -> Granted:
    """Ask for a new access token; nothing is said to the provider after `LIMIT`.

    A name or a connection that is being waited for by then is waited for to its own end.

    Raises:
        AuthenticationFailed: the user's grant is no longer good.
        Misconfigured: the operator's registration is not.
        ServerBusy: the provider asks to come back later.
        TransientError: it does not answer, or makes no sense.
    """
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "scope": provider.scope,
    }
    given = {name: value for name, value in form.items() if value}
    with _counted():
        return _read(provider.name, asyncio.run(_post(provider, given, dialer)))


@contextmanager
def _counted() -> Iterator[None]:
    outcome = "transient"
    try:
        yield
        outcome = "refreshed"
    except AuthenticationFailed:
        outcome = "refused"
        raise
    except Misconfigured:
        outcome = "misconfigured"
        raise
    except ServerBusy:
        outcome = "busy"
        raise
    finally:
        OAUTH_REFRESHES.labels(outcome=outcome).inc()


class _Stream(httpcore.AsyncNetworkStream):
    """A connection of the dialer's; whoever asks keeps the time of everything."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tls = tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        self._writer.write(buffer)
        await self._writer.drain()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002 - not the dialer's, see below
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
    ) -> _Stream:
        await self._writer.start_tls(self._tls, server_hostname=server_hostname)
        return self

    async def aclose(self) -> None:
        self._writer.close()


class _Network(httpcore.AsyncNetworkBackend):
    """The dialer, as httpcore wants one: it resolves and connects, and no one else does."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> _Stream:
        # Less than all of the time for each address: another may do.
        timeout = LIMIT / TRIES
        connection = await asyncio.to_thread(self._dialer.connect, host, port, timeout)
        reader, writer = await asyncio.open_connection(sock=connection)
        return _Stream(reader, writer, self._dialer.ssl_context)


async def _post(provider: Provider, form: dict[str, str], dialer: Dialer) -> _Answer:
    # Asynchronous for the sake of one timeout over everything: a byte now and then keeps within
    # all others.
    try:
        async with (
            asyncio.timeout(LIMIT),
            httpcore.AsyncConnectionPool(
                # Never used: it would have the dialer's offer HTTP to mail servers, too (ALPN).
                ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                network_backend=_Network(dialer),
            ) as pool,
            # It follows no redirect, which would carry the secrets elsewhere, and asks the
            # environment for no proxy.
            pool.stream(
                "POST", provider.token_url, headers=_HEADERS, content=urlencode(form).encode()
            ) as response,
        ):
            body = await _body(provider.name, response)
            return _Answer(response.status, _retry_after(response), body)
    except AddressForbidden:
        raise Misconfigured(
            f"{provider.name} leads to a private or reserved address; "
            "whoever runs Postwire has to look at POSTWIRE_ALLOWED_NETWORKS."
        ) from None
    except TimeoutError:
        raise TransientError(f"{provider.name} does not answer in time.") from None
    except (httpcore.ProtocolError, OSError, UnicodeError):
        raise TransientError(f"{provider.name} cannot be reached.") from None


async def _body(name: str, response: httpcore.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_stream():
        body += piece
        if len(body) > _ROOM:
            raise _nonsense(name)
    return bytes(body)


def _retry_after(response: httpcore.Response) -> str:
    said = [value for name, value in response.headers if name.lower() == b"retry-after"]
    return said[0].decode("latin-1") if said else ""


def _read(name: str, answer: _Answer) -> Granted:
    match answer.status:
        case 200:
            return _granted(name, answer.body)
        case 429 | 503:
            wait = _seconds(answer.retry_after)
            raise ServerBusy(f"{name} asks to come back later.", retry_after=wait)
        case status if 400 <= status < 500:  # noqa: PLR2004
            raise _refusal(name, answer.body)
        case _:
            raise _nonsense(name)


def _seconds(text: str) -> float:
    """The number of RFC 9110 §10.2.3; nobody is known to give a date."""
    return min(float(text), _LONGEST_WAIT) if _DIGITS.fullmatch(text) else _USUAL_WAIT


def _granted(name: str, body: bytes) -> Granted:
    try:
        # Not strict: some give the seconds in quotes.
        said = msgspec.json.decode(body, type=_Success, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _nonsense(name) from None
    tokens = [said.access_token, *([said.refresh_token] if said.refresh_token else [])]
    if said.token_type.lower() != "bearer" or not all(map(_TOKEN.fullmatch, tokens)):
        raise _nonsense(name)
    lasts = said.expires_in if said.expires_in is not None else _USUAL
    # So written, it is 0 where it is not even a number.
    return Granted(said.access_token, said.refresh_token, min(lasts, _LONGEST) if lasts > 0 else 0)


def _refusal(name: str, body: bytes) -> PostwireError:
    try:
        code = msgspec.json.decode(body, type=_Failure).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _nonsense(name)
    if code in _OPERATORS:
        return Misconfigured(
            f"{name} does not accept Postwire itself ({code}); "
            "whoever runs it has to look at POSTWIRE_OAUTH_PROVIDERS."
        )
    if code == "invalid_grant":
        return AuthenticationFailed("Access was withdrawn; connect the account again.")
    if code in _USERS:
        return AuthenticationFailed(f"{name} renews no access ({code}); connect the account again.")
    return _nonsense(name)


def _nonsense(name: str) -> TransientError:
    return TransientError(f"{name} gave no usable answer.")
