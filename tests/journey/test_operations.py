"""What whoever runs Postwire sees of it while it runs."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from postwire.credentials import make_keyring
from postwire.model import AccountId
from postwire.store import accounts, jobs
from postwire.store.pool import Pool, make_pool, transaction
from postwire_demo.processes import accepts, free_port
from support.command import postwire
from support.dovecot import Dovecot
from support.local import LOOPBACK
from support.mailbox import MailUser, letter
from support.processes import eventually
from support.service import Process, process, start

K1 = f"k1:{'A' * 43}="
MODULES = ("postwire_worker", "postwire_worker.watcher")


@pytest.fixture
def settings(database_url: str, redis_url: str, dovecot: Dovecot) -> Mapping[str, str]:
    """What all processes are set to."""
    return {
        "database_url": database_url,
        "redis_url": redis_url,
        "credential_keys": K1,
        "realtime_secret": secrets.token_urlsafe(32),
        "ops_host": "127.0.0.1",
        "ops_port": "0",
        "gateway_host": "127.0.0.1",
        "gateway_port": str(free_port()),
        "allowed_networks": LOOPBACK,
        "imap_ca_file": str(dovecot.ca_file),
    }


@pytest.fixture
def running(settings: Mapping[str, str], tmp_path: Path) -> Iterator[dict[str, Process]]:
    """All of Postwire that has no page."""
    with ExitStack() as stack, (tmp_path / "gateway.log").open("wb") as log:
        gateway = start("postwire_gateway", settings, log.fileno())
        stack.callback(gateway.wait, 30)
        stack.callback(gateway.kill)
        workers = {
            module: stack.enter_context(process(module, settings, tmp_path)) for module in MODULES
        }
        assert eventually(lambda: accepts(int(settings["gateway_port"])), 30)
        yield workers


def add(store: Pool, user: MailUser) -> AccountId:
    """The user's account, and a job that somebody waits for."""
    id_ = AccountId(str(uuid4()))
    with transaction(store) as connection:
        accounts.add(
            connection,
            id_,
            user_id="ann",
            address=user.name,
            host=user.server.host,
            port=user.server.tls_port,
            security="tls",
            username=user.name,
            credential=make_keyring(K1).seal(id_, user.server.password),
            window_days=30,
        )
        jobs.ask(connection, id_, "ann", "manual")
    return id_


def test_the_story_and_the_doctor_while_all_is_well_and_when_workers_die(
    settings: Mapping[str, str], running: dict[str, Process], dovecot: Dovecot
) -> None:
    # Given an account with mail, on a Postwire that runs
    user = MailUser(dovecot, dovecot.new_user())
    user.append(letter("canary-subject"), letter("Second"))
    with make_pool(settings["database_url"], 1) as store:
        id_ = add(store, user)

    def story() -> str:
        return postwire("account", "explain", id_, **settings).out

    def settled() -> bool:
        said = story()
        return "connections idle, since" in said and "jobs completed" in said

    # Then its story is that of an account that is well
    assert eventually(settled, 60), story()
    said = story()
    assert "state active since" in said
    assert "INBOX: 2 stored, 2 on the server, 0 set aside" in said
    assert "canary" not in said
    # And the doctor finds nothing that fails, up to the account's login
    well = postwire("doctor", "--account", user.name, "--login", **settings)
    assert (well.code, "fail" in well.out) == (0, False), well.stdout
    assert "ok processes: sync-workers alive: 1" in well.out
    assert "ok processes: gateways that listen: 1" in well.out
    assert "ok imap: logged in; there are 2 mailboxes" in well.out
    # When the sync-worker is gone, it says so
    running["postwire_worker"].stop(signal.SIGTERM)
    ill = postwire("doctor", **settings)
    assert ill.code == 1
    assert "fail processes: no sync-workers alive: start one" in ill.out
