"""Mail accounts, with the worker's part played on the real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import redis
from litestar import Litestar
from litestar.testing import TestClient
from pydantic import SecretStr

from postwire import events
from postwire.credentials import make_keyring
from postwire.errors import CredentialUnreadable, SettingsError
from postwire.model import AccountState
from postwire.settings import ApiSettings
from postwire.store import accounts, jobs
from postwire.store.pool import Pool, transaction
from postwire_api import accounts as routes
from postwire_api.app import create_app
from support import rows
from support.jwt import bearer
from support.processes import eventually

Client = TestClient[Litestar]

NEW = {
    "address": "ann@example.com",
    "password": "correct horse",
    "host": "imap.example.com",
    "port": 993,
    "security": "tls",
}


@contextmanager
def a_worker_that_finds(store: Pool, state: AccountState, reason: str | None) -> Iterator[None]:
    """Try the login of the next account that is added, with that outcome."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.02):
            with transaction(store) as connection:
                for account in accounts.list_of_user(connection, "ann"):
                    if account.state == "connecting":
                        accounts.set_state(connection, account, state, reason)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_an_account_whose_login_succeeds_is_added_and_active(
    ann: Client, store: Pool, settings: ApiSettings
) -> None:
    # Given a worker that gets in
    with a_worker_that_finds(store, "active", None):
        # When the account is added
        answer = ann.post("/api/accounts", json=NEW)
    # Then it is there, in the contract's shape, without the password
    body = answer.json()
    assert answer.status_code == 201
    assert "correct horse" not in answer.text
    assert list(body) == [
        *("id", "address", "host", "port", "security", "username", "auth", "provider"),
        *("windowDays", "mailboxes"),
        *("state", "stateReason", "stateSince", "syncEvery", "nextSyncAt", "busyUntil"),
        *("lastSyncedAt", "auditedAt"),
        *("epoch", "revision", "unread", "createdAt"),
    ]
    assert body["state"] == "active"
    assert (body["auth"], body["provider"]) == ("password", None)
    assert body["username"] == "ann@example.com"
    assert body["windowDays"] == 30
    assert body["syncEvery"] == 30
    assert datetime.fromisoformat(body["createdAt"]).astimezone(UTC) <= datetime.now(UTC)
    # And the password is sealed for this account
    with transaction(store) as connection:
        (account,) = accounts.list_of_user(connection, "ann")
        (job,) = jobs.list_of_user(
            connection, "ann", account_id=None, state=None, before=None, limit=9
        )
    assert b"correct horse" not in account.credential
    keyring = make_keyring(settings.credential_keys.get_secret_value())
    assert keyring.open(account.id, account.credential) == "correct horse"
    # And a person waits for its first sync
    assert (job.account_id, job.reason) == (account.id, "manual")
    assert ann.get("/api/accounts").json() == {"accounts": [body]}
    assert ann.get(f"/api/accounts/{account.id}").json() == body


@pytest.mark.parametrize(
    ("state", "type_"),
    [("auth_failed", "/problems/login-failed"), ("unreachable", "/problems/server-unreachable")],
)
def test_an_account_that_cannot_be_reached_is_refused_in_words_and_not_kept(
    ann: Client, store: Pool, state: AccountState, type_: str
) -> None:
    # Given a worker that does not get in
    with a_worker_that_finds(store, state, "The server says no, for a reason."):
        # When the account is added
        answer = ann.post("/api/accounts", json=NEW)
    # Then the reason is told and nothing is kept
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == type_
    assert answer.json()["detail"] == "The server says no, for a reason."
    assert ann.get("/api/accounts").json() == {"accounts": []}
    assert ann.get("/api/jobs").json()["jobs"] == []
    # And it can be tried again at once
    with a_worker_that_finds(store, "active", None):
        assert ann.post("/api/accounts", json=NEW).status_code == 201


