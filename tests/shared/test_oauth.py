"""The providers of OAuth that the operator names."""

from __future__ import annotations

import json

import pytest

from postwire.errors import SettingsError
from postwire.oauth import Provider, make_providers

CORP = {"token_url": "https://sso.corp.example/token", "client_id": "postwire"}


def test_presets_fill_in_what_is_the_same_for_everyone() -> None:
    # Given an operator who has registered with two that are known, and one that is not
    given = {
        "google": {"client_id": "g", "client_secret": "sg"},
        "microsoft": {"client_id": "m", "token_url": "https://login.example/tenant/token"},
        "corp": {**CORP, "client_secret": "sc", "scope": "mail"},
    }
    # When they are read
    found = make_providers(json.dumps(given))
    # Then what was left away is the preset's, and what was given is not
    assert found["google"].token_url == "https://oauth2.googleapis.com/token"
    assert found["google"].scope is None
    assert found["microsoft"].token_url == "https://login.example/tenant/token"
    assert "offline_access" in (found["microsoft"].scope or "")
    assert found["microsoft"].client_secret is None
    assert found["corp"] == Provider("corp", CORP["token_url"], "postwire", "sc", "mail")


def test_nobody_need_be_named() -> None:
    assert make_providers("{}") == {}


def test_the_secrets_are_not_shown() -> None:
    (provider,) = make_providers(
        json.dumps({"corp": {**CORP, "client_secret": "hunter2"}})
    ).values()
    assert "hunter2" not in repr(provider)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("hunter2", "no JSON"),
        ("[]", "no JSON"),
        ('{"corp": "hunter2"}', "no JSON"),
        ('{"corp": {"client_secret": 2}}', "no JSON"),
        ('{"google": {"client_secret": "hunter2"}}', "google.*client_id"),
        ('{"corp": {"client_id": "x", "client_secret": "hunter2"}}', "corp.*token_url"),
        ('{"google": {"client_id": "x", "secret": "hunter2"}}', "google.*secret"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_secrets(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as raised:
        make_providers(text)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://sso.corp.example/token", True),
        ("http://127.0.0.1:8080/token", True),
        ("http://[::1]/token", True),
        ("http://localhost/token", True),
        ("http://sso.corp.example/token", False),
        ("http://127.0.0.1.example/token", False),
        ("http://localhost@sso.corp.example/token", False),
        ("ftp://sso.corp.example/token", False),
        ("https://", False),
        ("https://[/token", False),
        ("https://x:port/token", False),
        ("token", False),
    ],
)
def test_what_is_sent_to_a_provider_is_read_by_nobody_in_between(url: str, fine: bool) -> None:  # noqa: FBT001
    text = json.dumps({"corp": {**CORP, "token_url": url}})
    if fine:
        assert make_providers(text)["corp"].token_url == url
    else:
        with pytest.raises(SettingsError, match="https"):
            make_providers(text)
