"""Nothing of a user is shown to another one, or changed by them: every route, every kind of id.

The requests are made from the description of the API, so that a new route is among them, and a new
parameter or field has to be named here as an id or as none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from psycopg import sql

from postwire.model import SetAside
from postwire.store import accounts, jobs
from postwire.store.pool import Pool, transaction
from postwire_api import cursors
from postwire_api.ids import MAX_BIGINT
from support import rows
from support.jwt import bearer

Client = TestClient[Litestar]

#: What belongs to a user, by the names that its id has in paths, queries and bodies.
IDS = {
    "account_id": "account",
    "accountId": "account",
    "mailbox_id": "mailbox",
    "message_id": "message",
    "conversation_id": "conversation",
    "job_id": "job",
}
#: Parameters that are nobody's, and what is sent where one is needed.
PLAIN: dict[str, str | None] = {
    "n": "1",
    "uid": "7",
    "since": "0",
    "epoch": "1",
    "q": "secret",
    "address": "nowhere",
    "mailbox": None,
    "state": None,
    "order": None,
    "inline": None,
    "limit": None,
    "cursor": None,
}
#: What narrows a list down, which may be another statement.
NARROWED = {"mailbox": "INBOX", "state": "waiting"}
#: A body that is taken, by its schema, and its fields that are nobody's.
BODIES: dict[str, tuple[dict[str, object], set[str]]] = {
    "SyncRequest": ({}, set()),
    "ScheduleRequest": ({"every": 600}, {"every"}),
    "Scope": ({"windowDays": 3}, {"windowDays", "mailboxes"}),
    "NewCredential": ({"password": "stolen"}, {"password", "oauth"}),
    # Nothing of it names what is there already, so that it may as well be refused.
    "NewAccount": (
        {},
        {"address", "password", "oauth", "host", "port", "security", "username"}
        | {"windowDays", "mailboxes"},
    ),
}


@dataclass(frozen=True)
class Operation:
    """A route by one method, with the names of what it takes."""

    method: str
    path: str
    path_ids: tuple[str, ...]
    further_ids: tuple[str, ...]
    query: tuple[str, ...]
    body: dict[str, object] | None

    def ask(self, client: Client, user: str, ids: dict[str, str]) -> httpx.Response:
        """Ask as the user, with these ids by their names."""
        known = {name: value for name, value in PLAIN.items() if value is not None} | ids
        return client.request(
            self.method,
            self.path.format_map(known),
            params={name: known[name] for name in self.query if name in known},
            json=self.body if self.body is None else self.body | self._in_body(ids),
            headers=bearer(user),
        )

    def _in_body(self, ids: dict[str, str]) -> dict[str, str]:
        return {
            name: value
            for name, value in ids.items()
            if name in self.further_ids and name not in self.query
        }


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            given = operation.get("parameters", [])
            names = {where: _names(given, where) for where in ("path", "query")}
            assert len(given) == sum(map(len, names.values())), "a kind of parameter of its own"
            body, fields = _body(document, operation)
            further = [*names["query"], *fields]
            yield Operation(
                method=method.upper(),
                path=path,
                path_ids=tuple(name for name in names["path"] if name in IDS),
                further_ids=tuple(name for name in further if name in IDS),
                query=names["query"],
                body=body,
            )


def _names(parameters: list[dict[str, Any]], where: str) -> tuple[str, ...]:
    names = tuple(one["name"] for one in parameters if one["in"] == where)
    assert set(names) <= IDS.keys() | PLAIN.keys(), "say whether it is an id"
    return names


def _body(
    document: dict[str, Any], operation: dict[str, Any]
) -> tuple[dict[str, object] | None, list[str]]:
    if "requestBody" not in operation:
        return None, []
    (content,) = operation["requestBody"]["content"].values()
    (schema,) = [
        choice["$ref"].rpartition("/")[2]
        for choice in content["schema"].get("oneOf", [content["schema"]])
        if "$ref" in choice
    ]
    body, plain = BODIES[schema]
    fields = document["components"]["schemas"][schema]["properties"]
    assert set(fields) <= IDS.keys() | plain, "say whether it is an id"
    return body, list(fields)


@dataclass
class Owner:
    """A user who has one of everything."""

    name: str
    ids: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The id that a parameter of that name takes."""
        return self.ids[IDS[name]]


def lay_down(store: Pool, user: str) -> Owner:
    account = rows.active(store, user, f"{user}@example.com")
    box = rows.mailbox(store, account)
    attached = replace(
        rows.incoming(1, subject=f"secret of {user}"), attachments=(rows.attachment(),)
    )
    aside = (SetAside(7, "It cannot be read.", b"raw"),)
    rows.store_batch(store, replace(rows.batch(box, attached), set_aside=aside))
    with transaction(store) as connection:
        job = jobs.ask(connection, account.id, user, "manual")
        accounts.set_schedule(connection, user, account.id, 60)
        (found,) = connection.execute(
            "SELECT id, thread_id FROM message WHERE account_id = %s", [account.id]
        ).fetchall()
    message, conversation = map(str, found)
    rows.keep(store, int(message), 1, f"bytes of {user}".encode())
    return Owner(
        user,
        {
            "account": account.id,
            "mailbox": str(box.id),
            "message": message,
            "conversation": conversation,
            "job": job.id,
        },
    )