def test_an_account_that_no_worker_looks_at_is_kept_and_still_connecting(
    ann: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given no worker, and less patience than there is for people
    monkeypatch.setattr(routes, "_PATIENCE", 0.4)
    # When the account is added
    answer = ann.post("/api/accounts", json=NEW)
    # Then it is kept as it is
    assert answer.status_code == 201
    assert answer.json()["state"] == "connecting"


def test_an_address_is_added_once_whatever_its_case(ann: Client, store: Pool) -> None:
    # Given an account
    rows.active(store, "ann", "ann@example.com")
    # When it is added again in capitals
    answer = ann.post("/api/accounts", json=NEW | {"address": "ANN@example.com"})
    # Then that is a conflict; for another user it would be none
    assert answer.status_code == 409
    assert "ANN@example.com" in answer.json()["detail"]


def test_a_user_has_no_more_accounts_than_the_settings_say(settings: ApiSettings) -> None:
    few = settings.model_copy(update={"user_accounts": 2})
    with TestClient(create_app(few)) as client:
        client.headers.update(bearer())
        # Given as many accounts as there may be
        first, _ = (rows.active(client.app.state.store, "ann", f"{n}@example.com") for n in "ab")
        # When one more is added
        answer = client.post("/api/accounts", json=NEW)
        # Then the answer says what to do
        assert answer.status_code == 409
        assert "2 accounts at most; remove one first" in answer.json()["detail"]
        # And doing it helps
        client.delete(f"/api/accounts/{first.id}")
        with a_worker_that_finds(client.app.state.store, "active", None):
            assert client.post("/api/accounts", json=NEW).status_code == 201


SENSELESS = [
    ("address", "no at sign", "name@example.com"),
    ("address", "a@b\0", "name@example.com"),
    ("address", "x" * 300 + "@b", "length"),
    ("password", "", "length"),
    ("password", "x" * 1025, "length"),
    ("password", "a\0b", "NUL"),
    ("password", "a\r\nb", "line breaks"),
    ("password", None, "either password or oauth"),
    ("host", "", "host name"),
    ("host", "-a.example.com", "host name"),
    ("host", "a..b", "host name"),
    ("host", "imap.example.com:993", "host name"),
    ("host", "http://imap.example.com", "host name"),
    ("host", "a\0b", "host name"),
    ("host", "x" * 300, "length"),
    ("port", 0, "port"),
    ("port", 65_536, "port"),
    ("security", "ssl", "security"),
    ("username", "a\nb", "line breaks"),
    ("username", "", "length"),
    ("windowDays", 0, "windowDays"),
    ("windowDays", 10**30, "windowDays"),
    ("surprise", True, "surprise"),
]


def test_an_account_that_makes_no_sense_is_refused_in_words(ann: Client) -> None:
    for field, value, words in SENSELESS:
        # When an account with such a field is added
        answer = ann.post("/api/accounts", json=NEW | {field: value})
        # Then the answer says what is wrong, without repeating a password
        assert answer.status_code == 400, (field, value)
        assert words in answer.json()["detail"]
        assert "correct horse" not in answer.text


def test_hosts_are_names_and_addresses(
    ann: Client, store: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given little patience
    monkeypatch.setattr(routes, "_PATIENCE", 0)
    hosts = ["imap.example.com", "mail_server", "192.0.2.1", "2001:db8::1"]
    for n, host in enumerate(hosts):
        # When an account with that host is added, of which all mail is wanted
        wanted = NEW | {"address": f"{n}@example.com", "host": host, "windowDays": None}
        answer = ann.post("/api/accounts", json=wanted)
        # Then it is taken
        assert answer.status_code == 201
        assert (answer.json()["host"], answer.json()["windowDays"]) == (host, None)
    with transaction(store) as connection:
        assert [one.host for one in accounts.list_of_user(connection, "ann")] == hosts


def test_a_removed_account_is_gone_with_all_that_was_kept(
    ann: Client, store: Pool, redis_url: str
) -> None:
    # Given an account with a message, whose position was told
    account = rows.active(store)
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), rows.incoming(1)))
    with redis.Redis.from_url(redis_url) as client:
        events.publish(client, events.of_state(account))
        assert client.zcard(events.POSITIONS) == 1
    # When it is removed
    answer = ann.delete(f"/api/accounts/{account.id}")
    # Then nothing of it is left
    assert answer.status_code == 204
    assert answer.content == b""
    assert ann.get("/api/messages/1").status_code == 404
    assert ann.delete(f"/api/accounts/{account.id}").status_code == 404
    with redis.Redis.from_url(redis_url) as client:
        assert eventually(lambda: client.zcard(events.POSITIONS) == 0)


