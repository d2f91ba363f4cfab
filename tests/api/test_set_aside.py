"""Messages set aside, as their user sees them."""

from __future__ import annotations

from dataclasses import replace

from litestar import Litestar
from litestar.testing import TestClient

from postwire.model import Account, SetAside
from postwire.store import accounts
from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


def with_two(store: Pool) -> tuple[Account, int]:
    """An account with two messages set aside, one with its bytes; and their mailbox."""
    account = rows.active(store)
    box = rows.mailbox(store, account)
    aside = (SetAside(3, "It is odd."), SetAside(4, "It is odder.", b"Subject: x\r\n\r\ny"))
    rows.store_batch(store, replace(rows.batch(box, rows.incoming(1)), set_aside=aside))
    return account, box.id


def test_they_are_listed_with_error_place_and_what_will_be(ann: Client, store: Pool) -> None:
    account, box = with_two(store)
    listed = ann.get(f"/api/accounts/{account.id}/set-aside").json()["setAside"]
    assert [(one["uid"], one["error"], one["rawSize"]) for one in listed] == [
        (3, "It is odd.", None),
        (4, "It is odder.", 15),
    ]
    assert {"at", "retryAt", "attempts", "mailbox", "mailboxId"} < set(listed[0])
    assert (listed[0]["mailbox"], listed[0]["mailboxId"]) == ("INBOX", str(box))


def test_their_bytes_are_served_to_be_saved(ann: Client, store: Pool) -> None:
    account, box = with_two(store)
    raw = ann.get(f"/api/accounts/{account.id}/set-aside/{box}/4/raw")
    assert raw.content == b"Subject: x\r\n\r\ny"
    assert raw.headers["content-type"] == "message/rfc822"
    assert raw.headers["content-disposition"].startswith("attachment;")
    for nothing in (f"{box}/3", f"{box}/5", "9/4", "x/4", f"{box}/99999999999999999999"):
        path = f"/api/accounts/{account.id}/set-aside/{nothing}/raw"
        assert ann.get(path).status_code == 404, nothing


def test_trying_again_is_a_job(ann: Client, store: Pool) -> None:
    account, _ = with_two(store)
    path = f"/api/accounts/{account.id}/set-aside"
    # When they are to be tried again
    tried = ann.post(f"{path}/retry").json()
    # Then there is a manual job for it, and each is due
    assert tried["due"] == 2
    assert ann.get(f"/api/jobs/{tried['jobId']}").json()["reason"] == "manual"


def test_trying_nothing_again_is_no_job(ann: Client, store: Pool) -> None:
    account = rows.active(store)
    tried = ann.post(f"/api/accounts/{account.id}/set-aside/retry").json()
    assert tried == {"success": True, "due": 0, "jobId": None}


def test_a_paused_account_is_not_tried(ann: Client, store: Pool) -> None:
    account, _ = with_two(store)
    with transaction(store) as connection:
        accounts.pause(connection, "ann", account.id)
    assert ann.post(f"/api/accounts/{account.id}/set-aside/retry").status_code == 409
