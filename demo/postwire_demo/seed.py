"""Fills the demo's mailboxes and makes them known to Postwire: `python -m postwire_demo.seed`.

It goes through IMAP and the REST API, as any program of a user would.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from postwire.tokens import sign_bearer
from postwire_demo import letters, mail
from postwire_demo.errors import DemoError
from postwire_demo.mail import MailAccount

USER = "demo"
ADDRESS = "demo@postwire.example"
#: A demo left running over a long weekend still opens.
LIFETIME = timedelta(days=7)
#: Seconds the API may take to come up, with its database migrated beside it.
PATIENCE = 60.0
_TIMEOUT = 30.0


class SeedSettings(BaseSettings):
    """What the seed reads from POSTWIRE_DEMO_*, and the API's own secret."""

    model_config = SettingsConfigDict(
        env_prefix="POSTWIRE_DEMO_", env_nested_delimiter="_", env_nested_max_split=1
    )

    #: POSTWIRE_DEMO_IMAP_HOST, _PORT, _SECURITY, _USERNAME, _PASSWORD: as Postwire reaches it.
    imap: MailAccount
    #: The API as this process reaches it.
    api: str = "http://127.0.0.1:8000"
    #: The API as a browser reaches it; empty means the same.
    page: str = ""
    #: The API's secret; the token is made with it.
    jwt_secret: SecretStr = Field(validation_alias="POSTWIRE_JWT_SECRET")


def main() -> None:
    """Fill the mailboxes, make the account, and print the address of its inbox."""
    settings = SeedSettings(_secrets_dir=os.environ.get("POSTWIRE_SECRETS_DIR"))  # type: ignore[call-arg]
    token = sign_bearer(settings.jwt_secret.get_secret_value(), USER, LIFETIME)
    mail.fill(settings.imap, letters.seeds(letters.now()))
    ensure_account(settings.api, token, settings.imap)
    print(f"The inbox: {inbox(settings.page or settings.api, token)}")


def inbox(page: str, token: str) -> str:
    """The address that opens the inbox; what follows # stays in the browser."""
    return f"{page}/#token={token}"


def ensure_account(api: str, token: str, account: MailAccount) -> str:
    """The id of the demo's account, made when it is not there or lies somewhere else now.

    Raises:
        DemoError: the API does not come up, or refuses.
    """
    headers = {"Authorization": f"Bearer {token}"}
    # Never through a proxy: the API is on this machine or in the same Compose network.
    with httpx.Client(base_url=api, headers=headers, timeout=_TIMEOUT, trust_env=False) as client:
        for known in _accounts(client):
            if (known["host"], known["port"]) == (account.host, account.port):
                return str(known["id"])
            _checked(client.delete(f"/api/accounts/{known['id']}"))
        made = _checked(client.post("/api/accounts", json={"address": ADDRESS, **dict(account)}))
        return str(made.json()["id"])


def _accounts(client: httpx.Client) -> list[dict[str, Any]]:
    """The caller's accounts, as soon as the API answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            found = _checked(client.get("/api/accounts")).json()["accounts"]
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise DemoError(f"The API does not answer: {error}") from None
            time.sleep(0.2)
        else:
            return [one for one in found if one["address"] == ADDRESS]


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise DemoError(f"The API refused ({response.status_code}): {response.text[:500]}")
    return response


if __name__ == "__main__":
    main()