def test_pause_resume_and_a_new_password_change_the_state_and_tell_it(
    ann: Client, store: Pool, settings: ApiSettings, redis_url: str
) -> None:
    # Given an account, and somebody who listens
    account = rows.active(store)
    path = f"/api/accounts/{account.id}"
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as listener:
        listener.subscribe(events.CHANNEL)
        assert listener.get_message(timeout=2)

        def heard() -> events.Event:
            message = listener.get_message(timeout=2)
            assert message
            return events.decode(message["data"])

        # When it is paused, then it says so and there is no job
        paused = ann.post(f"{path}/pause")
        assert (paused.status_code, paused.json()["state"]) == (200, "paused")
        event = heard()
        assert (event.type, event.state, event.account_id) == ("state", "paused", account.id)
        assert event.revision == paused.json()["revision"]
        assert ann.get("/api/jobs").json()["jobs"] == []
        # When it is resumed, then a login is tried for somebody who waits
        resumed = ann.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["state"]) == (200, "connecting")
        assert heard().state == "connecting"
        (job,) = ann.get("/api/jobs").json()["jobs"]
        assert job["reason"] == "manual"
        # When it gets a new password, then that one is kept and tried
        changed = ann.put(f"{path}/credential", json={"password": "new one"})
        assert (changed.status_code, changed.json()["state"]) == (200, "connecting")
        assert heard().state == "connecting"
    with transaction(store) as connection:
        now = accounts.get(connection, account.id)
    keyring = make_keyring(settings.credential_keys.get_secret_value())
    assert keyring.open(account.id, now.credential) == "new one"


def test_a_password_that_cannot_be_sent_is_refused(ann: Client, store: Pool) -> None:
    # Given an account
    account = rows.active(store)
    for password in ("", "a\0b", "a\nb"):
        # When it gets such a password
        answer = ann.put(f"/api/accounts/{account.id}/credential", json={"password": password})
        # Then it keeps the one it has
        assert answer.status_code == 400
    assert ann.get(f"/api/accounts/{account.id}").json()["state"] == "active"


def test_an_account_says_when_it_is_tried_next(ann: Client, store: Pool) -> None:
    # Given an account in order
    account = rows.active(store)
    path = f"/api/accounts/{account.id}"
    shown = ann.get(path).json()
    # Then it is looked at by schedule
    assert datetime.fromisoformat(shown["nextSyncAt"]) == account.next_sync_at
    assert shown["busyUntil"] is None

    # When its server wants to be left alone, Then it says until when
    with transaction(store) as connection:
        accounts.leave_alone(connection, account.id, 300, "Slow down.")
    shown = ann.get(path).json()
    assert 290 < (datetime.fromisoformat(shown["busyUntil"]) - datetime.now(UTC)).seconds <= 300

    # When that time is over, Then there is nothing to say of it
    with transaction(store) as connection:
        connection.execute("UPDATE account SET busy_until = now() - interval '1 second'")
    assert ann.get(path).json()["busyUntil"] is None

    # When it is paused, or not scheduled, Then it is not looked at by itself
    assert ann.post(f"{path}/pause").json()["nextSyncAt"] is None
    with transaction(store) as connection:
        connection.execute("UPDATE account SET state = 'active', sync_every = NULL")
    assert ann.get(path).json()["nextSyncAt"] is None


def test_a_pause_is_answered_at_once_while_redis_is_paused(
    ann: Client, store: Pool, redis_url: str
) -> None:
    # Given a Redis that answers nothing
    account = rows.active(store)
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(1000)
        # When the account is paused
        began = time.monotonic()
        answer = ann.post(f"/api/accounts/{account.id}/pause")
        # Then the event is nobody's hurry
        assert time.monotonic() - began < 0.5
        assert answer.status_code == 200


GRANTED = {key: value for key, value in NEW.items() if key != "password"} | {
    "oauth": {"provider": "google", "refreshToken": "canary-refresh"}
}


