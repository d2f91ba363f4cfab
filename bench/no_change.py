"""A sync that finds nothing new, against a real Dovecot, of an account with made-up mail.

Dovecot's mailboxes are empty. The rows of ours say so too, for those of a twin were copied that
was really synced; what is stored of them is what was made up. So a sync finds nothing, and does all
that it does before it knows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench import direct
from postwire.model import Account
from postwire.store import accounts
from postwire.store.pool import Pool, transaction
from postwire_worker.imap import connect
from postwire_worker.sync import sync
from support.dovecot import dovecot
from support.local import local_dialer
from support.mailbox import MailUser


@contextmanager
def prepared(pool: Pool, account: Account) -> Iterator[Callable[[], None]]:
    """What syncs the account once, over one connection."""
    binary = shutil.which("dovecot") or "/usr/sbin/dovecot"
    with (
        tempfile.TemporaryDirectory(prefix="postwire-dovecot-") as folder,
        dovecot(binary, Path(folder)) as server,
    ):
        user = MailUser(server, server.new_user())
        with user.session() as mail:
            for name in ("Old", "Rare"):
                mail.create_folder(name)
        twin = direct.add_account(pool, user)
        with connect(twin, server.password, local_dialer(), "sync") as session:
            for _ in sync(session, pool, twin):
                pass
            _copy(pool, twin, account)
            whole = replace(account, mailboxes=["*"])

            def run() -> None:
                found = list(sync(session, pool, whole))
                assert not found, f"something was new: {found}"  # noqa: S101

            yield run
        with transaction(pool) as connection:
            accounts.remove(connection, twin.user_id, twin.id)


def _copy(pool: Pool, twin: Account, account: Account) -> None:
    """Let the account's mailboxes have been left as the twin's were."""
    with transaction(pool) as connection:
        connection.execute(
            """
            INSERT INTO mailbox (account_id, name, delimiter, special_use, object_id, uidvalidity,
                                 uidnext, backfill_uid, highestmodseq, messages, unseen, flags_at)
            SELECT %s, name, delimiter, special_use, object_id, uidvalidity,
                   uidnext, backfill_uid, highestmodseq, messages, unseen, flags_at
              FROM mailbox WHERE account_id = %s
                ON CONFLICT (account_id, name) DO UPDATE
               SET (delimiter, special_use, object_id, uidvalidity, uidnext, backfill_uid,
                    highestmodseq, messages, unseen, flags_at) =
                   (EXCLUDED.delimiter, EXCLUDED.special_use, EXCLUDED.object_id,
                    EXCLUDED.uidvalidity, EXCLUDED.uidnext, EXCLUDED.backfill_uid,
                    EXCLUDED.highestmodseq, EXCLUDED.messages, EXCLUDED.unseen, EXCLUDED.flags_at)
            """,
            [account.id, twin.id],
        )
