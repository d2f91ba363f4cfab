"""Changes over HTTP: what a client asks for that may have missed events."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


def test_changes_have_the_contracts_shape(ann: Client, store: Pool) -> None:
    # Given a client that has two messages, one of which was expunged since, and a new one
    account = rows.active(store)
    first = rows.batch(rows.mailbox(store, account), rows.incoming(1), rows.incoming(2))
    had = rows.store_batch(store, first)
    rows.store_batch(store, rows.batch(first.mailbox, rows.incoming(3), before=first.after))
    with transaction(store) as connection:
        connection.execute("UPDATE account SET revision = revision + 1")
        connection.execute(
            "UPDATE message SET expunged_at = now(), revision = %s WHERE id = 1", [had.revision + 2]
        )
    # When it asks
    path = f"/api/accounts/{account.id}/changes?epoch=1&since={had.revision}"
    told = ann.get(path).json()
    # Then it is told, messages in the shape of the list
    assert told == {
        "accountId": account.id,
        "epoch": 1,
        "revision": had.revision + 2,
        "added": [ann.get("/api/messages").json()["messages"][0]],
        "changed": [],
        "expunged": ["1"],
        "more": False,
        "reset": False,
    }
    # And page by page the same
    page = ann.get(f"{path}&limit=1").json()
    assert ([one["id"] for one in page["added"]], page["expunged"], page["more"]) == (
        ["3"],
        [],
        True,
    )
    rest = ann.get(f"/api/accounts/{account.id}/changes?epoch=1&since={page['revision']}").json()
    assert (rest["expunged"], rest["more"], rest["revision"]) == (["1"], False, told["revision"])


def test_a_client_of_another_epoch_is_told_to_load_again(ann: Client, store: Pool) -> None:
    # Given an account
    account = rows.active(store)
    # When somebody asks who has what was before its history was rebuilt
    told = ann.get(f"/api/accounts/{account.id}/changes?epoch=0&since=0").json()
    # Then nothing is told but where the account is
    assert told == {
        "accountId": account.id,
        "epoch": 1,
        "revision": account.revision,
        "added": [],
        "changed": [],
        "expunged": [],
        "more": False,
        "reset": True,
    }


@pytest.mark.parametrize(
    "query",
    ["", "since=0", "epoch=1", "since=-1&epoch=1", "since=x&epoch=1", "since=0&epoch=1&limit=0",
     "since=9223372036854775808&epoch=1", "since=0&epoch=9223372036854775808"],
)  # fmt: skip
def test_a_question_that_is_not_well_formed_is_refused(
    ann: Client, store: Pool, query: str
) -> None:
    account = rows.active(store)
    assert ann.get(f"/api/accounts/{account.id}/changes?{query}").status_code == 400


def test_what_is_no_account_has_no_changes(ann: Client) -> None:
    nobodys = "087cf757-e94d-435b-8f58-4799cc8a5e22"
    for id_ in ("x", nobodys):
        assert ann.get(f"/api/accounts/{id_}/changes?since=0&epoch=1").status_code == 404
