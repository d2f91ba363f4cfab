"""The runbooks: what they tell somebody to type at night does something."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from postwire_demo.services import SERVICES

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/runbooks").glob("*.md"))
NAMES = {page.stem: page for page in PAGES}


@pytest.mark.parametrize("name", NAMES)
def test_each_query_to_postgresql_is_answered(name: str, database_url: str) -> None:
    queries = re.findall(r"```sql\n(.+?)```", NAMES[name].read_text(), re.DOTALL)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for query in queries:
            connection.execute(query)


@pytest.mark.parametrize("name", NAMES)
def test_each_process_that_is_named_is_one(name: str) -> None:
    named = set(re.findall(r"deploy/postwire-([a-z-]+)\b", NAMES[name].read_text()))
    assert named <= {*SERVICES, ""}


@pytest.mark.parametrize("name", NAMES)
def test_each_link_leads_somewhere(name: str) -> None:
    page = NAMES[name]
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link
