"""The keys of an issuer: from a server that is really asked, and from a file."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from postwire.errors import KeysUnavailable, SettingsError, TokenRejected
from postwire_api import issuer
from support.dovecot import write_certificate
from support.fake_imap import presenting
from support.issuer import Issuer, ec_key, jwk, rsa_key
from support.issuer import issuer as run_issuer
from support.sso import Misbehaviour, saying, send


@pytest.fixture
def provider() -> Iterator[Issuer]:
    """An issuer with one key, `k1`."""
    with run_issuer() as running:
        running.keys = [jwk(rsa_key(), "k1")]
        yield running


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown key may be asked for again without a pause."""
    monkeypatch.setattr(issuer, "_PAUSE", 0.0)


def refreshes(outcome: str) -> float:
    return REGISTRY.get_sample_value("postwire_key_refreshes_total", {"outcome": outcome}) or 0


async def test_keys_are_fetched_once_however_many_ask(provider: Issuer) -> None:
    # Given an issuer that takes its time
    provider.delay = 0.2
    keys, before = issuer.from_url(provider.url), refreshes("refreshed")
    # When many tokens come at once, and more later
    found = await asyncio.gather(*(keys.find("RS256", "k1") for _ in range(50)))
    found.append(await keys.find("RS256", "k1"))
    # Then it was asked once
    assert all(key.key == rsa_key().public_key() for key in found)
    assert (provider.asked, refreshes("refreshed") - before) == (1, 1)


async def test_who_gives_up_waiting_takes_the_keys_from_nobody(provider: Issuer) -> None:
    provider.delay = 0.3
    keys = issuer.from_url(provider.url)
    # Given two who wait
    first = asyncio.create_task(keys.find("RS256", "k1"))
    second = asyncio.create_task(keys.find("RS256", "k1"))
    await asyncio.sleep(0.1)
    # When the one who came first goes
    first.cancel()
    # Then the other has the key
    assert (await second).key == rsa_key().public_key()
    assert provider.asked == 1


async def test_the_event_loop_turns_while_the_issuer_is_asked(provider: Issuer) -> None:
    provider.delay = 0.5
    waiting = asyncio.create_task(issuer.from_url(provider.url).find("RS256", "k1"))
    turns = 0
    while not waiting.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 5


@pytest.mark.usefixtures("at_once")
async def test_a_new_key_counts_as_soon_as_it_signs(provider: Issuer) -> None:
    # Given keys that were fetched
    keys = issuer.from_url(provider.url)
    await keys.find("RS256", "k1")
    # When the issuer begins to sign by another
    new = ec_key()
    provider.keys.append(jwk(new, "k2"))
    # Then it is found, and the old one still is
    assert (await keys.find("ES256", "k2")).key == new.public_key()
    assert (await keys.find("RS256", "k1")).key == rsa_key().public_key()


async def test_names_that_somebody_makes_up_ask_the_issuer_no_more_than_once_a_pause(
    provider: Issuer,
) -> None:
    keys = issuer.from_url(provider.url)
    for n in range(100):
        # When a token names a key that nobody has, a name of another kind, or none
        for algorithm, kid in (("RS256", f"made-up-{n}"), ("ES256", "k1"), ("RS256", None)):
            # Then it is refused
            with pytest.raises(TokenRejected, match="does not have"):
                await keys.find(algorithm, kid)
    # And the issuer was asked once
    assert provider.asked == 1


