"""Where messages lie: flags and expunged messages, and the revisions they make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postwire.model import Account, Flagged, Mailbox
from postwire.store import accounts, messages, placements
from postwire.store.pool import Pool, transaction
from support import rows


@pytest.fixture
def account(store: Pool) -> Account:
    return rows.active(store)


@pytest.fixture
def box(store: Pool, account: Account) -> Mailbox:
    """A mailbox with the UIDs 1 to 3, of which 1 was seen."""
    box = rows.mailbox(store, account)
    what = rows.batch(box, rows.incoming(1, flags=["\\Seen"]), rows.incoming(2), rows.incoming(3))
    rows.store_batch(store, what)
    return replace(box, cursor=what.after)


def revisions(store: Pool) -> dict[int, tuple[int, bool]]:
    with transaction(store) as connection:
        found = connection.execute(
            "SELECT id, revision, expunged_at IS NOT NULL FROM message ORDER BY id"
        )
        return {id_: (revision, gone) for id_, revision, gone in found}


def test_flags_that_are_the_same_change_nothing(store: Pool, box: Mailbox) -> None:
    # Given flags that are known, in another order, and of a message that is not stored
    before = revisions(store)
    said = [Flagged(1, ("\\Seen",), None), Flagged(99, ("\\Seen",), None)]
    # When they are taken over
    with transaction(store) as connection:
        assert placements.set_flags(connection, box, said, force=False) is None
    # Then there is no new revision
    assert revisions(store) == before


def test_changed_flags_stamp_their_message_and_no_other(store: Pool, box: Mailbox) -> None:
    with transaction(store) as connection:
        said = [Flagged(1, ("\\Seen",), 5), Flagged(2, ("\\Seen", "a"), 6)]
        stored = placements.set_flags(connection, box, said, force=False)
        assert stored is not None
        (newest,) = messages.list_of_user(
            connection, "ann", account_id=None, mailbox=None, before=None, limit=9
        )[1:2]
    assert [revision for revision, _ in revisions(store).values()] == [2, 3, 2]
    assert (newest.revision, set(newest.flags)) == (3, {"\\Seen", "a"})


def test_a_lower_modseq_is_passed_over_unless_it_is_forced(store: Pool, box: Mailbox) -> None:
    with transaction(store) as connection:
        assert placements.set_flags(connection, box, [Flagged(2, ("a",), 9)], force=False)
        old = [Flagged(2, ("b",), 8)]
        assert placements.set_flags(connection, box, old, force=False) is None
        assert placements.set_flags(connection, box, old, force=True)


def test_a_message_is_expunged_when_its_last_placement_goes(
    store: Pool, account: Account, box: Mailbox
) -> None:
    # Given a message that lies in two mailboxes
    other = rows.mailbox(store, account, "Archive")
    rows.store_batch(store, rows.batch(other, rows.incoming(1)))
    # When both messages 1 and 2 go from the one
    with transaction(store) as connection:
        stored = placements.expunge(connection, box, [1, 2, 77])
    # Then only the one without a place is marked, and both are stamped
    assert stored is not None
    assert revisions(store) == {
        1: (stored.revision, False),
        2: (stored.revision, True),
        3: (2, False),
    }
    # And the same again changes nothing
    with transaction(store) as connection:
        assert placements.expunge(connection, box, [1, 2, 77]) is None
        assert accounts.get(connection, account.id).revision == stored.revision
    # And a message that comes back is as it was
    rows.store_batch(
        store, rows.batch(other, rows.incoming(2), before=replace(rows.START, uidnext=2))
    )
    assert revisions(store)[2][1] is False


def test_a_mailbox_is_emptied_in_pages(
    store: Pool, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placements, "PAGE", 2)
    with transaction(store) as connection:
        pages = [placements.empty(connection, box) for _ in range(3)]
    assert [page and page.revision for page in pages] == [3, 4, None]
    assert all(gone for _, gone in revisions(store).values())


def test_messages_without_a_place_are_marked(store: Pool, account: Account, box: Mailbox) -> None:
    with transaction(store) as connection:
        connection.execute("DELETE FROM placement WHERE uid = 2")
        assert placements.expunge_homeless(connection, account.id)
        assert placements.expunge_homeless(connection, account.id) is None
        assert placements.count(connection, box) == 2
    assert [gone for _, gone in revisions(store).values()] == [False, True, False]


def test_a_new_name_stamps_all_messages_in_pages(
    store: Pool, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placements, "PAGE", 2)
    with transaction(store) as connection:
        first = placements.touch(connection, box, 0)
        assert first is not None
        second = placements.touch(connection, box, first[0])
        assert second is not None
        assert placements.touch(connection, box, second[0]) is None
    assert [revision for revision, _ in revisions(store).values()] == [3, 3, 4]


def test_uids_and_a_sample_come_in_order(store: Pool, box: Mailbox) -> None:
    with transaction(store) as connection:
        assert placements.uids(connection, box, 0, 2) == [1, 2]
        assert placements.uids(connection, box, 2, 9) == [3]
        sample = placements.sample(connection, box, 2)
    assert [uid for uid, _ in sample] == [3, 2]
    assert sample[0][1] == rows.incoming(3).digest
