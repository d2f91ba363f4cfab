"""The predecessor's passwords, by vectors that were made with its own algorithm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postwire.legacy import decrypt

VECTORS = json.loads((Path(__file__).parent / "legacy-credentials.json").read_text())
SECRET = "your-32-char-secret-key-here-123456"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["format"])
def test_each_format_is_read(vector: dict[str, str]) -> None:
    read = decrypt(vector["secret"], vector["ciphertext"], vector.get("iv"))
    assert read == vector["plaintext"]


def test_the_vectors_have_all_three_formats() -> None:
    assert {vector["format"] for vector in VECTORS} == {"iv-prefixed", "iv-column", "legacy-no-iv"}


@pytest.mark.parametrize("vector", VECTORS[:3], ids=lambda one: one["format"])
def test_another_secret_is_noticed_and_nothing_repeated(vector: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot be decrypted with this secret") as raised:
        decrypt("another secret", vector["ciphertext"], vector.get("iv"))
    assert "another secret" not in str(raised.value)
    assert vector["ciphertext"] not in str(raised.value)


@pytest.mark.parametrize(
    ("ciphertext", "iv", "said"),
    [
        ("hunter2", None, "it is not hex"),
        ("", None, "it is cut off"),
        ("49f36e86789a4504", None, "it is cut off"),
        ("0001:49f36e86789a4504d7fa1d80b164f9f1", None, "its IV does not have 16 bytes"),
        ("49f36e86789a4504d7fa1d80b164f9f1", "00", "its IV does not have 16 bytes"),
        (":49f36e86789a4504d7fa1d80b164f9f1", None, "cannot be decrypted with this secret"),
        ("00" * 16 + ":", None, "it is cut off"),
    ],
)
def test_what_is_no_such_password_is_refused_in_words(
    ciphertext: str, iv: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        decrypt(SECRET, ciphertext, iv)
    assert "hunter2" not in str(raised.value)


def test_a_secret_that_its_algorithm_could_not_use_is_said() -> None:
    with pytest.raises(ValueError, match="the secret is not ASCII"):
        decrypt("ß" * 32, "00" * 16 + ":" + "00" * 16)
