"""Passwords at rest."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire.credentials import key_id, make_keyring
from postwire.errors import CredentialUnreadable, KeyMissing, SettingsError


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
    # And without the old key the words say which one, and what to do
    with pytest.raises(KeyMissing, match=r"the key k1, .* add it to POSTWIRE_CREDENTIAL_KEYS"):
        make_keyring(NEW).open("account", sealed)


@given(
    sealed=st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda rest: b"k1\0" + rest)
    | st.binary(max_size=60).map(lambda rest: b"k2\0" + rest)
)
def test_bytes_that_are_no_credential_are_refused_and_never_taken_for_a_password(
    sealed: bytes,
) -> None:
    with pytest.raises((CredentialUnreadable, KeyMissing)):
        make_keyring(OLD).open("account", sealed)


def test_a_plain_password_that_somebody_stored_is_not_repeated() -> None:
    with pytest.raises(CredentialUnreadable) as raised:
        make_keyring(OLD).open("account", b"hunter2")
    assert "hunter2" not in str(raised.value)


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


SECRET = OLD.partition(":")[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key to seal credentials with; set POSTWIRE_CREDENTIAL_KEYS"),
        (",", "no key to seal credentials with"),
        (SECRET, "key number 1: write it as id:base64"),
        ("k1:", "it has 0 bytes, and needs 32"),
        (f"{NEW},k1:c2hvcnQ=", "key number 2: it has 5 bytes, and needs 32"),
        (f"k1:{SECRET}{SECRET}", "it is not base64"),
        (f"k1:{SECRET[:-1]}", "it is not base64"),
        (f":{SECRET}", "its id is not"),
        (f"{SECRET}:k1", "its id is not"),
        (f"k 1:{SECRET}", "its id is not"),
        ("k1:not base64!", "it is not base64"),
        ("k1:é", "it is not base64"),
        (f"{OLD},{NEW},{OLD}", "key number 3: there is another key with its id, k1"),
    ],
)
def test_keys_that_will_not_do_are_refused_without_being_repeated(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        make_keyring(text)
    words = str(raised.value)
    assert said in words
    assert "POSTWIRE_CREDENTIAL_KEYS" in words
    assert not [part for part in ("c2hvcnQ", SECRET[:20], "not base64!") if part in words]


def test_another_key_than_the_first_may_seal() -> None:
    keyring = make_keyring(f"{OLD},{NEW}", primary="k2")
    assert keyring.seal("account", "secret").startswith(b"k2\0")
    with pytest.raises(SettingsError, match="is none of k1, k2") as raised:
        make_keyring(f"{OLD},{NEW}", primary=SECRET)
    assert SECRET not in str(raised.value)


def folder_of(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_a_folder_holds_one_file_a_key_as_kubernetes_mounts_a_secret(tmp_path: Path) -> None:
    # Given what kubelet makes of a secret: links into a hidden folder
    hidden = tmp_path / "..2026_11_22"
    hidden.mkdir()
    folder_of(hidden, k1=f"{SECRET}\n", k2=NEW.partition(":")[2], primary="k2\n")
    (tmp_path / "..data").symlink_to(hidden)
    for name in ("k1", "k2", "primary"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    # Then all open, and the one that is named seals, or the one that the setting names
    keyring = make_keyring("", tmp_path)
    assert (sorted(keyring.keys), keyring.current) == (["k1", "k2"], "k2")
    assert keyring.open("account", make_keyring(OLD).seal("account", "secret")) == "secret"
    assert make_keyring("", tmp_path, "k1").current == "k1"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no key to seal credentials with"),
        ({"primary": "k1"}, "no key to seal credentials with"),
        ({"k1": ""}, "k1: it has 0 bytes, and needs 32"),
        ({"k1": "c2hvcnQ="}, "k1: it has 5 bytes, and needs 32"),
        ({"k1": "\xff\0"}, "k1: it is not base64"),
        ({"k1": SECRET * 99}, "k1: it is not base64"),
        ({"k 1": SECRET}, "k 1: its id is not"),
        ({"k1": SECRET, "k2": SECRET}, "of several keys one has to seal"),
        ({"k1": SECRET, "primary": "k3"}, "the key that is to seal is none of k1"),
        ({"k1": SECRET, "primary": SECRET}, "the key that is to seal is none of k1"),
    ],
)
def test_a_folder_that_will_not_do_is_refused_without_repeating_it(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        make_keyring("", folder_of(tmp_path, **files))
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_folder_that_is_not_there_or_is_not_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        make_keyring("", tmp_path / "away")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        make_keyring("", tmp_path)
    with pytest.raises(SettingsError, match="not both"):
        make_keyring(OLD, tmp_path)


def test_the_key_of_a_sealed_credential_is_known() -> None:
    assert key_id(make_keyring(OLD).seal("account", "secret")) == "k1"
    assert [key_id(sealed) for sealed in (b"hunter2", b"", b"\0", b"\xff\0x")] == [None] * 4


def test_a_keyring_shows_no_key() -> None:
    assert "AESGCM" not in repr(make_keyring(OLD))
