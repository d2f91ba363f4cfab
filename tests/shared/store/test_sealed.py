"""What is sealed, in the order in which it is sealed again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from postwire.model import Account
from postwire.store import accounts, oauth_tokens, sealed
from postwire.store.pool import Pool, transaction
from postwire.store.sealed import Secrets
from support import rows


def given(store: Pool, credential: bytes, address: str = "ann@example.com") -> Account:
    account = rows.active(store, address=address)
    with transaction(store) as connection:
        return accounts.resume(connection, account.user_id, account.id, credential, "corp")


def claim(store: Pool, account: Account) -> oauth_tokens.Tokens | None:
    with transaction(store) as connection:
        return oauth_tokens.claim(connection, account, "me")


def got(store: Pool, account: Account, refresh: bytes | None, access: bytes) -> None:
    with transaction(store) as connection:
        oauth_tokens.claim(connection, account, "me")
        oauth_tokens.keep(
            connection,
            account,
            account.credential,
            access_token=access,
            refresh_token=refresh,
            fresh_for=60,
        )


def test_accounts_that_are_behind_come_in_order_and_in_pieces(store: Pool) -> None:
    # Given accounts, of which one is done, and one has an old token only
    olds = [given(store, b"k1\0x", f"{n}@example.com") for n in range(3)]
    given(store, b"k2\0x", "done@example.com")
    token = given(store, b"k2\0x", "token@example.com")
    got(store, token, None, b"k1\0access")
    # When they are looked for by two
    with transaction(store) as connection:
        first = sealed.behind(connection, b"k2\0", None, 2)
        second = sealed.behind(connection, b"k2\0", first[-1], 9)
    # Then all others are there once
    assert first + second == sorted(account.id for account in [*olds, token])


def test_credential_and_tokens_change_together(store: Pool) -> None:
    # Given an account and its tokens
    account = given(store, b"k1\0entered")
    got(store, account, b"k1\0refresh", b"k1\0access")
    # When they are sealed again
    new = Secrets(b"k2\0entered", "corp", b"k2\0refresh", b"k2\0access")
    with transaction(store) as connection:
        old = sealed.lock(connection, account.id)
        assert old == Secrets(b"k1\0entered", "corp", b"k1\0refresh", b"k1\0access")
        assert sealed.replace(connection, account.id, old, new)
        # And not once more
        assert not sealed.replace(connection, account.id, old, new)
    # Then who has read the account before finds them, and may say how his login went
    with transaction(store) as connection:
        tokens = oauth_tokens.get(connection, account)
        assert tokens == oauth_tokens.Tokens(b"k2\0refresh", b"k2\0access", fresh=True)
        assert accounts.set_state(connection, account, "unreachable", "why")


def test_what_a_former_credential_has_got_goes(store: Pool) -> None:
    # Given tokens of a credential that was replaced
    former = given(store, b"k1\0former")
    got(store, former, b"k1\0refresh", b"k1\0access")
    with transaction(store) as connection:
        account = accounts.resume(connection, former.user_id, former.id, b"k1\0now", "corp")
        # When the account is sealed again
        old = sealed.lock(connection, account.id)
        assert old == Secrets(b"k1\0now", "corp")
        sealed.replace(connection, account.id, old, Secrets(b"k2\0now", "corp"))
        # Then nothing is left of them
        assert sealed.count(connection) == {(b"k2\0", "refresh token"): 1}


def test_one_who_begins_to_ask_while_it_is_sealed_again_loses_no_token(store: Pool) -> None:
    # Given an account with a refresh token that is good once, which is being sealed again
    account = given(store, b"k1\0entered")
    got(store, account, b"k1\0latest", b"k1\0access")
    with ThreadPoolExecutor(1) as threads:
        with transaction(store) as connection:
            old = sealed.lock(connection, account.id)
            assert old is not None
            new = Secrets(b"k2\0entered", "corp", b"k2\0latest", b"k2\0access")
            assert sealed.replace(connection, account.id, old, new)
            # When somebody who has read it before begins to ask
            claiming = threads.submit(claim, store, account)
            with pytest.raises(TimeoutError):
                claiming.result(0.5)
        # Then he waits, and is given the latest one
        tokens = claiming.result(10)
    assert tokens == oauth_tokens.Tokens(b"k2\0latest", b"k2\0access", fresh=True)
    # And what he brings is kept
    with transaction(store) as connection:
        assert oauth_tokens.keep(
            connection,
            account,
            b"k2\0latest",
            access_token=b"k1\0next",
            refresh_token=b"k1\0next",
            fresh_for=60,
        )


def test_one_who_asks_is_waited_for(store: Pool) -> None:
    # Given somebody who asks for a token
    account = given(store, b"k1\0x")
    with transaction(store) as connection:
        assert oauth_tokens.claim(connection, account, "me")
    with transaction(store) as connection, transaction(store) as other:
        # When it is looked at, then it is said so
        secrets = sealed.lock(connection, account.id)
        assert secrets is not None
        assert secrets.held
        # And while one looks, another passes it over
        assert sealed.lock(other, account.id) is None
    # And one that died is not waited for for ever
    with transaction(store) as connection:
        connection.execute("UPDATE oauth_token SET held_until = now() - interval '61 seconds'")
        secrets = sealed.lock(connection, account.id)
        assert secrets is not None
        assert not secrets.held


def test_everything_is_counted_by_its_key(store: Pool) -> None:
    # Given all sorts
    got(store, given(store, b"k1\0x"), b"k2\0refresh", b"k2\0access")
    rows.active(store, "bob", "bob@example.com")
    # Then what is no sealed credential is counted too
    with transaction(store) as connection:
        assert sealed.count(connection) == {
            (b"k1\0", "refresh token"): 1,
            (b"k2\0", "refresh token"): 1,
            (b"k2\0", "access token"): 1,
            (b"", "password"): 1,
        }
        assert [found.credential for _, found in sealed.some(connection, b"k1\0")] == [b"k1\0x"]
