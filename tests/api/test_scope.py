"""Which mailboxes are synced, and how far back."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.store import jobs, mailboxes
from postwire.store.pool import Pool, transaction
from support import rows

Client = TestClient[Litestar]


def test_mailboxes_and_window_are_changed_each_by_itself(ann: Client, store: Pool) -> None:
    # Given an account
    account = rows.active(store)
    path = f"/api/accounts/{account.id}"
    # When its mailboxes are named
    answer = ann.patch(path, json={"mailboxes": ["INBOX", "\\Archive", "Kunden/Österreich"]})
    # Then they are kept, the window stays, and a sync was asked for
    assert answer.status_code == 200
    assert answer.json()["mailboxes"] == ["INBOX", "\\Archive", "Kunden/Österreich"]
    assert answer.json()["windowDays"] == 30
    assert answer.json()["revision"] == account.revision + 1
    with transaction(store) as connection:
        (job,) = jobs.list_of_user(
            connection, "ann", account_id=None, state=None, before=None, limit=9
        )
    assert (job.account_id, job.reason) == (account.id, "manual")
    # And when the window is, the mailboxes stay; null is INBOX and Sent, and all mail
    assert ann.patch(path, json={"windowDays": None}).json()["mailboxes"] is not None
    assert ann.patch(path, json={"mailboxes": None}).json() == ann.get(path).json()
    assert ann.get(path).json()["mailboxes"] is None
    assert ann.get(path).json()["windowDays"] is None


def test_a_wider_window_is_filled_and_a_narrower_one_takes_nothing_away(
    ann: Client, store: Pool
) -> None:
    # Given a mailbox that is filled as far back as a week
    account = rows.active(store)
    box = rows.mailbox(store, account)
    rows.store_batch(store, rows.batch(box, rows.incoming(7)))
    with transaction(store) as connection:
        connection.execute("UPDATE mailbox SET window_start = current_date - 7")

    def backfill_uid() -> int:
        with transaction(store) as connection:
            (found,) = mailboxes.list_all(connection, account.id)
        assert found.cursor is not None
        return found.cursor.backfill_uid

    # When the window becomes narrower, then wider
    ann.patch(f"/api/accounts/{account.id}", json={"windowDays": 3})
    narrower = backfill_uid()
    ann.patch(f"/api/accounts/{account.id}", json={"windowDays": 90})
    # Then only the wider one is filled anew
    assert narrower == 0
    assert backfill_uid() == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"mailboxes": [""]},
        {"mailboxes": ["a\r\nb"]},
        {"mailboxes": ["a\0b"]},
        {"mailboxes": "INBOX"},
        {"mailboxes": ["x"] * 201},
        {"windowDays": 0},
        {"window": 3},
    ],
)
def test_what_cannot_be_synced_is_refused_in_words(
    ann: Client, store: Pool, wrong: dict[str, object]
) -> None:
    account = rows.active(store)
    answer = ann.patch(f"/api/accounts/{account.id}", json=wrong)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_account_of_somebody_else_is_404(ann: Client, store: Pool) -> None:
    account = rows.active(store, "bob", "bob@example.com")
    answer = ann.patch(f"/api/accounts/{account.id}", json={"windowDays": 3})
    assert answer.status_code == 404
