"""Documents hold what a message is found by, whatever it contains."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postwire.model import AccountId, Address, Body, Headers, MessageId
from postwire.store import documents
from postwire.store.documents import Source
from postwire.store.pool import Pool, transaction
from support import rows

ACCOUNT = AccountId("0198c0de-0000-7000-8000-000000000000")


def source(text: str | None, **headers: object) -> Source:
    return Source(
        MessageId(1),
        rows.NOON,
        Headers(**headers),
        Body(text=text),
        (),  # type: ignore[arg-type]
    )


def test_a_document_says_whose_it_is_and_where_each_word_stands() -> None:
    # When a message is made into a document
    made = documents.document(
        ACCOUNT,
        replace(source("See you", subject="Hi", from_=(Address("Bo", "b@c.d"),)), filenames=("",)),
    )
    # Then it has the account, the words with places and weights, and the marks of the fields
    assert set(made.split()) == {
        "'@0198c0de000070008000000000000000'", "'@0198c0de000070008000000000000000/671'",
        "'hi':1A", "'s:hi':1A",
        "'bo':11A", "'f:bo':11A", "'b':12A", "'f:b':12A", "'c':13A", "'f:c':13A", "'d':14A",
        "'f:d':14A", "'h:attachment'", "'see':34D", "'you':35D",
    }  # fmt: skip


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(alphabet=st.characters(), max_size=300))
def test_postgresql_takes_the_document_of_any_text(store: Pool, text: str) -> None:
    # When the document of anything is given to PostgreSQL, then it is a tsvector
    made = documents.document(ACCOUNT, source(text, subject=text))
    with transaction(store) as connection:
        connection.execute("SELECT %s::tsvector", [made])


def test_a_huge_text_of_different_words_is_indexed_as_far_as_there_is_room(store: Pool) -> None:
    # Given texts with as many different words as fit into a hundred thousand characters, and more
    for text in (
        " ".join(f"{n:x}" for n in range(99_999)),
        "".join(chr(0x4E00 + n * 7 % 20_000) for n in range(200_000)),
        "x" * 200_000,
        " ".join(chr(0xAC00 + n % 11_000) * 64 for n in range(9_999)),
    ):
        # When one is indexed, then PostgreSQL takes it
        with transaction(store) as connection:
            made = documents.document(ACCOUNT, source(text))
            (size,) = connection.execute("SELECT length(%s::tsvector)", [made]).fetchone() or (0,)
        assert 1 < size < 40_000


def test_a_header_of_nothing_but_long_words_never_stops_its_batch(store: Pool) -> None:
    # Given thousands of people, each with names of sixty letters that nobody else has
    crowd = tuple(
        Address(" ".join(f"{n:032x}{m:032x}" for m in range(30)), f"{n:064x}@{n:063x}.example")
        for n in range(1_000)
    )
    # When the message is indexed, then PostgreSQL takes as much of it as there is room for
    made = documents.document(ACCOUNT, source("text", subject="first", to=crowd))
    with transaction(store) as connection:
        row = connection.execute(
            "SELECT %s::tsvector @@ %s::tsquery", [made, "'s:first'"]
        ).fetchone()
    assert row == (True,)


def test_messages_are_indexed_with_their_batch_and_go_with_their_message(store: Pool) -> None:
    # Given a message that was stored, and found again in another mailbox
    account = rows.active(store)
    rows.store_batch(store, rows.batch(rows.mailbox(store, account), rows.incoming(1)))
    copy = replace(rows.incoming(1), body=None)
    rows.store_batch(store, rows.batch(rows.mailbox(store, account, "Archive"), copy))
    with transaction(store) as connection:
        # Then it has one document, of its whole text
        found = connection.execute("SELECT document @@ 'text' FROM search").fetchall()
        assert found == [(True,)]
        # And when the message is removed, the document goes too
        connection.execute("DELETE FROM message")
        assert connection.execute("SELECT FROM search").fetchall() == []
