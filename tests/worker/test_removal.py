"""What nobody needs of attachments goes, whoever and however many remove it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from prometheus_client import REGISTRY

from postwire.store.pool import transaction
from postwire_worker import removal
from postwire_worker.runtime import Runtime
from support import rows


def counted(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("postwire_contents_removed_total", labels) or 0


def test_several_watchers_remove_what_is_not_needed_once_and_count_it(runtime: Runtime) -> None:
    # Given thirty attachments of a message that is there, as many of one that was expunged long
    # ago, and content that is not whole
    account = rows.active(runtime.pool)
    parts = tuple(rows.attachment(section=str(n)) for n in range(30))
    messages = [replace(rows.incoming(n), attachments=parts) for n in (1, 2)]
    rows.store_batch(runtime.pool, rows.batch(rows.mailbox(runtime.pool, account), *messages))
    for message_id in (1, 2):
        for n in range(1, 31):
            rows.keep(runtime.pool, message_id, n, b"%d %d" % (message_id, n))
    with transaction(runtime.pool) as connection:
        connection.execute("INSERT INTO content (account_id) VALUES (%s)", [account.id])
        connection.execute("UPDATE content SET due_at = now()")
        connection.execute("UPDATE message SET expunged_at = '2020-01-01' WHERE id = 2")
    before = counted("unneeded"), counted("unfinished")

    # When four watchers have their turns
    with ThreadPoolExecutor(4) as watchers:
        for turn in [watchers.submit(removal.remove, runtime) for _ in range(4)]:
            turn.result(30)
    removal.remove(runtime)

    # Then what is needed is left, and each of the others was counted once
    with transaction(runtime.pool) as connection:
        left = connection.execute(
            """
            SELECT attachment.message_id, count(*), count(content.id), min(content.due_at) > now()
              FROM attachment
              LEFT JOIN content USING (account_id, hash)
             GROUP BY 1 ORDER BY 1
            """
        ).fetchall()
        unfinished = connection.execute("SELECT FROM content WHERE hash IS NULL").fetchall()
    assert left == [(1, 30, 30, True), (2, 30, 0, None)]
    assert unfinished == []
    assert counted("unneeded") - before[0] == 30
    assert counted("unfinished") - before[1] == 1
