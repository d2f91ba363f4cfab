"""Logging in by OAuth: against a provider of our own, and a Dovecot that asks it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from worker.conftest import KEYS, Accounts

from postwire import keys
from postwire.credentials import make_keyring
from postwire.errors import (
    AuthenticationFailed,
    CapabilityMissing,
    CredentialUnreadable,
    NotFound,
    ServerBusy,
    TransientError,
)
from postwire.model import Account
from postwire.store import accounts, oauth_tokens
from postwire.store.pool import transaction
from postwire_worker import access as module
from postwire_worker import client, imap
from postwire_worker.access import access_token, open_session
from postwire_worker.runtime import Runtime
from support.fake_imap import capabilities, fake_imap
from support.mailbox import MailUser
from support.processes import eventually
from support.sso import Sso, saying


@contextmanager
def opened(runtime: Runtime, account: Account) -> Iterator[list[str]]:
    session = open_session(runtime, account)
    try:
        yield [listed.name for listed in session.list_mailboxes()]
    finally:
        session.log_out()


def enter(runtime: Runtime, account: Account, refresh_token: str) -> Account:
    """The user enters another refresh token."""
    sealed = runtime.keyring.seal(account.id, refresh_token, "refresh token")
    with transaction(runtime.pool) as connection:
        return accounts.resume(connection, account.user_id, account.id, sealed, "corp")


def make_due(runtime: Runtime) -> None:
    """As if the time of the access tokens had come."""
    with transaction(runtime.pool) as connection:
        connection.execute("UPDATE oauth_token SET fresh_until = now()")


def nobody_asks(runtime: Runtime) -> bool:
    with transaction(runtime.pool) as connection:
        held = connection.execute("SELECT holder FROM oauth_token WHERE holder IS NOT NULL")
        return held.fetchone() is None


@pytest.fixture
def account(oauth_accounts: Accounts, granter: MailUser, sso: Sso) -> Account:
    """An account by a grant to `corp`."""
    return oauth_accounts.add(granter, grant=sso.grant(granter.name))


def test_dovecot_lets_us_in_by_a_token_that_is_used_again(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    # Given an account that has a grant
    # When it is logged in twice
    for _ in range(2):
        with opened(oauth_runtime, account) as names:
            # Then the mailboxes are the user's
            assert "INBOX" in names
    # And the provider was asked once, as RFC 6749 §6 has it
    (form,) = sso.asked
    assert form["grant_type"] == "refresh_token"
    assert form["scope"] == "mail"
    assert nobody_asks(oauth_runtime)


@pytest.mark.parametrize("announced", ["OAUTHBEARER", "XOAUTH2"])
def test_either_mechanism_will_do(
    oauth_runtime: Runtime,
    account: Account,
    announced: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a server that announces one mechanism, over TLS
    other = {"OAUTHBEARER": "XOAUTH2", "XOAUTH2": "OAUTHBEARER"}[announced]
    able = client.Client.has_capability
    monkeypatch.setattr(
        client.Client,
        "has_capability",
        lambda self, name: name != f"AUTH={other}" and able(self, name),
    )
    # When the account is logged in, it is let in
    with opened(oauth_runtime, account) as names:
        assert "INBOX" in names
    # And a token that is refused by it is refused in words, with the status that the server gave
    with pytest.raises(AuthenticationFailed, match=r"\((401|invalid_token)\); connect") as raised:
        imap.open_session(account, "canary-nonsense", oauth_runtime.dialer)
    assert "canary" not in str(raised.value)


def test_a_token_is_replaced_before_its_end(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    # Given a token whose time has come
    first, _ = access_token(oauth_runtime, account)
    make_due(oauth_runtime)
    # When one is needed
    second, cached = access_token(oauth_runtime, account)
    # Then it is a new one
    assert (second != first, cached, len(sso.asked)) == (True, False, 2)


@pytest.mark.parametrize(
    ("expires_in", "fresh_for"),
    [(3600, 3300), (60, 30), (1e9, 86400 - 300), (-5, 0), ("3600", 3300), (None, 3300)],
)
def test_five_minutes_are_left_or_half_of_the_time(
    oauth_runtime: Runtime, account: Account, sso: Sso, expires_in: object, fresh_for: float
) -> None:
    # Given a provider whose tokens last for so long
    sso.misbehaves = saying(200, {"access_token": "t", "expires_in": expires_in})
    # When one is asked for
    access_token(oauth_runtime, account)
    # Then it is used until shortly before its end
    with transaction(oauth_runtime.pool) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM fresh_until - now()) FROM oauth_token"
        ).fetchone()
    assert row is not None
    assert float(row[0]) == pytest.approx(fresh_for, abs=20)


def test_a_token_that_was_withdrawn_before_its_time_is_replaced_once(
    oauth_runtime: Runtime, account: Account, granter: MailUser, sso: Sso
) -> None:
    # Given a token in use that the provider has ended
    with opened(oauth_runtime, account):
        pass
    sso.end_access(granter.name)
    # When the account is logged in
    with opened(oauth_runtime, account) as names:
        # Then a new one was got, and lets us in
        assert "INBOX" in names
    assert len(sso.asked) == 2


def test_a_refusal_counts_when_the_token_is_new(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    # Given a grant of somebody else's mail
    sso.grants = dict.fromkeys(sso.grants, "other@postwire.example")
    # When the account is logged in, first with a new token and then with a kept one
    for asked in (1, 2):
        with pytest.raises(AuthenticationFailed, match="connect the account again"):
            open_session(oauth_runtime, account)
        # Then there is no more than one new token each time
        assert len(sso.asked) == asked


def test_a_grant_that_was_withdrawn_is_said_in_words(
    oauth_runtime: Runtime, account: Account, granter: MailUser, sso: Sso
) -> None:
    sso.withdraw(granter.name)
    with pytest.raises(AuthenticationFailed) as raised:
        open_session(oauth_runtime, account)
    assert str(raised.value) == "Access was withdrawn; connect the account again."
    assert nobody_asks(oauth_runtime)


def test_a_refresh_token_that_rotates_is_kept(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    # Given a provider whose refresh tokens are good once
    sso.rotates = True
    # When tokens are needed again and again
    for _ in range(3):
        access_token(oauth_runtime, account)
        make_due(oauth_runtime)
    # Then each was got by the one before
    used = [form["refresh_token"] for form in sso.asked]
    assert len(set(used)) == 3
    # And the account's own credential, by which one sees what its user does, is as it was
    with transaction(oauth_runtime.pool) as connection:
        assert accounts.get(connection, account.id).credential == account.credential
        row = connection.execute("SELECT * FROM oauth_token").fetchone()
    # And nothing lies open
    assert b"canary" not in repr(row).encode()


def test_the_key_is_changed_while_accounts_are_logged_in_to(
    oauth_runtime: Runtime,
    oauth_accounts: Accounts,
    granter: MailUser,
    sso: Sso,
) -> None:
    # Given accounts by password and by refresh tokens that are good once, all in use
    sso.rotates = True
    both = make_keyring(f"k2:{'B' * 42}A=,{KEYS}")
    runtime = replace(oauth_runtime, keyring=both)
    some = [oauth_accounts.add(granter, owner=f"granter-{n}", grant=sso.grant(granter.name))
            for n in range(3)]  # fmt: skip
    some += [oauth_accounts.add(granter, owner=f"user-{n}") for n in range(3)]
    ended = threading.Event()

    def keep_logging_in(account: Account) -> int:
        """By the account as it was read once, as a run of a job does."""
        logins = 0
        while not ended.is_set() or not logins:
            with suppress(TransientError), opened(runtime, account):
                logins += 1
            if account.oauth_provider:
                with transaction(runtime.pool) as connection:
                    connection.execute(
                        "UPDATE oauth_token SET fresh_until = now() WHERE account_id = %s",
                        [account.id],
                    )
        return logins

    with ThreadPoolExecutor(len(some)) as threads:
        users = [threads.submit(keep_logging_in, account) for account in some]
        # When the key is changed to and fro
        rotations = [
            keys.rotate(runtime.pool, replace(both, current=current), lambda _: None)
            for current in ("k2", "k1", "k2")
        ]
        ended.set()
        # Then nobody was refused, though many a refresh token was used up meanwhile
        assert all(user.result(60) for user in users)
    assert [(one.done >= 6, one.unreadable, one.busy) for one in rotations] == [
        (True, {}, set())
    ] * 3
    # And with the new key alone all go on
    keys.rotate(runtime.pool, both, lambda _: None)
    alone = replace(runtime, keyring=make_keyring(f"k2:{'B' * 42}A="))
    for account in some:
        with opened(alone, oauth_accounts.get(account)) as names:
            assert "INBOX" in names


def test_two_that_need_a_token_at_once_ask_once(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    # Given a provider that takes a moment, whose refresh tokens are good once
    sso.delay, sso.rotates = 0.5, True
    others = [replace(oauth_runtime, holder=f"worker-{n}") for n in range(4)]
    # When several processes need a token
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: access_token(one, account), others))
    # Then one has asked, and all have the same
    assert len(sso.asked) == 1
    assert len({token for token, _ in found}) == 1
    assert sorted(cached for _, cached in found) == [False, True, True, True]


def test_nobody_waits_for_ever_for_one_that_asks(
    oauth_runtime: Runtime, account: Account, sso: Sso, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that asks, and has died over it
    with transaction(oauth_runtime.pool) as connection:
        assert oauth_tokens.claim(connection, account, "dead")
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    # When a token is needed
    # Then that is given up after a while
    with pytest.raises(TransientError, match="takes too long"):
        access_token(oauth_runtime, account)
    # And once the hold has run out, there is one
    with transaction(oauth_runtime.pool) as connection:
        connection.execute("UPDATE oauth_token SET held_until = now()")
    access_token(oauth_runtime, account)
    assert len(sso.asked) == 1


def test_what_the_user_enters_meanwhile_is_not_overwritten(
    oauth_runtime: Runtime, account: Account, granter: MailUser, sso: Sso
) -> None:
    # Given a token that is being asked for
    sso.delay, sso.rotates = 0.8, True
    entered = sso.grant(granter.name)
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(access_token, oauth_runtime, account)
        assert eventually(lambda: not nobody_asks(oauth_runtime))
        # When the user enters another refresh token
        now = enter(oauth_runtime, account, entered)
        # Then whoever has asked gets an answer
        earlier, _ = asking.result(timeout=20)
    # And from now on it is the user's that counts
    later, cached = access_token(oauth_runtime, now)
    assert (later != earlier, cached) == (True, False)
    assert sso.asked[-1]["refresh_token"] == entered
    # And a run that has begun before gets no further, nor changes anything
    with pytest.raises(TransientError, match="connected anew"):
        access_token(oauth_runtime, account)
    assert access_token(oauth_runtime, now) == (later, True)


def test_who_was_held_up_does_not_take_a_rotated_token_for_a_withdrawn_one(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    # Given a process that was held up for so long that another has asked
    sso.rotates = True
    with transaction(oauth_runtime.pool) as connection:
        before = oauth_tokens.claim(connection, account, "held up")
        connection.execute("UPDATE oauth_token SET held_until = now()")
    assert before is not None
    token, _ = access_token(oauth_runtime, account)
    # When it asks after all
    # Then it is told to try again, for the account is well
    with pytest.raises(TransientError, match="meanwhile"):
        module._refresh(oauth_runtime, account, before)
    assert access_token(oauth_runtime, account) == (token, True)


def test_what_was_given_is_written_down_although_the_database_was_away(
    oauth_runtime: Runtime, account: Account, sso: Sso, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a provider whose refresh tokens are good once, and a database that ends connections
    # while it is asked
    sso.rotates, sso.delay = True, 0.5
    monkeypatch.setattr(module, "_AGAIN", (0.1, 0.5, 2.0))
    kept, keep = [], oauth_tokens.keep

    def interrupted(
        connection: psycopg.Connection[tuple[object, ...]], *args: Any, **named: Any
    ) -> bool:
        if not kept:
            kept.append("interrupted")
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            connection.execute("SELECT 1")
        return keep(connection, *args, **named)

    monkeypatch.setattr(oauth_tokens, "keep", interrupted)
    # When a token is asked for
    token, _ = access_token(oauth_runtime, account)
    # Then it is there, and so is what the next is got by
    assert kept
    assert access_token(oauth_runtime, account) == (token, True)
    make_due(oauth_runtime)
    access_token(oauth_runtime, account)


def test_an_account_that_is_removed_meanwhile_is_gone(
    oauth_runtime: Runtime, account: Account
) -> None:
    with transaction(oauth_runtime.pool) as connection:
        accounts.remove(connection, account.user_id, account.id)
    with pytest.raises(NotFound):
        access_token(oauth_runtime, account)


def test_a_provider_that_the_operator_has_not_named_is_no_fault_of_the_users(
    oauth_runtime: Runtime, account: Account
) -> None:
    unnamed = replace(oauth_runtime, providers={})
    with pytest.raises(TransientError, match="does not name corp"):
        open_session(unnamed, account)
    assert nobody_asks(oauth_runtime)


def test_a_server_without_oauth_is_said_in_words_and_sees_no_token(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    # Given a server that takes passwords only
    with fake_imap(capabilities("IMAP4rev1", "AUTH=PLAIN")) as server:
        account = oauth_accounts.add(
            granter, grant=sso.grant(granter.name), host=server.host, port=server.port
        )
        # When the account is logged in
        # Then that is said, and nothing was sent
        with pytest.raises(CapabilityMissing, match="no OAuth"):
            open_session(oauth_runtime, account)
    assert not server.heard("AUTHENTICATE|LOGIN")


def test_a_refresh_token_is_never_sent_as_a_password(
    oauth_runtime: Runtime, account: Account
) -> None:
    # Given a release that knows nothing of OAuth, or a row that has lost its provider
    elder = replace(account, oauth_provider=None)
    # Then there is no password
    with pytest.raises(CredentialUnreadable):
        open_session(oauth_runtime, elder)


def test_a_password_is_no_refresh_token(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    account = replace(oauth_accounts.add(granter), oauth_provider="corp")
    with pytest.raises(CredentialUnreadable, match="connect the account again"):
        open_session(oauth_runtime, account)
    assert sso.asked == []
    assert nobody_asks(oauth_runtime)


def test_passwords_are_as_they_were(
    oauth_runtime: Runtime, oauth_accounts: Accounts, granter: MailUser, sso: Sso
) -> None:
    with opened(oauth_runtime, oauth_accounts.add(granter)) as names:
        assert "INBOX" in names
    assert sso.asked == []


def test_no_secret_is_logged_or_shown(
    oauth_runtime: Runtime,
    account: Account,
    granter: MailUser,
    sso: Sso,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Given a log that would take everything
    caplog.set_level(logging.DEBUG)
    # When there is a login, a refused one and a provider that makes no sense
    with opened(oauth_runtime, account):
        pass
    sso.end_access(granter.name)
    sso.misbehaves = saying(400, {"error": "canary", "error_description": "canary"})
    with pytest.raises(TransientError) as raised:
        open_session(oauth_runtime, account)
    # Then nothing of it is anywhere
    assert "canary" not in caplog.text
    assert "canary" not in str(raised.value)


def test_a_provider_that_asks_to_wait_is_obeyed(
    oauth_runtime: Runtime, account: Account, sso: Sso
) -> None:
    sso.misbehaves = saying(429, b"", {"Retry-After": "77"})
    with pytest.raises(ServerBusy) as raised:
        open_session(oauth_runtime, account)
    assert raised.value.retry_after == 77
    assert nobody_asks(oauth_runtime)
