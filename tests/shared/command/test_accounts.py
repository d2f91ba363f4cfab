"""`postwire account`, run as a process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from postwire.model import Headers
from postwire.store import accounts
from postwire.store.pool import Pool, make_pool, transaction
from support import rows
from support.command import postwire


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def test_accounts_are_listed_by_user_and_state(store: Pool) -> None:
    # Given accounts of two users, one of which was refused
    rows.active(store, "ann", "ann@example.com")
    refused = rows.active(store, "bob", "bob@example.com")
    with transaction(store) as connection:
        accounts.set_state(connection, refused, "auth_failed", "The mail server refused it.")
    url = store.conninfo
    # Then each is found
    header, *lines = postwire("account", "list", database_url=url).stdout.splitlines()
    assert header.split() == ["ACCOUNT", "ADDRESS", "USER", "STATE", "SINCE", "LOOKED", "AT"]
    assert "    The mail server refused it." in lines
    assert sorted(line.split()[1] for line in lines if line[0] != " ") == [
        "ann@example.com",
        "bob@example.com",
    ]
    some = postwire("account", "list", "--user", "ann", "--state", "auth_failed", database_url=url)
    assert (some.code, len(some.stdout.splitlines())) == (0, 1)
    # And machines can read it
    (one,) = json.loads(
        postwire("account", "list", "--state", "auth_failed", "--json", database_url=url).stdout
    )
    assert (one["id"], one["state_reason"]) == (refused.id, "The mail server refused it.")


def test_one_is_shown_and_explained_without_secrets_or_mail(store: Pool) -> None:
    # Given an account with mail, whose name would clear the screen
    account = rows.active(store, "ann", "ann@example.com")
    box = rows.mailbox(store, account, "In\x1b[2Jbox")
    mail = rows.incoming(1, subject="canary-subject")
    assert isinstance(mail.headers, Headers)
    rows.store_batch(store, rows.batch(box, mail))
    with transaction(store) as connection:
        connection.execute("UPDATE account SET credential = 'canary-credential'")
    url = store.conninfo
    said = [
        postwire("account", "show", "ANN@example.com", database_url=url),
        postwire("account", "explain", account.id, database_url=url),
        postwire("account", "show", account.id, "--json", database_url=url),
        postwire("account", "explain", account.id, "--json", database_url=url),
    ]
    shown, explained, *machines = said
    # Then all of it is there but what must not be
    assert [one.code for one in said] == [0] * 4, said
    assert "server imap.example.com:993, security tls" in shown.out
    assert "In?[2Jbox: 1 stored" in explained.out
    assert not [one for one in said if "canary" in one.stdout + one.stderr]
    asked = [json.loads(one.stdout) for one in machines]
    assert asked[0]["address"] == asked[1]["account"]["address"] == "ann@example.com"
    assert asked[1]["story"]["watched by"] == ["nobody: NO WATCHER IS ALIVE"]


def test_one_that_is_not_there_or_not_the_only_one_ends_with_1(store: Pool) -> None:
    ids = {rows.active(store, user).id for user in ("ann", "bob")}
    for what in ("show", "explain"):
        many = postwire("account", what, "ann@example.com", database_url=store.conninfo)
        assert (many.code, many.stdout) == (1, "")
        assert all(id_ in many.said for id_ in ids)
    none = postwire("account", "explain", "no@example.com", database_url=store.conninfo)
    assert (none.code, none.stdout) == (1, "")
    assert "no account of that id or address" in none.said
