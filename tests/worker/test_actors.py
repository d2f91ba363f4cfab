"""What a run tells while and after it works, on real servers."""

from __future__ import annotations

from worker.conftest import Accounts

from postwire import events
from postwire.model import Account
from postwire.store import jobs
from postwire.store.pool import transaction
from postwire_worker import actors
from postwire_worker.runtime import Runtime
from support.mailbox import MailUser, letter


def told(runtime: Runtime, account: Account) -> list[events.Event]:
    """What one run of a job tells."""
    with runtime.redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(events.CHANNEL)
        listener.get_message(timeout=5)
        with transaction(runtime.pool) as connection:
            asked = jobs.ask(connection, account.id, account.user_id, "manual")
        actors.run(runtime, asked.id)
        heard = []
        while message := listener.get_message(timeout=0.5):
            heard.append(events.decode(message["data"]))
    return heard


def test_flags_and_expunged_messages_are_told_and_count_nothing(
    runtime: Runtime, add_account: Accounts, user: MailUser
) -> None:
    # Given a synced account, whose first sync told how far it was
    account = add_account.add(user)
    user.append(letter("one"), letter("two"))
    first = told(runtime, account)
    assert [event.type for event in first] == ["state", "sync", "progress"]
    assert (first[-1].done, first[-1].total) == (2, 2)
    # When another client reads a message and expunges the other
    with user.session() as mail:
        mail.select_folder("INBOX")
        mail.add_flags([1], [r"\Seen"])
        mail.delete_messages([2])
        mail.expunge([2])
    heard = told(runtime, account)
    # Then both are told, each with its revision
    assert [(event.type, event.count) for event in heard] == [("flags", 0), ("expunged", 0)]
    assert [event.revision - heard[0].revision for event in heard] == [0, 1]
    # And a run that finds nothing tells nothing
    assert told(runtime, account) == []