def all_rows(store: Pool) -> list[str]:
    """Every row of every table, as text."""
    with transaction(store) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        ).fetchall()
        each = sql.SQL("SELECT {name} || one::text FROM {table} AS one")
        parts = [
            each.format(name=sql.Literal(f"{table} "), table=sql.Identifier(table))
            for (table,) in tables
        ]
        found = connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall()
    return sorted(row for (row,) in found)


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    return client.get("/api/docs/openapi.json").json()  # type: ignore[no-any-return]


def foreign(operation: Operation, mine: Owner, theirs: Owner) -> Iterator[dict[str, str]]:
    """The ids of all requests in which at least one is theirs."""
    for owners in product((mine, theirs), repeat=len(operation.path_ids)):
        if theirs in owners:
            yield {
                name: owner.of(name) for name, owner in zip(operation.path_ids, owners, strict=True)
            }
    own = {name: mine.of(name) for name in operation.path_ids}
    for name in operation.further_ids:
        yield own | {name: theirs.of(name)}


def test_what_is_somebody_elses_is_not_there_and_stays_as_it_is(
    client: Client, store: Pool, document: dict[str, Any]
) -> None:
    # Given two users who have one of everything
    bob, ann = lay_down(store, "bob"), lay_down(store, "ann")
    before = all_rows(store)
    tried = set()
    for operation in operations(document):
        for ids in foreign(operation, bob, ann):
            # When one asks for what is the other's, alone or together with what is their own
            answer = operation.ask(client, "bob", ids)
            # Then there is no such thing
            said = (operation.method, operation.path, ids, answer.text)
            assert answer.status_code == 404, said
            assert operation.method == "HEAD" or answer.json()["type"] == "/problems/not-found"
            # And every row is as it was
            assert all_rows(store) == before, said
            tried |= {IDS[name] for name in ids}
    # Then every kind of thing was asked for
    assert tried == set(ann.ids)


def test_the_owner_finds_all_of_it_by_the_same_requests(
    client: Client, store: Pool, document: dict[str, Any]
) -> None:
    ann = lay_down(store, "ann")
    # The account is removed after everything else.
    for operation in sorted(operations(document), key=lambda one: one.method == "DELETE"):
        for names in {operation.path_ids, *((name,) for name in operation.further_ids)} - {()}:
            answer = operation.ask(client, "ann", {name: ann.of(name) for name in names})
            said = (operation.method, operation.path, answer.text)
            assert answer.status_code in (200, 204, 409), said


POSITIONS = [
    cursors.MessagePosition(datetime(2999, 1, 1, tzinfo=UTC), MAX_BIGINT),
    cursors.JobPosition(
        datetime(2999, 1, 1, tzinfo=UTC), f"sync-ffffffff-ffff-ffff-ffff-ffffffffffff-{MAX_BIGINT}"
    ),
    cursors.SearchPosition(datetime(2999, 1, 1, tzinfo=UTC), MAX_BIGINT, 0),
]


def test_what_is_asked_for_without_an_id_is_the_callers_own(
    client: Client, store: Pool, document: dict[str, Any]
) -> None:
    # Given two users who have one of everything
    lay_down(store, "bob")
    ann = lay_down(store, "ann")

    def hers() -> list[str]:
        return [row for row in all_rows(store) if ann.ids["account"] in row]

    before, shown = hers(), 0
    for operation in operations(document):
        if operation.path_ids:
            continue
        begun = [{"cursor": cursors.encode(one)} for one in POSITIONS]
        for further in ({}, NARROWED, *begun) if operation.method == "GET" else ({},):
            # When bob asks for what there is, from wherever a cursor could begin
            answer = operation.ask(client, "bob", further)
            # Then nothing of ann is shown
            said = (operation.method, operation.path, further, answer.text)
            assert answer.status_code in (200, 400), said
            for secret in (ann.ids["account"], "secret of ann"):
                assert secret not in answer.text, said
            shown += "secret of bob" in answer.text
            # And what is ann's is as it was
            assert hers() == before, said
    assert shown >= 3


def test_what_a_user_sees_and_counts_is_the_same_whoever_else_there_is(
    client: Client, store: Pool, document: dict[str, Any]
) -> None:
    # Given a user who is alone
    lay_down(store, "bob")
    lists = [one for one in operations(document) if one.method == "GET" and not one.path_ids]

    def seen() -> list[str]:
        return [one.ask(client, "bob", more).text for one in lists for more in ({}, NARROWED)]

    alone = seen()
    # When another one comes, then each list and each count is what it was
    lay_down(store, "ann")
    assert seen() == alone
    assert len(lists) >= 8
