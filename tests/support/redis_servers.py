"""Redis as platform teams run it: by TLS alone, with few rights, behind Sentinels."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from postwire_demo.processes import HOST, free_port, spawn, stop, wait_until
from support.dovecot import write_certificate
from support.processes import eventually

#: What the manual has the operator include.
RIGHTS = Path(__file__).parents[2] / "deploy/redis/postwire.conf"
PASSWORD = "of-the-master"
SENTINEL_PASSWORD = "of-the-sentinels"
NAME = "Mail"


@contextmanager
def locked_redis(binary: str, folder: Path) -> Iterator[str]:
    """A Redis that lets in Postwire's own user alone, and only by TLS; yields that user's URL."""
    write_certificate(folder)
    certificate, port = folder / "server.pem", free_port()
    (folder / "rights.conf").write_text(RIGHTS.read_text().replace(">PASSWORD", f">{PASSWORD}"))
    settings = (
        f"bind {HOST}\nport 0\ntls-port {port}\ntls-cert-file {certificate}\n"
        f"tls-key-file {folder / 'server.key'}\ntls-ca-cert-file {certificate}\n"
        "tls-auth-clients no\n"
        f'dir "{folder}"\nsave ""\nmaxmemory 64mb\ninclude {folder / "rights.conf"}\n'
        "user default off\nuser look on nopass +acl|log +ping\n"
    )
    query = f"ssl_ca_certs={certificate}"
    with _running(binary, folder, settings, f"rediss://look@localhost:{port}?{query}"):
        yield f"rediss://postwire:{PASSWORD}@localhost:{port}/0?{query}"


def refused(url: str) -> list[str]:
    """What that server has refused to do so far."""
    look = url.replace(f"postwire:{PASSWORD}@", "look@")
    with redis.Redis.from_url(look) as client:
        return [f"{one['reason']}: {one['object']}" for one in client.acl_log()]


@dataclass(frozen=True, slots=True)
class Watched:
    """A master and its replica, with a Sentinel that puts the one in the other's place."""

    url: str
    master: subprocess.Popen[str]
    sentinel: redis.Redis

    def fail_over(self) -> None:
        """Kill the master, and wait until its replica has taken its place."""
        before = self.sentinel.sentinel_get_master_addr_by_name(NAME)  # type: ignore[no-untyped-call]
        self.master.kill()
        assert eventually(
            lambda: self.sentinel.sentinel_get_master_addr_by_name(NAME) != before,  # type: ignore[no-untyped-call]
            seconds=30,
        ), "the Sentinel does not put the replica in the master's place"


@contextmanager
def watched_redis(binary: str, folder: Path) -> Iterator[Watched]:
    """Run all three in `folder`; the URL names another Sentinel first, which is not there."""
    ports = [free_port() for _ in range(3)]
    first, second, sentinel = ports
    common = f'requirepass {PASSWORD}\nmasterauth {PASSWORD}\nsave ""\nrepl-diskless-sync-delay 0\n'
    watching = (
        f"requirepass {SENTINEL_PASSWORD}\nsentinel monitor {NAME} {HOST} {first} 1\n"
        f"sentinel auth-pass {NAME} {PASSWORD}\nsentinel down-after-milliseconds {NAME} 1000\n"
        f"sentinel failover-timeout {NAME} 5000\n"
    )
    with ExitStack() as stack:

        def run(name: str, port: int, settings: str, password: str) -> subprocess.Popen[str]:
            within = folder / name
            within.mkdir()
            settings = f'bind {HOST}\nport {port}\ndir "{within}"\n{settings}'
            url = f"redis://:{password}@{HOST}:{port}"
            return stack.enter_context(_running(binary, within, settings, url))

        master = run("master", first, common, PASSWORD)
        run("replica", second, f"{common}replicaof {HOST} {first}\n", PASSWORD)
        _until_replicated(second)
        run("sentinel", sentinel, watching, SENTINEL_PASSWORD)
        asked = stack.enter_context(
            redis.Redis(HOST, sentinel, password=SENTINEL_PASSWORD, decode_responses=True)
        )
        assert eventually(lambda: asked.sentinel_slaves(NAME), seconds=20)  # type: ignore[no-untyped-call]
        hosts = f"{HOST}:{free_port()},{HOST}:{sentinel}"
        yield Watched(
            f"redis+sentinel://:{PASSWORD}@{hosts}/{NAME}/0?sentinel_password={SENTINEL_PASSWORD}",
            master,
            asked,
        )


def _until_replicated(port: int) -> None:
    with redis.Redis(HOST, port, password=PASSWORD) as replica:
        assert eventually(lambda: replica.info("replication")["master_link_status"] == "up", 20), (
            "the replica does not follow"
        )


@contextmanager
def _running(binary: str, folder: Path, settings: str, url: str) -> Iterator[subprocess.Popen[str]]:
    file = folder / "redis.conf"
    file.write_text(settings)
    kind = ["--sentinel"] if "sentinel monitor" in settings else []
    log = folder / "log"
    process = spawn([binary, str(file), *kind], log)
    try:
        wait_until(lambda: _pongs(url), process, "Redis", log)
        yield process
    finally:
        stop(process, signal.SIGTERM, seconds=5)


def _pongs(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
