"""Keys are changed while accounts are in use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from postwire import keys
from postwire.credentials import Keyring, key_id, make_keyring
from postwire.errors import SettingsError
from postwire.keys import Rotation
from postwire.model import Account
from postwire.store import accounts, oauth_tokens
from postwire.store.pool import Pool, make_pool, transaction
from support import rows

K1, K2 = f"k1:{'A' * 43}=", f"k2:{'B' * 42}A="
OLD, BOTH, NEW = make_keyring(K1), make_keyring(f"{K2},{K1}"), make_keyring(K2)


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 10)
    yield pool
    pool.close()


def add(store: Pool, secret: str, keyring: Keyring = OLD, provider: str | None = None) -> Account:
    return rows.sealed(store, keyring, secret, provider)


def enter(store: Pool, account: Account, password: str, keyring: Keyring) -> None:
    sealed = keyring.seal(account.id, password)
    with transaction(store) as connection:
        accounts.resume(connection, account.user_id, account.id, sealed)


def now(store: Pool, account: Account) -> Account:
    with transaction(store) as connection:
        return accounts.get(connection, account.id)


def say_nothing(_: Rotation) -> None:
    pass


def test_everything_is_sealed_again_and_opens_with_the_new_key_alone(store: Pool) -> None:
    # Given passwords, and a grant with tokens
    some = [add(store, f"secret-{n}") for n in range(keys._BATCH + 3)]
    grant = add(store, "entered", provider="corp")
    with transaction(store) as connection:
        oauth_tokens.claim(connection, grant, "me")
        oauth_tokens.keep(
            connection,
            grant,
            grant.credential,
            access_token=OLD.seal(grant.id, "access", "access token"),
            refresh_token=OLD.seal(grant.id, "latest", "refresh token"),
            fresh_for=60,
        )
    assert keys.status(store) == {
        "k1": {"password": len(some), "refresh token": 2, "access token": 1}
    }
    # When the key is changed
    told: list[int] = []
    rotation = keys.rotate(store, BOTH, lambda rotation: told.append(rotation.done))
    # Then each account was counted, and the old key is needed no more
    assert (rotation, told) == (Rotation(len(some) + 1), [*range(1, len(some) + 2)])
    assert keys.status(store) == {
        "k2": {"password": len(some), "refresh token": 2, "access token": 1}
    }
    for n, account in enumerate(some):
        assert NEW.open(account.id, now(store, account).credential) == f"secret-{n}"
    assert NEW.open(grant.id, now(store, grant).credential, "refresh token") == "entered"
    with transaction(store) as connection:
        tokens = oauth_tokens.get(connection, grant)
    assert tokens is not None
    assert tokens.access_token is not None
    assert NEW.open(grant.id, tokens.refresh_token, "refresh token") == "latest"
    assert (NEW.open(grant.id, tokens.access_token, "access token"), tokens.fresh) == (
        "access",
        True,
    )
    # And once more is nothing to do
    assert keys.rotate(store, BOTH, say_nothing) == Rotation()


def test_what_cannot_be_opened_is_named_and_left(store: Pool) -> None:
    # Given credentials of a key that is gone, of another account, and some that are none
    gone = add(store, "x", make_keyring(f"k0:{'C' * 42}A="))
    good, moved, none = (add(store, secret) for secret in ("good", "moved", "none"))
    with transaction(store) as connection:
        for account, bytes_ in ((moved, good.credential), (none, b"hunter2")):
            connection.execute(
                "UPDATE account SET credential = %s WHERE id = %s", [bytes_, account.id]
            )
    before = [now(store, account) for account in (gone, moved, none)]
    # When the key is changed
    rotation = keys.rotate(store, BOTH, say_nothing)
    # Then they are named without a word of what they hold, and are as they were
    assert rotation.done == 1
    assert set(rotation.unreadable) == {account.id for account in before}
    assert "the key k0, which is not set" in rotation.unreadable[gone.id]
    assert "hunter2" not in str(rotation)
    assert [now(store, account) for account in before] == before
    assert keys.status(store) == {
        "k0": {"password": 1},
        "k1": {"password": 1},
        "k2": {"password": 1},
        None: {"password": 1},
    }


def test_an_access_token_that_cannot_be_opened_is_dropped(store: Pool) -> None:
    # Given one
    grant = add(store, "entered", provider="corp")
    with transaction(store) as connection:
        oauth_tokens.claim(connection, grant, "me")
        oauth_tokens.keep(
            connection,
            grant,
            grant.credential,
            access_token=b"k0\0nonsense",
            refresh_token=None,
            fresh_for=60,
        )
    # When the key is changed, it is gone, and the next login asks for another
    assert keys.rotate(store, BOTH, say_nothing) == Rotation(1)
    with transaction(store) as connection:
        tokens = oauth_tokens.get(connection, grant)
    assert tokens is not None
    assert (tokens.access_token, tokens.fresh) == (None, False)
    assert NEW.open(grant.id, tokens.refresh_token, "refresh token") == "entered"


def test_several_at_once_lose_no_password_that_is_entered_meanwhile(store: Pool) -> None:
    # Given accounts whose users enter passwords again and again, with the old key and the new
    some = [add(store, "first") for _ in range(30)]
    last: dict[str, str] = {}
    ended = threading.Event()

    def keep_entering(share: int) -> None:
        n = 0
        while not ended.is_set():
            for account in some[share::2]:
                n += 1
                enter(store, account, f"{share}-{n}", (OLD, BOTH)[n % 2])
                last[account.id] = f"{share}-{n}"

    # When three change the keys
    with ThreadPoolExecutor(5) as threads:
        entering = [threads.submit(keep_entering, share) for share in range(2)]
        rotations = [threads.submit(keys.rotate, store, BOTH, say_nothing) for _ in range(3)]
        found = [rotation.result(60) for rotation in rotations]
        ended.set()
        for one in entering:
            one.result(60)
    # Then nothing was unreadable, and each account has the password that was entered last
    assert [rotation.unreadable for rotation in found] == [{}] * 3
    for account in some:
        assert BOTH.open(account.id, now(store, account).credential) == last[account.id]
    # And one more, with nobody about, leaves nothing behind
    keys.rotate(store, BOTH, say_nothing)
    assert set(keys.status(store)) == {"k2"}


def test_it_waits_for_who_asks_for_a_token_and_then_goes_on(store: Pool) -> None:
    # Given one who asks for a token, and gets a refresh token that is good once
    grant = add(store, "entered", provider="corp")
    with transaction(store) as connection:
        claimed = oauth_tokens.claim(connection, grant, "me")
    assert claimed is not None
    with ThreadPoolExecutor(1) as threads:
        looked = threading.Event()
        rotating = threads.submit(keys.rotate, store, BOTH, lambda _: looked.set())
        assert looked.wait(10)
        # When the key is changed meanwhile, then what he brings is kept
        with transaction(store) as connection:
            assert oauth_tokens.keep(
                connection,
                grant,
                claimed.refresh_token,
                access_token=OLD.seal(grant.id, "access", "access token"),
                refresh_token=OLD.seal(grant.id, "latest", "refresh token"),
                fresh_for=60,
            )
        assert rotating.result(30) == Rotation(1)
    with transaction(store) as connection:
        tokens = oauth_tokens.get(connection, grant)
    assert tokens is not None
    assert NEW.open(grant.id, tokens.refresh_token, "refresh token") == "latest"


def test_one_that_is_in_use_all_the_time_is_named(
    store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a row that somebody holds
    monkeypatch.setattr(keys, "PATIENCE", 0)
    account = add(store, "secret")
    with transaction(store) as connection:
        connection.execute("SELECT 1 FROM account FOR UPDATE")
        # When the key is changed, it is left
        assert keys.rotate(store, BOTH, say_nothing) == Rotation(busy={account.id})
    assert key_id(now(store, account).credential) == "k1"


def test_another_key_of_the_same_id_is_noticed(store: Pool) -> None:
    # Given credentials, one of them moved from elsewhere
    moved = add(store, "x")
    add(store, "secret")
    with transaction(store) as connection:
        connection.execute(
            "UPDATE account SET credential = 'k1\\000nonsense' WHERE id = %s", [moved.id]
        )
    # Then their own key will do, and so will one that nothing was sealed with
    keys.check(store, BOTH)
    keys.check(store, NEW)
    # But not another one of that id
    with pytest.raises(SettingsError, match="the key k1 is another one than that"):
        keys.check(store, make_keyring(f"k1:{'C' * 42}A="))
