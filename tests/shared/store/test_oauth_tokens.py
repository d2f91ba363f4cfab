"""Access tokens in their rows, and who may ask for the next."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from postwire.model import Account
from postwire.store import accounts, oauth_tokens
from postwire.store.oauth_tokens import Tokens
from postwire.store.pool import Pool, transaction
from support import rows


def claim(store: Pool, account: Account, holder: str = "me") -> Tokens | None:
    with transaction(store) as connection:
        return oauth_tokens.claim(connection, account, holder)


def get(store: Pool, account: Account) -> Tokens | None:
    with transaction(store) as connection:
        return oauth_tokens.get(connection, account)


def keep(
    store: Pool,
    account: Account,
    used: bytes,
    *,
    access: bytes = b"access",
    refresh: bytes | None = None,
    fresh_for: float = 60,
) -> bool:
    with transaction(store) as connection:
        return oauth_tokens.keep(
            connection,
            account,
            used,
            access_token=access,
            refresh_token=refresh,
            fresh_for=fresh_for,
        )


def enter(store: Pool, account: Account, credential: bytes) -> Account:
    with transaction(store) as connection:
        return accounts.resume(connection, account.user_id, account.id, credential, "corp")


def test_one_alone_may_ask_until_it_has_an_answer(store: Pool) -> None:
    # Given an account, and many that need a token at once
    account = rows.active(store)
    with ThreadPoolExecutor(6) as threads:
        claimed = list(threads.map(lambda n: claim(store, account, f"holder-{n}"), range(6)))
    # Then one may ask, by the account's own credential
    assert [one for one in claimed if one] == [Tokens(account.credential, None, fresh=False)]
    # And when it has an answer, the others find it
    assert keep(store, account, account.credential)
    assert get(store, account) == Tokens(account.credential, b"access", fresh=True)
    assert claim(store, account, "next") is not None


def test_who_gets_nothing_lets_the_next_one_ask(store: Pool) -> None:
    # Given somebody who asks
    account = rows.active(store)
    claim(store, account, "one")
    with transaction(store) as connection:
        # When another lets go, that is nothing; when the one does, the next may ask
        oauth_tokens.let_go(connection, account, "other")
    assert claim(store, account, "two") is None
    with transaction(store) as connection:
        oauth_tokens.let_go(connection, account, "one")
    assert claim(store, account, "two") is not None


def test_who_has_died_over_it_holds_nobody_up(store: Pool) -> None:
    account = rows.active(store)
    claim(store, account, "dead")
    with transaction(store) as connection:
        connection.execute("UPDATE oauth_token SET held_until = now()")
    assert claim(store, account, "alive") is not None


def test_a_token_is_fresh_for_its_time(store: Pool) -> None:
    account = rows.active(store)
    claim(store, account)
    keep(store, account, account.credential, fresh_for=0)
    assert get(store, account) == Tokens(account.credential, b"access", fresh=False)


def test_the_latest_refresh_token_is_kept_and_no_earlier_one(store: Pool) -> None:
    # Given a refresh token that has become another
    account = rows.active(store)
    claim(store, account)
    assert keep(store, account, account.credential, refresh=b"second")
    # When one that has used the first comes late
    late = keep(store, account, account.credential, access=b"late", refresh=b"late")
    # Then that is not kept
    assert not late
    assert get(store, account) == Tokens(b"second", b"access", fresh=True)
    # And where the provider gives none, it stays the second
    assert keep(store, account, b"second", access=b"third")
    assert get(store, account) == Tokens(b"second", b"third", fresh=True)


def test_a_credential_that_was_entered_begins_anew(store: Pool) -> None:
    # Given tokens, and somebody who asks for more
    account = rows.active(store)
    claim(store, account)
    keep(store, account, account.credential, refresh=b"second")
    claim(store, account, "slow")
    # When the user enters another credential
    now = enter(store, account, b"entered")
    # Then there is nothing by it yet, and nobody is waited for
    assert get(store, now) is None
    assert claim(store, now, "new") == Tokens(b"entered", None, fresh=False)
    # And what comes for the former one is not kept, nor is it asked for again
    assert not keep(store, account, b"second", refresh=b"lost")
    assert claim(store, account, "slow") is None
    assert keep(store, now, b"entered")


def test_what_was_got_by_a_former_credential_is_forgotten(store: Pool) -> None:
    # Given tokens
    account = rows.active(store)
    claim(store, account)
    keep(store, account, account.credential)
    with transaction(store) as connection:
        # When nothing has changed, they stay
        oauth_tokens.forget(connection, account)
        assert oauth_tokens.get(connection, account) is not None
    # When another credential was entered, they go
    now = enter(store, account, b"entered")
    with transaction(store) as connection:
        oauth_tokens.forget(connection, now)
        assert oauth_tokens.get(connection, account) is None


def test_who_asks_while_the_account_is_removed_is_told_that_it_is_gone(store: Pool) -> None:
    # Given an account that is being removed
    account = rows.active(store)
    with ThreadPoolExecutor(1) as threads:
        with transaction(store) as connection:
            accounts.remove(connection, account.user_id, account.id)
            # When somebody claims it before that is committed
            claiming = threads.submit(claim, store, account)
            time.sleep(0.3)
            assert not claiming.done()
        # Then there is nothing to be had
        assert claiming.result(timeout=10) is None


def test_an_account_that_is_gone_has_no_tokens(store: Pool) -> None:
    account = rows.active(store)
    claim(store, account)
    with transaction(store) as connection:
        accounts.remove(connection, account.user_id, account.id)
    assert get(store, account) is None
    assert claim(store, account) is None
    assert not keep(store, account, account.credential)
