"""The token that opens the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from litestar import Litestar
from litestar.testing import TestClient

from postwire import tokens
from postwire.store.pool import Pool
from support import rows
from support.jwt import REALTIME_SECRET

Client = TestClient[Litestar]


def test_the_realtime_token_opens_all_accounts_of_its_user_and_no_others(
    ann: Client, store: Pool
) -> None:
    # Given two accounts of ann and one of bob
    mine = {rows.active(store, "ann", f"{n}@example.com").id for n in "ab"}
    rows.active(store, "bob", "bob@example.com")
    # When ann asks for a token
    answer = ann.post("/api/realtime-token")
    # Then the gateway finds her accounts in it, for a quarter of an hour
    body = answer.json()
    assert answer.status_code == 200
    assert body["url"] == "https://gateway.example.com"
    realtime = tokens.verify_realtime(REALTIME_SECRET, body["token"])
    assert (realtime.user_id, realtime.accounts) == ("ann", mine)
    expires_at = datetime.fromisoformat(body["expiresAt"])
    assert expires_at == realtime.expires_at
    assert timedelta(minutes=14) < expires_at - datetime.now(UTC) <= timedelta(minutes=15)
