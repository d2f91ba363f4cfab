"""What is typed is understood or refused; nothing else comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postwire.errors import BadQuery
from postwire_api.query import parse

#: What queries are made of, and what breaks parsers.
PARTS = st.one_of(
    st.sampled_from(
        ['"', "-", "or", "OR", " ", ":", "*", "'", "\\", "\0", "(", ")", "!", "&", "|", "<->", "%s"]
    ),
    st.sampled_from(["from:", "to:", "subject:", "has:", "is:", "in:", "before:", "larger:"]),
    st.sampled_from(["anna", "unread", "attachment", "2026-01-31", "10m", "\\Sent", "東京", "ß"]),
    st.text(alphabet=st.characters(), max_size=8),
)
QUERIES = st.lists(PARTS, max_size=30).map("".join)
settings.register_profile("search", derandomize=True, database=None, deadline=None)


@pytest.fixture(scope="module")
def connection(postgres_server: str) -> Iterator[psycopg.Connection]:
    """A database that says whether a tsquery is one."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


@settings(
    settings.get_profile("search"),
    max_examples=1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=QUERIES)
def test_whatever_is_typed_is_understood_or_refused(
    connection: psycopg.Connection, text: str
) -> None:
    # When anything at all is typed
    try:
        query = parse(text)
    except BadQuery as refused:
        # Then it is refused in words
        if len(str(refused)) > 300:
            pytest.fail(f"too many words: {refused}")
        return
    # Or it is a tsquery as PostgreSQL reads it, and the names have nothing PostgreSQL refuses
    names = [query.mailbox, *query.not_mailboxes]
    connection.execute("SELECT %s::tsquery, %s::text[]", [query.words, names])


def test_words_phrases_alternatives_and_beginnings_become_a_tsquery() -> None:
    # When they are parsed, then what was typed stands between quotes
    assert parse("Red car").words == "('red' & 'car')"
    assert parse('"red car" or -bike').words == "(('red' <-> 'car')) | (!('bike'))"
    assert parse("invoic*").words == "('invoic':*)"
    assert parse("o'neil").words == "(('o' <-> 'neil'))"
    assert parse("from:anna@b.c").words == "(('f:anna' <-> 'f:b' <-> 'f:c'))"
    assert parse("-has:attachment x").words == "(!('h:attachment') & 'x')"


def test_an_alternative_that_demands_nothing_cannot_be_found_by_the_index() -> None:
    # When all alternatives demand a word, the index can find them; else it cannot
    assert parse("a -b or c").indexed
    assert not parse("a or -b").indexed
    assert not parse("is:unread").indexed
    assert not parse("-a").indexed


def test_filters_on_columns_are_kept_apart() -> None:
    # When filters are typed in any case
    query = parse('IS:Unread in:"My Box" -in:\\Junk after:2026-01-31 larger:2k smaller:3MB FROM:x')
    # Then each is what it says
    assert query.words == "('f:x')"
    assert (query.unread, query.mailbox, query.not_mailboxes) == (True, "My Box", ("Junk",))
    assert query.after == datetime(2026, 1, 31, tzinfo=UTC)
    assert (query.larger, query.smaller) == (2048, 3 * 1024 * 1024)
    assert parse("-is:unread").unread is False


def test_only_what_was_looked_for_is_marked() -> None:
    # When words, filters and what must not be there are typed, then only the words are marked
    assert parse('-no from:anna "Two Words" be*').marked == {"two", "words", "be*"}


def test_dangling_signs_mean_nothing() -> None:
    # When a query is half typed, then what is there is looked for
    for text in ("or a", "a or", "a or or", 'a "', "a -", "- a", "a --", "a !"):
        assert parse(text).words == "('a')", text
