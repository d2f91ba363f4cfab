"""The public keys of who issues the bearer tokens, read where the operator says.

What was had once counts until the issuer answers with something else, so that it may be down. It is
asked by one request at a time for all that wait, and no more often than `_PAUSE` says, whatever
tokens come.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import httpx
import structlog

from postwire import jwks
from postwire.errors import KeysUnavailable, SettingsError, TokenRejected
from postwire.metrics import KEY_REFRESHES

#: Seconds for all of one reading, however slowly it comes.
_PATIENCE = 5.0
#: Seconds between the end of a reading and the next one that an unknown key asks for.
_PAUSE = 5.0
#: Seconds after which keys are read anew, while they are used: so long does one count that the
#: issuer has withdrawn.
_FRESH = 300.0
#: Bytes; some publish a chain of certificates with each key.
_ROOM = 256 * 1024
_HEADERS = {
    "Accept": "application/jwk-set+json, application/json",
    # An encoded body could be a thousand times as large as what came.
    "Accept-Encoding": "identity",
}

#: Reads the JWK Set.
Read: TypeAlias = Callable[[], Awaitable[bytes]]

log = structlog.get_logger()


class SigningKeys:
    """The issuer's keys, as new as they have to be."""

    def __init__(self, read: Read, keys: jwks.Keys | None = None) -> None:
        self._read = read
        self._keys: jwks.Keys = keys or {}
        #: By the clock of the process; when the latest reading ended, and why it was for nothing.
        self._ended = -math.inf
        self._failed = False
        self._reading: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, kid: str | None) -> jwks.Key:
        """The key of that name; one that is unknown is looked for at its issuer.

        Raises:
            TokenRejected: the issuer has none.
            KeysUnavailable: nobody knows, for the issuer does not answer.
        """
        if key := self._keys.get((algorithm, kid)):
            self._begin(_FRESH)  # and nobody waits for it
            return key
        if reading := self._begin(_PAUSE):
            # Whoever gives up waiting takes the reading away from nobody else.
            await asyncio.shield(reading)
        if key := self._keys.get((algorithm, kid)):
            return key
        if self._failed:
            raise KeysUnavailable
        raise TokenRejected("The token is signed by a key that its issuer does not have.")

    def _begin(self, age: float) -> asyncio.Task[None] | None:
        """The reading under way; a new one where the latest ended `age` seconds ago."""
        if self._reading is None and time.monotonic() - self._ended >= age:
            self._reading = asyncio.create_task(self._refresh())
        return self._reading

    async def _refresh(self) -> None:
        outcome = "refreshed"
        problem: Exception | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                self._keys = jwks.read(await self._read())
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # TimeoutError is one
            outcome, problem = "unreachable", error
        except ValueError as error:
            outcome, problem = "unusable", error
        finally:
            self._ended, self._reading = time.monotonic(), None
        self._failed = problem is not None
        KEY_REFRESHES.labels(outcome).inc()
        if problem:
            log.warning("issuer's keys not read", outcome=outcome, error=repr(problem))


def from_url(url: str) -> SigningKeys:
    """The keys that are published there; it is first asked when a token comes."""
    context = ssl.create_default_context()

    async def read() -> bytes:
        # Whoever could redirect us, or is a proxy that happens to be in the environment, would say
        # who signs.
        client = httpx.AsyncClient(
            verify=context, timeout=_PATIENCE, trust_env=False, follow_redirects=False
        )
        async with client, client.stream("GET", url, headers=_HEADERS) as response:
            return await _body(response)

    return SigningKeys(read)


async def _body(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise ValueError(f"the issuer answered {response.status_code}")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _ROOM:
            raise ValueError(f"the answer has more than {_ROOM} bytes")
    return bytes(body)


def from_file(path: Path) -> SigningKeys:
    """The keys in the file; it may be replaced at any time.

    Raises:
        SettingsError: there are none.
    """

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(_ROOM)

    try:
        keys = jwks.read(read())
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"POSTWIRE_JWKS_FILE: {path}: {words}") from None
    return SigningKeys(lambda: asyncio.to_thread(read), keys)