async def test_a_key_that_was_withdrawn_ends_with_the_next_refresh_and_nobody_waits(
    provider: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a key that was fetched, and is withdrawn; from now on the issuer takes its time
    keys = issuer.from_url(provider.url)
    await keys.find("RS256", "k1")
    provider.keys, provider.delay = [jwk(ec_key(), "k2")], 0.5
    # When it is old, it still is found at once, and looked for meanwhile
    monkeypatch.setattr(issuer, "_FRESH", 0.0)
    await keys.find("RS256", "k1")
    await keys.find("RS256", "k1")
    reading = keys._reading
    assert reading is not None
    assert not reading.done()
    await asyncio.wait_for(reading, 10)
    # Then it is gone
    with pytest.raises(TokenRejected):
        await keys.find("RS256", "k1")
    assert provider.asked == 2


def _dripping() -> Misbehaviour:
    def drip(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        for _ in range(200):
            handler.wfile.write(b" ")  # type: ignore[attr-defined]
            time.sleep(0.05)

    return drip


_GOOD = json.dumps({"keys": [jwk(rsa_key(), "k1")]}).encode()
MISBEHAVIOURS: list[tuple[str, Misbehaviour]] = [
    ("unusable", saying(500, b"")),
    ("unusable", saying(404, _GOOD)),
    ("unusable", saying(200, b"<html>")),
    ("unusable", saying(200, {"keys": []})),
    ("unusable", saying(200, {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]})),
    ("unusable", saying(200, _GOOD + b" " * issuer._ROOM)),
    ("unreachable", _dripping()),
    ("unreachable", lambda handler: handler.connection.close()),
    ("unreachable", lambda handler: handler.wfile.write(b"nonsense\r\n\r\n") and None),
]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("outcome", "misbehaves"), MISBEHAVIOURS)
async def test_an_issuer_that_fails_takes_no_key_away(
    provider: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    outcome: str,
    misbehaves: Misbehaviour,
) -> None:
    monkeypatch.setattr(issuer, "_PATIENCE", 1.0)
    # Given keys that were fetched
    keys = issuer.from_url(provider.url)
    await keys.find("RS256", "k1")
    # When the issuer misbehaves, and a token names a key that nobody knows
    provider.misbehaves, before = misbehaves, refreshes(outcome)
    with capture_logs() as logs, pytest.raises(KeysUnavailable):
        await keys.find("RS256", "k2")
    # Then it is told and counted, and what was had still counts
    assert (logs[0]["event"], logs[0]["outcome"]) == ("issuer's keys not read", outcome)
    assert refreshes(outcome) - before == 1
    assert (await keys.find("RS256", "k1")).key == rsa_key().public_key()
    # And once it answers again, so does the new key
    provider.misbehaves = None
    provider.keys.append(jwk(rsa_key(n=2), "k2"))
    assert (await keys.find("RS256", "k2")).key == rsa_key(n=2).public_key()


async def test_a_redirect_is_not_followed(provider: Issuer) -> None:
    # Given an address that sends us to where there are keys
    with run_issuer() as elsewhere:
        elsewhere.keys = provider.keys
        to = {"Location": elsewhere.url}
        provider.misbehaves = lambda handler: send(handler, 302, b"", to)
        # When they are asked for
        with pytest.raises(KeysUnavailable):
            await issuer.from_url(provider.url).find("RS256", "k1")
        # Then nobody went there
        assert (provider.asked, elsewhere.asked) == (1, 0)


async def test_a_proxy_that_happens_to_be_set_is_not_asked(
    provider: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await issuer.from_url(provider.url).find("RS256", "k1")


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an issuer with a certificate of a private authority
    write_certificate(tmp_path)
    with run_issuer(presenting(tmp_path / "server.pem")) as provider:
        provider.keys = [jwk(rsa_key(), "k1")]
        # When it is asked, then its keys are not believed
        with pytest.raises(KeysUnavailable):
            await issuer.from_url(provider.url).find("RS256", "k1")
        assert provider.asked == 0
        # And when the operator has named that authority, they are
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        assert await issuer.from_url(provider.url).find("RS256", "k1")


async def test_an_issuer_that_is_down_is_asked_once_a_pause() -> None:
    # Given an issuer that is not there
    with run_issuer() as gone:
        url = gone.url
    keys, before = issuer.from_url(url), refreshes("unreachable")
    # When tokens come nevertheless
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            await keys.find("RS256", "k1")
    # Then it was tried once
    assert refreshes("unreachable") - before == 1


@pytest.mark.usefixtures("at_once")
async def test_keys_in_a_file_may_be_replaced_at_any_time(tmp_path: Path) -> None:
    # Given a file with a key
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk(rsa_key(), "k1")]}))
    keys = issuer.from_file(file)
    assert (await keys.find("RS256", "k1")).key == rsa_key().public_key()
    # When it is replaced, then the new key counts
    file.write_text(json.dumps({"keys": [jwk(rsa_key(n=2), "k2")]}))
    assert (await keys.find("RS256", "k2")).key == rsa_key(n=2).public_key()
    # When it is gone, the keys stay
    file.unlink()
    with pytest.raises(KeysUnavailable):
        await keys.find("RS256", "k3")
    assert await keys.find("RS256", "k2")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), ("", "no JWK Set"), ('{"keys": []}', "no RSA or P-256 key")],
)
def test_a_file_without_keys_stops_the_start_in_words(
    tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=f"POSTWIRE_JWKS_FILE: .*{words}"):
        issuer.from_file(file)
