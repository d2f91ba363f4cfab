from __future__ import annotations

import os
from pathlib import Path

import pytest

from postwire import settings
from postwire.errors import SettingsError

LONG = "0123456789abcdef0123456789abcdef"
ENOUGH: dict[type[settings._Settings], dict[str, str]] = {
    settings.MigrateSettings: {"database_url": "postgresql://h/d"},
    settings.KeysSettings: {"database_url": "postgresql://h/d", "credential_keys": "k:v"},
    settings.ApiSettings: {
        "database_url": "postgresql://h/d",
        "redis_url": "redis://h",
        "jwt_secret": LONG,
        "realtime_secret": LONG,
        "credential_keys": "k:v",
    },
    settings.WorkerSettings: {
        "database_url": "postgresql://h/d",
        "redis_url": "redis://h",
        "credential_keys": "k:v",
    },
    settings.WatcherSettings: {
        "database_url": "postgresql://h/d",
        "redis_url": "redis://h",
        "credential_keys": "k:v",
    },
    settings.GatewaySettings: {"redis_url": "redis://h", "realtime_secret": LONG},
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)


def _set(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(settings.PREFIX + name.upper(), value)


@pytest.mark.parametrize("which", settings.ALL)
def test_every_process_starts_with_what_it_needs_and_no_more(
    monkeypatch: pytest.MonkeyPatch, which: type[settings._Settings]
) -> None:
    # Without anything set, each needed name is named
    with pytest.raises(SettingsError) as caught:
        settings.load(which)
    named = {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]}
    assert named == {settings.PREFIX + name.upper() for name in ENOUGH[which]}

    # With those set it loads
    _set(monkeypatch, **ENOUGH[which])
    settings.load(which)


def test_all_problems_are_reported_at_once_without_the_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(
        monkeypatch,
        realtime_secret="hunter2",
        gateway_port="70000",
        log_level="LOUD",
        gatway_host="typo",
        jwt_secret=LONG,
    )

    with pytest.raises(SettingsError) as caught:
        settings.load(settings.GatewaySettings)

    words = str(caught.value)
    assert "POSTWIRE_REDIS_URL: is missing; set it" in words
    assert "POSTWIRE_REALTIME_SECRET: must be at least 32 bytes long" in words
    assert "POSTWIRE_GATEWAY_PORT" in words
    assert "POSTWIRE_LOG_LEVEL" in words
    assert "POSTWIRE_GATWAY_HOST: there is no such setting" in words
    assert not any(value in words for value in ("hunter2", "70000", "LOUD", "typo", LONG))


def test_the_keys_may_lie_in_a_folder_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given a folder with one key
    (tmp_path / "k1").write_text(f"{'A' * 43}=\n")
    _set(monkeypatch, database_url="postgresql://h/d", credential_keys_dir=str(tmp_path))
    # Then that one seals
    assert settings.load(settings.KeysSettings).keyring().current == "k1"


@pytest.mark.parametrize("url", ["https://id.example.com/jwks", "http://127.0.0.1:8080/jwks"])
def test_an_issuer_takes_the_place_of_the_secret(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    enough = ENOUGH[settings.ApiSettings] | {"jwt_secret": "", "jwt_issuer": "https://id"}
    _set(monkeypatch, **enough, jwks_url=url)
    assert settings.load(settings.ApiSettings).jwt_secret is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"jwt_secret": ""}, "JWT_SECRET: is missing; set it or POSTWIRE_JWT_ISSUER"),
        ({"jwt_issuer": "x", "jwks_file": "f"}, "JWT_SECRET: set either it or .*_ISSUER"),
        ({"jwt_secret": "", "jwt_issuer": "x"}, "JWKS_URL: is missing; set it or .*_FILE"),
        ({"jwks_url": "https://id/"}, "JWKS_URL: it and .* need POSTWIRE_JWT_ISSUER"),
        ({"jwks_file": "f"}, "JWKS_URL: it and .* need POSTWIRE_JWT_ISSUER"),
        (
            {"jwt_secret": "", "jwt_issuer": "x", "jwks_file": "f", "jwks_url": "https://id/"},
            "JWKS_URL: set either it or POSTWIRE_JWKS_FILE",
        ),
        *(
            ({"jwt_secret": "", "jwt_issuer": "x", "jwks_url": url}, "JWKS_URL: must be an https")
            for url in ("http://id.example.com/", "file:///etc/passwd", "id.example.com", "https:")
        ),
    ],
)
def test_who_signs_is_said_once_and_in_whole(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], words: str
) -> None:
    _set(monkeypatch, **(ENOUGH[settings.ApiSettings] | wrong))
    with pytest.raises(SettingsError, match=f"POSTWIRE_{words}"):
        settings.load(settings.ApiSettings)


def test_an_empty_value_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, redis_url="", realtime_secret=LONG)

    with pytest.raises(SettingsError, match="POSTWIRE_REDIS_URL: is missing"):
        settings.load(settings.GatewaySettings)


def test_a_secret_is_measured_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, redis_url="redis://h", realtime_secret="ß" * 16)

    assert settings.load(settings.GatewaySettings)


def test_a_setting_of_another_process_is_no_typo_and_is_not_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, **ENOUGH[settings.ApiSettings])

    loaded = settings.load(settings.GatewaySettings)

    assert not hasattr(loaded, "database_url")
    assert not hasattr(loaded, "credential_keys")


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **ENOUGH[settings.GatewaySettings], cors_origins="https://a, https://b,")

    assert settings.load(settings.GatewaySettings).cors_origins == ["https://a", "https://b"]


def test_networks_are_those_of_either_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    enough = ENOUGH[settings.WorkerSettings]
    _set(monkeypatch, **enough, allowed_networks="10.0.0.0/8, fd12::/16, 192.168.1.7")
    allowed = settings.load(settings.WorkerSettings).allowed_networks
    assert list(map(str, allowed)) == ["10.0.0.0/8", "fd12::/16", "192.168.1.7/32"]


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "internal", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_named(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    _set(monkeypatch, **ENOUGH[settings.WatcherSettings], allowed_networks=wrong)
    with pytest.raises(SettingsError, match=r"POSTWIRE_ALLOWED_NETWORKS: .*(network|host bits)"):
        settings.load(settings.WatcherSettings)


def test_secrets_do_not_show_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **ENOUGH[settings.ApiSettings], web_dir="web/dist")

    loaded = settings.load(settings.ApiSettings)

    assert LONG not in repr(loaded)
    assert "redis://" not in repr(loaded)
    assert loaded.web_dir == Path("web/dist")
