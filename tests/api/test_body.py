"""Bodies of requests: strict JSON, refused in words."""

from __future__ import annotations

import json

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.store.pool import Pool
from support import rows

Client = TestClient[Litestar]

NEW = {
    "address": "ann@example.com",
    "password": "correct horse",
    "host": "imap.example.com",
    "port": 993,
    "security": "tls",
}

WRONG: list[tuple[dict[str, object], str]] = [
    ({"port": "993"}, "port: Expected `int`, got `str`"),
    ({"port": 993.5}, "port: Expected `int`, got `float`"),
    ({"port": True}, "port: Expected `int`, got `bool`"),
    ({"port": 2**63}, "port: Expected `int` <= 65535"),
    ({"port": 10**400}, "port: Expected `int` <= 65535"),
    ({"windowDays": "null"}, "windowDays: Expected `int | null`, got `str`"),
    ({"windowDays": "30"}, "windowDays: Expected `int | null`, got `str`"),
    ({"oauth": "null"}, "oauth: Expected `object | null`, got `str`"),
    ({"password": 7}, "password: Expected `str | null`, got `int`"),
    ({"mailboxes": "INBOX"}, "mailboxes: Expected `array | null`, got `str`"),
    ({"mailboxes": ["a\0b"]}, "mailboxes: names may not hold line breaks or NUL"),
    ({"mailboxes": ["INBOX"] * 201}, "mailboxes: Expected `array` of length <= 200"),
    ({"username": "ann\0"}, "username: it may not hold line breaks or NUL"),
    ({"host": "imap\0.example.com"}, "host: write a host name"),
    ({"adress": "ann@example.com"}, "Object contains unknown field `adress`"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_what_is_of_another_kind_is_refused_and_not_converted(
    ann: Client, change: dict[str, object], words: str
) -> None:
    # When an account is added with a field that is not of its kind
    answer = ann.post("/api/accounts", content=json.dumps(NEW | change))
    # Then the answer says which one
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 30_000, "Expected `object | null`, got `array`"),
        (b'{"accountId":' * 5000, "accountId: Expected `str | null`, got `object`"),
        (b'{"accountId": "\xed\xa0\x80"}', "not well-formed JSON in UTF-8"),
        (b'{"accountId": "\\ud800"}', "not well-formed JSON in UTF-8"),
        (b'{"accountId": "x"', "not well-formed JSON in UTF-8"),
        (b'{"accountId": NaN}', "not well-formed JSON in UTF-8"),
        (b'{"accountId": "x"} {}', "not well-formed JSON in UTF-8"),
    ],
)
def test_what_is_no_json_is_refused_in_words(ann: Client, body: bytes, words: str) -> None:
    answer = ann.post("/api/email/sync", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_text_that_reads_null_is_a_text(ann: Client, store: Pool) -> None:
    # Given an account
    account = rows.active(store)
    # When its password becomes one that other decoders take for none
    answer = ann.put(f"/api/accounts/{account.id}/credential", json={"password": "null"})
    # Then it is a password
    assert answer.status_code == 200
    assert answer.json()["auth"] == "password"
