"""The OpenAPI document, and the page that shows it."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

Client = TestClient[Litestar]


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    return client.get("/api/docs/openapi.json").json()  # type: ignore[no-any-return]


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_says_how_to_authorize(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        # Then it has words, an answer, and problems of the kind that is really sent
        assert operation["summary"], name
        assert operation["description"], name
        problems = {code: one for code, one in operation["responses"].items() if code >= "400"}
        assert {"400", "401", "503"} <= set(problems), name
        for problem in problems.values():
            assert list(problem["content"]) == ["application/problem+json"], name


def test_the_document_names_json_as_it_is_sent(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"id", "accountId", "from", "internalDate"} <= set(schemas["Message"]["properties"])
    assert "windowDays" in schemas["NewAccount"]["properties"]
    assert "password" not in schemas["Account"]["properties"]


def test_the_page_shows_every_operation_and_runs_nothing(
    client: Client, document: dict[str, Any]
) -> None:
    # When the page is opened
    answer = client.get("/api/docs")
    # Then it is a page without scripts that has it all
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")
    for name, _ in operations(document):
        method, path = name.split()
        assert f"<code>{method.upper()} {path}</code>" in answer.text


def test_the_page_shows_each_field_that_is_sent_and_marks_code(
    client: Client, document: dict[str, Any]
) -> None:
    # When the page is opened
    page = client.get("/api/docs").text
    # Then each schema has its place, with its fields, and no mark-up is left raw
    for name, schema in document["components"]["schemas"].items():
        section = page.partition(f'<h3 id="{name}">')[2].partition("<h3")[0]
        for field in schema.get("properties", {}):
            assert f"<code>{field}</code>" in section, f"{name}.{field}"
    assert "`" not in page
