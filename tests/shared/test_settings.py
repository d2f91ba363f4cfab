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
    settings.QueueSettings: {"redis_url": "redis://h"},
    settings.TokenSettings: {"jwt_secret": "x" * 32},
    settings.DialerSettings: {},
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


def _missing(which: type[settings._Settings]) -> set[str]:
    """What is said to be missing where nothing is set."""
    try:
        settings.load(which)
    except SettingsError as error:
        return {line.split(":")[0].strip() for line in str(error).splitlines()[1:]}
    return set()


@pytest.mark.parametrize("which", settings.ALL)
def test_every_process_starts_with_what_it_needs_and_no_more(
    monkeypatch: pytest.MonkeyPatch, which: type[settings._Settings]
) -> None:
    # Without anything set, each needed name is named
    assert _missing(which) == {settings.PREFIX + name.upper() for name in ENOUGH[which]}

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


@pytest.mark.parametrize(
    "right", ["http://proxy:3128", "http://u:p%40ss@10.0.0.1:8080/", "http://[::1]:3128"]
)
def test_a_proxy_is_an_address_with_a_port(monkeypatch: pytest.MonkeyPatch, right: str) -> None:
    _set(monkeypatch, mail_proxy=right)
    loaded = settings.load(settings.DialerSettings)
    assert loaded.mail_proxy
    assert loaded.mail_proxy.get_secret_value() == right
    assert "p%40ss" not in repr(loaded)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("https://u:canary@proxy:3128", "TLS to the proxy itself is not supported"),
        ("http://u:canary@proxy", "must be http://host:port"),
        ("http://u:canary/x@proxy:3128", "must be http://host:port"),
        ("http://u:canary@proxy:0", "must be http://host:port"),
        ("http://u:canary@proxy:99999", "must be http://host:port"),
        ("http://u:canary@proxy:3128/path", "must be http://host:port"),
        ("http://[u:canary@proxy:3128", "must be http://host:port"),
        ("socks5://u:canary@proxy:1080", "must be http://host:port"),
        ("proxy:3128", "must be http://host:port"),
    ],
)
def test_what_is_no_proxy_is_said_without_its_password(
    monkeypatch: pytest.MonkeyPatch, wrong: str, words: str
) -> None:
    _set(monkeypatch, mail_proxy=wrong)
    with pytest.raises(SettingsError, match=f"POSTWIRE_MAIL_PROXY: .*{words}") as raised:
        settings.load(settings.DialerSettings)
    assert "canary" not in str(raised.value)


def test_secrets_do_not_show_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **ENOUGH[settings.ApiSettings], web_dir="web/dist")

    loaded = settings.load(settings.ApiSettings)

    assert LONG not in repr(loaded)
    assert "redis://" not in repr(loaded)
    assert loaded.web_dir == Path("web/dist")


def test_what_is_a_file_of_the_folder_is_set_as_the_environment_would_set_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given a secret as Kubernetes mounts one, with the files that it keeps beside them
    for name, value in ENOUGH[settings.ApiSettings].items():
        (tmp_path / f"POSTWIRE_{name.upper()}").write_text(f"{value}\n")
    (tmp_path / "POSTWIRE_CORS_ORIGINS").write_text("https://a.example, https://b.example")
    (tmp_path / "..data").mkdir()
    _set(monkeypatch, secrets_dir=str(tmp_path), log_level="DEBUG")

    loaded = settings.load(settings.ApiSettings)

    # Then it counts, beside what the environment says
    assert loaded.jwt_secret.get_secret_value() == LONG
    assert loaded.cors_origins == ["https://a.example", "https://b.example"]
    assert loaded.log_level == "DEBUG"
    # And a process does not receive what belongs to another
    assert not hasattr(settings.load(settings.GatewaySettings), "database_url")


def test_what_is_wrong_with_files_is_said_without_what_they_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given one that is in the environment too, one that is misspelt, and one that is too short
    (tmp_path / "POSTWIRE_REDIS_URL").write_text("redis://of-the-file")
    (tmp_path / "redis-url").write_text("redis://misspelt")
    (tmp_path / "POSTWIRE_REALTIME_SECRET").write_text("hunter2")
    _set(monkeypatch, secrets_dir=str(tmp_path), redis_url="redis://of-the-environment")

    with pytest.raises(SettingsError) as caught:
        settings.load(settings.GatewaySettings)

    words = str(caught.value)
    assert "POSTWIRE_REDIS_URL: is set in the environment and as a file" in words
    assert "redis-url: there is no such setting" in words
    assert "POSTWIRE_REALTIME_SECRET: must be at least 32 bytes long" in words
    assert not any(value in words for value in ("of-the-", "misspelt", "hunter2"))


def test_a_folder_of_secrets_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _set(monkeypatch, secrets_dir=str(tmp_path / "none"), **ENOUGH[settings.MigrateSettings])

    with pytest.raises(SettingsError, match="none: cannot be read: No such file"):
        settings.load(settings.MigrateSettings)


@pytest.mark.parametrize(
    "url", ["http://hunter2", "hunter2:6379", "redis+what://hunter2", "redis+sentinel://hunter2"]
)
def test_a_redis_of_another_kind_is_refused_without_being_quoted(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    _set(monkeypatch, redis_url=url, realtime_secret=LONG)

    with pytest.raises(SettingsError, match=r"must begin|names no master") as caught:
        settings.load(settings.GatewaySettings)

    assert "hunter2" not in str(caught.value)
