"""The API as the process that is deployed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis

from postwire.credentials import make_keyring
from postwire.model import Account, AccountId
from postwire.store import accounts, removal
from postwire.store.pool import Pool, make_pool, transaction
from postwire_api.rates import WRONG_TOKENS
from postwire_demo.processes import accepts, free_port
from support import rows
from support.jwt import JWT_SECRET, REALTIME_SECRET, bearer
from support.processes import eventually

KEYS = "k1:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


@dataclass
class Api:
    """A running process."""

    process: subprocess.Popen[str]
    client: httpx.Client
    ops: httpx.Client
    log: Path


def environment(database_url: str, redis_url: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "POSTWIRE" not in name}
    return inherited | {
        "POSTWIRE_DATABASE_URL": database_url,
        "POSTWIRE_REDIS_URL": redis_url,
        "POSTWIRE_JWT_SECRET": JWT_SECRET,
        "POSTWIRE_REALTIME_SECRET": REALTIME_SECRET,
        "POSTWIRE_CREDENTIAL_KEYS": KEYS,
        "POSTWIRE_API_HOST": "127.0.0.1",
        "POSTWIRE_API_PORT": str(free_port()),
        "POSTWIRE_OPS_HOST": "127.0.0.1",
        "POSTWIRE_OPS_PORT": str(free_port()),
    }


@contextmanager
def running(env: dict[str, str], log: Path) -> Iterator[Api]:
    """The API with these settings, until the block ends."""
    port, ops = int(env["POSTWIRE_API_PORT"]), int(env["POSTWIRE_OPS_PORT"])
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "postwire_api"], env=env, stdout=output, stderr=output, text=True
        )
    try:
        assert eventually(lambda: accepts(port) and accepts(ops), 30), log.read_text()
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
            httpx.Client(base_url=f"http://127.0.0.1:{ops}", timeout=20) as ops_client,
        ):
            yield Api(process, client, ops_client, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """The API over servers that answer."""
    with running(environment(database_url, redis_url), tmp_path / "log") as api:
        yield api


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "POSTWIRE_CREDENTIAL_KEYS: is missing; set it"),
        (f"{'C' * 42}A=", "is another one than that which credentials were sealed with"),
    ],
)
def test_without_the_key_that_credentials_were_sealed_with_it_does_not_start(
    database_url: str, redis_url: str, key: str, said: str
) -> None:
    # Given an account whose password was sealed
    id_ = AccountId(str(uuid4()))
    keyring = make_keyring(KEYS)
    with make_pool(database_url, 1) as store, transaction(store) as connection:
        accounts.add(
            connection,
            id_,
            user_id="ann",
            address="ann@example.com",
            host="imap.example.com",
            port=993,
            security="tls",
            username="ann",
            credential=keyring.seal(id_, "secret"),
            window_days=30,
        )
    # When the API is started with another key of that id, or with none
    env = environment(database_url, redis_url)
    ended = subprocess.run(
        [sys.executable, "-m", "postwire_api"],
        env=env | {"POSTWIRE_CREDENTIAL_KEYS": key and f"{keyring.current}:{key}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    # Then it says so and ends
    assert ended.returncode == 2
    assert said in ended.stderr
    assert not key or key not in ended.stderr


def test_the_process_serves_says_that_it_does_and_ends_well(api: Api) -> None:
    # When the process is asked how it is
    ready, live = api.ops.get("/health/ready"), api.ops.get("/health/live")
    # Then it names each check
    assert ready.status_code == 200
    assert ready.json() == {"status": "ok", "checks": {"postgresql": "ok", "redis": "ok"}}
    assert live.json() == {"status": "ok", "checks": {"event loop": "ok"}}
    # And it answers, without saying what it is made of, and counts
    answer = api.client.get("/api/accounts", headers=bearer())
    assert answer.status_code == 200
    assert "server" not in answer.headers
    assert 'route="/api/accounts"' in api.ops.get("/metrics").text
    # When it is asked to stop, with a connection kept open
    began = time.monotonic()
    api.process.send_signal(signal.SIGTERM)
    # Then it ends soon and well
    assert api.process.wait(10) == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in api.log.read_text()


def test_an_interrupt_ends_it_well_too(api: Api) -> None:
    # When somebody presses Ctrl-C
    api.process.send_signal(signal.SIGINT)
    # Then that is no error
    assert api.process.wait(10) == 0
    assert "Traceback" not in api.log.read_text()


def test_no_secret_is_ever_logged(api: Api) -> None:
    # When requests come with secrets in every place they could be in
    token = bearer()["Authorization"]
    api.client.get("/api/accounts?token=in-the-query", headers={"Authorization": token})
    api.client.get("/api/accounts", headers={"Authorization": "Bearer not-even-valid"})
    api.client.put(
        "/api/accounts/x/credential", json={"password": "hunter2"}, headers={"Authorization": token}
    )
    api.client.post("/api/accounts", content=b'{"password": "hunter2"', headers=bearer())
    # Then none is in the log
    log = api.log.read_text()
    for secret in (token, "in-the-query", "not-even-valid", "hunter2", JWT_SECRET, KEYS):
        assert secret not in log


def test_a_paused_redis_takes_neither_reads_nor_readiness_away(
    api: Api, database_url: str, redis_url: str
) -> None:
    # Given an account, and a Redis that answers nothing for a while
    store = make_pool(database_url, 1)
    rows.active(store)
    store.close()
    api.client.get("/api/accounts", headers=bearer())
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(4000)
        # When a sync is asked for again and again
        took = []
        for _ in range(3):
            began = time.monotonic()
            answer = api.client.post("/api/email/sync", headers=bearer())
            took.append(time.monotonic() - began)
            assert answer.json()["message"].startswith("Sync queued; it starts as soon as")
        # Then each is answered within a second
        assert max(took) < 1
        # And the process is ready, says what is wrong, and reads as fast as ever
        ready = api.ops.get("/health/ready")
        assert ready.status_code == 200
        assert "does not answer" in ready.json()["checks"]["redis"]
        began = time.monotonic()
        assert api.client.get("/api/accounts", headers=bearer()).status_code == 200
        assert time.monotonic() - began < 0.5
        # And it ends in time all the same
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(10) == 0


def test_without_its_database_the_process_lives_and_is_not_ready(
    redis_url: str, tmp_path: Path
) -> None:
    # Given a database that is not there
    env = environment("postgresql://127.0.0.1:1/none", redis_url)
    with running(env, tmp_path / "log") as api:
        # Then no traffic is wanted, and a restart would not help
        ready = api.ops.get("/health/ready")
        assert ready.status_code == 503
        assert "does not answer" in ready.json()["checks"]["postgresql"]
        assert api.ops.get("/health/live").status_code == 200
        assert api.client.get("/api/accounts", headers=bearer()).status_code == 503
        # And it still ends in time
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(10) == 0


def test_a_query_that_hangs_does_not_keep_the_process_from_ending(
    api: Api, database_url: str
) -> None:
    # Given a table that somebody has locked, and a request that waits for it
    with psycopg.connect(database_url) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute("LOCK TABLE account")
        waiting = threads.submit(api.client.get, "/api/accounts", headers=bearer())
        assert eventually(
            lambda: connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone()
        )
        # When the process is asked to stop
        api.process.send_signal(signal.SIGTERM)
        # Then it does not wait for the end of that
        assert api.process.wait(10) == 0
        assert isinstance(waiting.exception(10), httpx.HTTPError) or waiting.result().is_error


def run_until_it_ends(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "postwire_api"],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_settings_that_cannot_be_used_end_it_with_all_problems_in_words() -> None:
    # Given settings that lack one thing, and are wrong in two
    env = environment("postgresql://127.0.0.1:1/none", "redis://127.0.0.1:1/0")
    del env["POSTWIRE_DATABASE_URL"]
    env |= {"POSTWIRE_JWT_SECRET": "shorty", "POSTWIRE_WEBDIR": "typo"}
    # When the process starts
    ended = run_until_it_ends(env)
    # Then it says all of it at once, and not the values
    assert ended.returncode == 2
    for words in ("POSTWIRE_DATABASE_URL: is missing", "POSTWIRE_JWT_SECRET", "POSTWIRE_WEBDIR"):
        assert words in ended.stderr
    assert "shorty" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_web_folder_without_a_page_ends_it_in_words(tmp_path: Path) -> None:
    # Given a folder that was not built
    env = environment("postgresql://127.0.0.1:1/none", "redis://127.0.0.1:1/0")
    # When the process starts
    ended = run_until_it_ends(env | {"POSTWIRE_WEB_DIR": str(tmp_path)})
    # Then it says what to do
    assert ended.returncode == 2
    assert "build the page" in ended.stderr


def long_attachment(store: Pool, account: Account) -> bytes:
    """Keep an attachment that is longer than what may lie between the API and its reader."""
    message = replace(rows.incoming(1), attachments=(rows.attachment(),))
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), message))
    data = os.urandom(32 * 2**20)
    rows.keep(store, 1, 1, data)
    return data


def remove_unneeded(store: Pool) -> list[str | None]:
    """What became of the contents, all being due."""
    found: list[str | None] = []
    with transaction(store) as connection:
        connection.execute("UPDATE content SET due_at = now()")
        while due := removal.take(connection):
            found.append(removal.settle(connection, due))
    return found


def test_who_reads_an_attachment_while_its_message_goes_gets_it_whole_or_knows_better(
    api: Api, database_url: str
) -> None:
    # Given somebody in the middle of an attachment
    store = make_pool(database_url, 2)
    data = long_attachment(store, rows.active(store))
    path, header = "/api/messages/1/attachments/1", bearer("ann")
    with api.client.stream("GET", path, headers=header) as answer:
        pieces = answer.iter_raw()
        read = next(pieces)
        # When its message is expunged, and what nobody needs is removed
        with transaction(store) as connection:
            connection.execute("UPDATE message SET expunged_at = now()")
        assert remove_unneeded(store) == [None]
        # Then the reader gets the rest, though the next one finds nothing
        assert api.client.get(path, headers=header).status_code == 404
        assert read + b"".join(pieces) == data

    # And who has not come to the end when the day is over is cut off, and not told it was the end
    with transaction(store) as connection:
        connection.execute("UPDATE message SET expunged_at = NULL")
    with api.client.stream("GET", path, headers=header) as answer:
        assert answer.headers["content-length"] == str(len(data))
        pieces = answer.iter_raw()
        next(pieces)
        with transaction(store) as connection:
            connection.execute("UPDATE message SET expunged_at = now() - interval '25 hours'")
        assert remove_unneeded(store) == ["unneeded"]
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            b"".join(pieces)
    store.close()


def use_up(redis_url: str, address: str) -> None:
    """Let the address have sent as many wrong tokens as it may, in this minute and the next."""
    minute = int(time.time()) // 60
    with redis.Redis.from_url(redis_url) as client:
        for one in (minute, minute + 1):
            client.set(f"postwire:rate:tokens:{address}:{one}", WRONG_TOKENS)


def guess(api: Api, forwarded: str) -> int:
    headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": forwarded}
    return api.client.get("/api/accounts", headers=headers).status_code


def ask(api: Api, forwarded: str) -> int:
    headers = bearer() | {"X-Forwarded-For": forwarded}
    return api.client.get("/api/accounts", headers=headers).status_code


def test_a_forged_address_helps_nobody_to_guess_tokens(api: Api, redis_url: str) -> None:
    # Given someone who has guessed as often as is allowed
    use_up(redis_url, "127.0.0.1")
    # When they go on, from another address each time, as the header says
    addresses = (f"192.0.2.{n}" for n in range(250))
    assert eventually(lambda: guess(api, next(addresses)) == 429)
    # Then it is all the same address
    assert ask(api, "192.0.2.251") == 429


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_the_address_is_the_one_that_a_trusted_proxy_names(
    host: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    env = environment(database_url, redis_url)
    env |= {"POSTWIRE_TRUSTED_PROXIES": "127.0.0.0/8", "POSTWIRE_API_HOST": host}
    with running(env, tmp_path / "log") as api:
        use_up(redis_url, "192.0.2.1")
        # When someone behind the proxy guesses, and claims to pass others' requests on
        claims = (f"198.51.100.{n}, 192.0.2.1" for n in range(250))
        assert eventually(lambda: guess(api, next(claims)) == 429)
        # Then the one whom the proxy saw is refused, and nobody else
        assert ask(api, "198.51.100.251, 192.0.2.1") == 429
        assert ask(api, "192.0.2.2") == 200


def test_a_body_that_does_not_say_its_length_is_too_large_all_the_same(api: Api) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 65_536

    # When a body comes in chunks that do not end
    try:
        answer = api.client.post("/api/email/sync", content=pieces(), headers=bearer())
    except httpx.WriteError:
        # Then it is refused before all of it was read
        assert sent < 1000
    else:
        assert answer.status_code == 413


@pytest.mark.parametrize("head", [b"GET /", b"GET /?q=", b"GET / HTTP/1.1\r\nX: "])
def test_an_endless_path_query_or_header_is_refused_and_harms_nobody(api: Api, head: bytes) -> None:
    port = api.client.base_url.port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
        # When a request is begun that would never end
        with suppress(ConnectionError):
            stranger.sendall(head)
            for _ in range(100):
                stranger.sendall(b"x" * 65_536)
        # Then it is refused, and its rest not read
        with suppress(ConnectionError):
            assert stranger.recv(100).startswith(b"HTTP/1.1 400")
    # And the API goes on
    assert api.client.get("/api/accounts", headers=bearer()).status_code == 200
