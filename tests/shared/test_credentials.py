"""Passwords at rest."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire.credentials import make_keyring
from postwire.errors import CredentialUnreadable, SettingsError


def key(id_: str, byte: bytes) -> str:
    return f"{id_}:{base64.b64encode(byte * 32).decode()}"


OLD, NEW = key("k1", b"1"), key("k2", b"2")


@given(secret=st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_what_was_sealed_is_opened(secret: str) -> None:
    keyring = make_keyring(OLD)
    assert keyring.open("account", keyring.seal("account", secret)) == secret


def test_the_same_secret_never_looks_the_same() -> None:
    # Given a keyring
    keyring = make_keyring(OLD)
    # When a secret is sealed twice
    first, second = (keyring.seal("account", "secret") for _ in range(2))
    # Then nobody can tell that it is the same, nor read it
    assert first != second
    assert b"secret" not in first


def test_a_credential_opens_for_its_account_alone() -> None:
    # Given a credential that somebody copied to another account's row
    keyring = make_keyring(OLD)
    sealed = keyring.seal("account", "secret")
    # Then it opens nothing there
    with pytest.raises(CredentialUnreadable, match="enter the password again"):
        keyring.open("other", sealed)


def test_keys_are_rotated_while_the_system_runs() -> None:
    # Given a credential under the old key
    sealed = make_keyring(OLD).seal("account", "secret")
    # When the new key is put before it
    keyring = make_keyring(f"{NEW},{OLD}")
    # Then both open, and the new one seals
    assert keyring.open("account", sealed) == "secret"
    assert keyring.seal("account", "secret").startswith(b"k2\0")
    # And without the old key the words say what to do
    with pytest.raises(CredentialUnreadable, match="POSTWIRE_CREDENTIAL_KEYS"):
        make_keyring(NEW).open("account", sealed)


@given(sealed=st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"k1\0" + rest))
def test_bytes_that_are_no_credential_are_refused_and_never_taken_for_a_password(
    sealed: bytes,
) -> None:
    with pytest.raises(CredentialUnreadable):
        make_keyring(OLD).open("account", sealed)


def test_one_bit_changed_is_noticed() -> None:
    # Given a sealed credential
    keyring = make_keyring(OLD)
    sealed = keyring.seal("account", "secret")
    for n in range(3, len(sealed)):
        # When one of its bits is changed
        changed = sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :]
        # Then it opens no more
        with pytest.raises(CredentialUnreadable):
            keyring.open("account", changed)


@pytest.mark.parametrize(
    "text",
    ["", ",", "nokey", "k1:", "k1:c2hvcnQ=", ":" + OLD.partition(":")[2], "k1:not base64!", "k1:é"],
)
def test_a_key_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        make_keyring(text)
    assert "POSTWIRE_CREDENTIAL_KEYS" in str(raised.value)
    assert "c2hvcnQ" not in str(raised.value)


def test_a_keyring_shows_no_key() -> None:
    assert "AESGCM" not in repr(make_keyring(OLD))
