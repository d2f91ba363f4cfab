"""The application as a whole: its routes, and its limits."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from postwire.errors import SettingsError
from postwire.settings import ApiSettings
from postwire_api.app import create_app

CONTRACT = {
    "/api/email/sync": {"POST", "GET"},
    "/api/email/sync/schedule": {"POST", "GET", "DELETE"},
    "/api/accounts": {"POST", "GET"},
    "/api/accounts/{account_id}": {"GET", "DELETE"},
    "/api/accounts/{account_id}/pause": {"POST"},
    "/api/accounts/{account_id}/resume": {"POST"},
    "/api/accounts/{account_id}/credential": {"PUT"},
    "/api/accounts/{account_id}/mailboxes": {"GET"},
    "/api/messages": {"GET"},
    "/api/messages/{message_id}": {"GET"},
    "/api/jobs": {"GET"},
    "/api/jobs/{job_id}": {"GET"},
    "/api/realtime-token": {"POST"},
}


def test_the_routes_are_those_of_the_contract_and_no_others(settings: ApiSettings) -> None:
    # When the routes of an application without a page are listed
    routes = {
        route.path_format: route.methods - {"OPTIONS"}  # type: ignore[union-attr]
        for route in create_app(settings).routes
        if not route.path_format.startswith("/api/docs")
    }
    # Then they are what was agreed
    assert routes == CONTRACT


@pytest.mark.parametrize("keys", ["k1:short", "none", "k1:"])
def test_a_credential_key_that_is_none_stops_the_start_and_is_not_repeated(
    settings: ApiSettings, keys: str
) -> None:
    # Given such a key
    wrong = settings.model_copy(update={"credential_keys": SecretStr(keys)})
    # When the application is made
    with pytest.raises(SettingsError) as raised:
        create_app(wrong)
    # Then the words say which setting is wrong, without the key
    assert "POSTWIRE_CREDENTIAL_KEYS" in str(raised.value)
    assert "short" not in str(raised.value)
