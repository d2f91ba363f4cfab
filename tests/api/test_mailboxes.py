"""The mailboxes of an account."""

from __future__ import annotations

from datetime import datetime

from litestar import Litestar
from litestar.testing import TestClient

from postwire.store import mailboxes
from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


def test_mailboxes_are_listed_with_what_is_stored_of_them(ann: Client, store: Pool) -> None:
    # Given two mailboxes, one of them with a read and an unread message
    account = rows.active(store)
    rows.mailbox(store, account, "Archive")
    inbox = rows.mailbox(store, account)
    rows.store_batch(store, rows.batch(inbox, rows.incoming(1), rows.incoming(2, flags=["\\Seen"])))
    with transaction(store) as connection:
        mailboxes.checked(connection, account.id)
    # When they are listed
    listed = ann.get(f"/api/accounts/{account.id}/mailboxes").json()["mailboxes"]
    # Then INBOX comes first, with its counts
    assert [(one["name"], one["messages"], one["unread"]) for one in listed] == [
        ("INBOX", 2, 1),
        ("Archive", 0, 0),
    ]
    assert set(listed[0]) == {
        *("id", "name", "delimiter", "specialUse", "messages", "unread", "checkedAt", "problem")
    }
    assert datetime.fromisoformat(listed[0]["checkedAt"]).tzinfo is not None


def test_what_is_no_account_is_404(ann: Client) -> None:
    nobodys = "087cf757-e94d-435b-8f58-4799cc8a5e22"
    for id_ in ["x", "%00", f"{{{nobodys}}}", nobodys.replace("-", ""), nobodys]:
        assert ann.get(f"/api/accounts/{id_}/mailboxes").status_code == 404, id_
        assert ann.get(f"/api/accounts/{id_}").status_code == 404, id_
