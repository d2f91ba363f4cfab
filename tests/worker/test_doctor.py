"""What the doctor finds at a mail server; once as a process, which finds us by our entry point."""

from __future__ import annotations

import pytest
from worker.conftest import KEYS, Accounts

from postwire.command.doctor import Ask
from postwire.model import Account, AccountState
from postwire.store import accounts
from postwire.store.pool import transaction
from postwire_demo.processes import HOST, free_port
from postwire_worker import doctor
from postwire_worker.runtime import Runtime
from support.command import postwire
from support.dovecot import Dovecot
from support.local import LOOPBACK
from support.mailbox import MailUser
from support.tinyproxy import PASSWORD, Tinyproxy


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, runtime: Runtime, dovecot: Dovecot) -> None:
    for name, value in {
        "DATABASE_URL": runtime.pool.conninfo,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CREDENTIAL_KEYS": KEYS,
        "ALLOWED_NETWORKS": LOOPBACK,
        "IMAP_CA_FILE": str(dovecot.ca_file),
    }.items():
        monkeypatch.setenv(f"POSTWIRE_{name}", value)


def told(
    address: str | None = None,
    *,
    account: Account | None = None,
    security: str | None = None,
    log_in: bool = False,
) -> list[str]:
    ask = Ask(address, account and account.id, security, log_in)
    return [f"{one.level} {one.what}: {one.todo}" for one in doctor.look(ask)]


def test_a_server_is_looked_at_by_a_process(dovecot: Dovecot) -> None:
    said = postwire(
        "doctor",
        "--imap",
        f"localhost:{dovecot.tls_port}",
        "--security=tls",
        allowed_networks="127.0.0.0/8,::1/128",
        imap_ca_file=dovecot.ca_file,
    )
    assert "ok imap: localhost leads to" in said.out
    assert f"ok imap: connected to 127.0.0.1, port {dovecot.tls_port}, TLSv1.3" in said.out
    assert "ok imap: before the login it announces AUTH=PLAIN" in said.out


def test_starttls_is_tried_where_nothing_else_is_said(dovecot: Dovecot) -> None:
    said = told(f"{HOST}:{dovecot.port}")
    assert any("TLSv1.3" in line for line in said), said
    # One day is left of the tests' certificate
    assert any(line.startswith("warn imap: its certificate is trusted") for line in said)
    bare = told(f"{HOST}:{dovecot.port}", security="none")
    assert any("without TLS: passwords go there in the clear" in line for line in bare)


def test_a_proxy_is_said_and_gone_through(
    tinyproxy: Tinyproxy, add_account: Accounts, user: MailUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a proxy, when an account is looked at that leads through it
    monkeypatch.setenv("POSTWIRE_MAIL_PROXY", tinyproxy.url)
    account = add_account.add(user, security="tls")
    said = told(account=account, log_in=True)
    # Then it is named, without its password, and both the look and the login went through it
    proxy = f"ok imap: the way there leads through the proxy {HOST}:{tinyproxy.port}: "
    assert said[1:2] == [proxy], said
    assert said[-1].startswith("ok imap: logged in")
    assert "canary" not in "".join(said)
    assert tinyproxy.asked == [f"{HOST}:{account.port}"] * 2

    # And one that does not let us in is told from a server that does not
    monkeypatch.setenv("POSTWIRE_MAIL_PROXY", tinyproxy.url.replace(PASSWORD, "other"))
    assert "wants another user name or password" in told(account=account)[-1]


def test_an_address_that_is_not_open_is_said(
    monkeypatch: pytest.MonkeyPatch, dovecot: Dovecot
) -> None:
    monkeypatch.delenv("POSTWIRE_ALLOWED_NETWORKS")
    (closed,) = told(f"{HOST}:{dovecot.tls_port}")
    assert closed == (
        f"fail imap: {HOST} leads to {HOST}, which is private or reserved: "
        "allow its network with POSTWIRE_ALLOWED_NETWORKS if it is to be reached"
    )


def test_a_certificate_that_is_not_trusted_is_said(
    monkeypatch: pytest.MonkeyPatch, dovecot: Dovecot
) -> None:
    monkeypatch.delenv("POSTWIRE_IMAP_CA_FILE")
    said = told(f"{HOST}:{dovecot.tls_port}", security="tls")
    assert said[-1].startswith("fail imap: no connection: The certificate of 127.0.0.1")


def test_where_nobody_is_and_what_is_no_address() -> None:
    (led, refused) = told(f"{HOST}:{free_port()}")
    assert led.startswith("ok imap: ")
    assert "refuses connections; check host and port." in refused
    assert told("no.such.host.invalid:993")[0].startswith("fail imap: there is no address of")
    for wrong in ("imap.example.com", "h:0", "h:99999", ":993", "a b:993"):
        (said,) = told(wrong)
        assert said.startswith("fail imap: not looked at: --imap: write HOST:PORT")


def test_an_account_logs_in_once_where_that_is_asked(add_account: Accounts, user: MailUser) -> None:
    account = add_account.add(user, security="tls")
    assert not any("logged in" in line for line in told(account=account))
    assert told(account=account, log_in=True)[-1] == "ok imap: logged in; there are 2 mailboxes: "
    wrong = add_account.add(user, owner="other", password="canary", security="tls")
    refused = told(account=wrong, log_in=True)[-1]
    assert refused.startswith("fail imap: the login was refused: ")
    assert "canary" not in refused


@pytest.mark.parametrize(
    ("state", "said"), [("auth_failed", "has refused this"), ("active", "wants to be left alone")]
)
def test_where_no_sync_would_log_in_it_does_not_either(
    add_account: Accounts, user: MailUser, runtime: Runtime, state: AccountState, said: str
) -> None:
    account = add_account.add(user, password="wrong", security="tls")
    with transaction(runtime.pool) as connection:
        accounts.set_state(connection, account, state, "No.")
        if state == "active":
            accounts.leave_alone(connection, account.id, 300, "Later.")
    assert said in told(account=account, log_in=True)[-1]


def test_keys_that_will_not_do_are_said(
    monkeypatch: pytest.MonkeyPatch, add_account: Accounts, user: MailUser
) -> None:
    account = add_account.add(user, security="tls")
    monkeypatch.setenv("POSTWIRE_CREDENTIAL_KEYS", f"k1:{'C' * 42}A=")
    said = told(account=account, log_in=True)[-1]
    assert said.startswith("fail imap: not looked at: the key k1 is another one than that")
