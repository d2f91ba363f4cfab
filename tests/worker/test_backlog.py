"""Messages from before there was a search are found in the end."""

from __future__ import annotations

from dataclasses import replace

from postwire.model import Body
from postwire.store import search
from postwire.store.pool import transaction
from postwire_worker import backlog
from postwire_worker.runtime import Runtime
from support import rows


def found(runtime: Runtime, word: str) -> list[str]:
    query = search.Query(words=f"'{word}'", indexed=True)
    with transaction(runtime.pool) as connection:
        page = search.find(
            connection, "ann", query, account_id=None, below=None, offset=0, limit=200
        )
    return [one.message.headers.subject for one in page.found]


def test_what_an_older_release_stored_is_indexed_whole(runtime: Runtime) -> None:
    # Given messages that were stored without a document, one of them HTML only
    account = rows.active(runtime.pool)
    html = "<style>hidden</style><p>Some <b>visible</b> words</p>"
    messages = [rows.incoming(n) for n in range(1, 251)]
    messages[6] = replace(messages[6], body=Body(html=html))
    rows.store_batch(runtime.pool, rows.batch(rows.mailbox(runtime.pool, account), *messages))
    with transaction(runtime.pool) as connection:
        connection.execute("DELETE FROM search")
        connection.execute("INSERT INTO search_backlog VALUES (%s, now(), NULL)", [account.id])
    assert found(runtime, "text") == []
    # When the watcher has had its turns
    backlog.work_off(runtime)
    # Then all are found, by what a reader sees, and there is nothing left to do
    assert len(found(runtime, "text")) == 200
    assert found(runtime, "visible") == ["Message 7"]
    assert found(runtime, "hidden") == []
    with transaction(runtime.pool) as connection:
        assert connection.execute("SELECT FROM search_backlog").fetchall() == []
        (count,) = connection.execute("SELECT count(*) FROM search").fetchone() or (0,)
    assert count == 250