def test_an_account_is_added_by_oauth_and_shows_no_token(
    ann: Client, store: Pool, settings: ApiSettings
) -> None:
    # Given a worker that gets in
    with a_worker_that_finds(store, "active", None):
        # When an account is added by what its owner has granted
        answer = ann.post("/api/accounts", json=GRANTED)
    # Then it says by whom, and not what
    assert answer.status_code == 201, answer.text
    assert (answer.json()["auth"], answer.json()["provider"]) == ("oauth", "google")
    assert "canary" not in answer.text
    # And the refresh token is sealed as such, so that it is no password
    with transaction(store) as connection:
        (account,) = accounts.list_of_user(connection, "ann")
    keyring = make_keyring(settings.credential_keys.get_secret_value())
    assert keyring.open(account.id, account.credential, "refresh token") == "canary-refresh"
    with pytest.raises(CredentialUnreadable):
        keyring.open(account.id, account.credential)


def test_a_login_is_changed_from_a_password_to_oauth_and_back(
    ann: Client, store: Pool, settings: ApiSettings
) -> None:
    # Given an account with a password
    account = rows.active(store)
    path = f"/api/accounts/{account.id}"
    keyring = make_keyring(settings.credential_keys.get_secret_value())

    def credential() -> bytes:
        with transaction(store) as connection:
            return accounts.get(connection, account.id).credential

    # When it gets a grant, that is what counts from now on
    grant = {"provider": "microsoft", "refreshToken": "granted"}
    changed = ann.put(f"{path}/credential", json={"oauth": grant}).json()
    assert (changed["auth"], changed["provider"]) == ("oauth", "microsoft")
    assert changed["state"] == "connecting"
    assert keyring.open(account.id, credential(), "refresh token") == "granted"
    # When it is tried again, it stays so
    resumed = ann.post(f"{path}/resume").json()
    assert (resumed["auth"], resumed["provider"]) == ("oauth", "microsoft")
    # When it gets a password, then that is it
    changed = ann.put(f"{path}/credential", json={"password": "again"}).json()
    assert (changed["auth"], changed["provider"]) == ("password", None)
    assert keyring.open(account.id, credential()) == "again"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "x"}, "either password or oauth"),
        ({"oauth": None}, "either password or oauth"),
        ({"security": "none"}, "tls or starttls"),
        (
            {"oauth": {"provider": "canary", "refreshToken": "canary"}},
            "those that are: google, microsoft",
        ),
        ({"oauth": {"provider": "google", "refreshToken": ""}}, "length"),
        ({"oauth": {"provider": "google", "refreshToken": "canary\n"}}, "printable"),
        ({"oauth": {"provider": "google", "refreshToken": "canary\u00e9"}}, "printable"),
        ({"oauth": {"provider": "google"}}, "refreshToken"),
        (
            {"oauth": {"provider": "google", "refreshToken": "x", "tokenUrl": "http://10.0.0.1"}},
            "tokenUrl",
        ),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused_in_words(
    ann: Client, change: dict[str, object], words: str
) -> None:
    # When an account with it is added
    answer = ann.post("/api/accounts", json=GRANTED | change)
    # Then the answer says what is wrong, without the token
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert "canary" not in answer.text
    assert ann.get("/api/accounts").json() == {"accounts": []}


def test_an_unknown_provider_changes_no_credential(ann: Client, store: Pool) -> None:
    account = rows.active(store)
    grant = {"provider": "elsewhere", "refreshToken": "x"}
    answer = ann.put(f"/api/accounts/{account.id}/credential", json={"oauth": grant})
    assert answer.status_code == 400
    assert "google, microsoft" in answer.json()["detail"]
    with transaction(store) as connection:
        assert accounts.get(connection, account.id).credential == account.credential


def test_providers_that_cannot_be_read_are_said_at_the_start(settings: ApiSettings) -> None:
    broken = settings.model_copy(update={"oauth_providers": SecretStr('{"corp": "canary"}')})
    with pytest.raises(SettingsError, match="POSTWIRE_OAUTH_PROVIDERS") as raised:
        create_app(broken)
    assert "canary" not in str(raised.value)
