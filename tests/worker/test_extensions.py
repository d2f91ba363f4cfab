"""Each extension of IMAP is of use and none is needed: one journey without each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from imapclient import IMAPClient
from worker.conftest import Accounts

from postwire.model import Account
from postwire.store import accounts
from postwire.store.pool import transaction
from postwire_worker.imap import connect
from postwire_worker.runtime import Runtime
from postwire_worker.sync import sync
from support.compare import in_the_database, on_the_server
from support.dovecot import Dovecot
from support.dovecot import dovecot as run_dovecot
from support.mailbox import MailUser, letter

#: What goes with another one is missing with it.
MISSING: tuple[frozenset[str], ...] = (
    frozenset({"LIST-STATUS"}),
    frozenset({"CONDSTORE", "QRESYNC"}),
    frozenset({"ESEARCH", "ESORT", "SEARCHRES"}),
    frozenset({"SPECIAL-USE"}),
    frozenset({"UIDPLUS"}),
    frozenset({"IDLE"}),
    frozenset({"LITERAL+"}),
    frozenset({"NAMESPACE"}),
    frozenset({"ID"}),
    frozenset({"LIST-STATUS", "CONDSTORE", "QRESYNC"}),
    frozenset({"ESEARCH", "CONDSTORE", "QRESYNC"}),
)
#: What Dovecot 2.3 announces and a sync or its connection could make use of.
ALL = (
    *("IMAP4rev1", "SASL-IR", "ID", "ENABLE", "IDLE", "LITERAL+", "SORT", "ESORT", "UNSELECT"),
    *("CHILDREN", "NAMESPACE", "UIDPLUS", "LIST-EXTENDED", "CONDSTORE", "QRESYNC", "ESEARCH"),
    *("SEARCHRES", "WITHIN", "LIST-STATUS", "BINARY", "MOVE", "SPECIAL-USE", "STATUS=SIZE"),
)


def host(n: int) -> str:
    return f"127.0.1.{n + 1}"


@pytest.fixture(scope="module")
def servers(dovecot_program: str) -> Iterator[Dovecot]:
    """One Dovecot with an address for each set of extensions."""
    further = [f"listen = 127.0.0.1, {', '.join(host(n) for n in range(len(MISSING)))}"]
    for n, missing in enumerate(MISSING):
        announced = " ".join(one for one in ALL if one not in missing)
        further.append(f"local {host(n)} {{\n  imap_capability = {announced}\n}}")
    with TemporaryDirectory(prefix="postwire-dovecot-") as folder:
        with run_dovecot(dovecot_program, Path(folder), "\n".join(further)) as server:
            yield server


def run(runtime: Runtime, account: Account) -> list[str]:
    with transaction(runtime.pool) as connection:
        # Five minutes later, when flags are compared where nothing hints at them.
        connection.execute("UPDATE mailbox SET flags_at = flags_at - interval '6 minutes'")
    password = runtime.password(account)
    with connect(account, password, runtime.dialer, "sync") as session:
        return [one.kind for one in sync(session, runtime.pool, account)]


def steps(user: MailUser, mail: IMAPClient) -> Iterator[str]:
    """What another client does, with the name of each thing when it is done."""
    user.append(letter("one"), letter("two"), letter("three"))
    user.append(letter("four"), mailbox="Projects")
    yield "first"
    user.append(letter("five"))
    yield "new"
    mail.select_folder("INBOX")
    mail.add_flags([1, 2], [r"\Seen", "$Work"])
    mail.remove_flags([2], [r"\Seen"])
    yield "flags"
    mail.delete_messages([2])
    mail.expunge()
    yield "expunge"
    mail.move([1], "Projects")
    yield "move"
    mail.rename_folder("Projects", "Plans")
    yield "rename"
    # It is open in no session while it changes.
    mail.select_folder("Sent")
    user.number_anew("INBOX", 2_000_000_000)
    yield "number anew"
    mail.delete_folder("Plans")
    yield "delete"


@pytest.mark.parametrize("n", range(len(MISSING)), ids=lambda n: "+".join(sorted(MISSING[n])))
def test_a_server_without_it_is_followed_just_as_well(
    runtime: Runtime, add_account: Accounts, servers: Dovecot, n: int
) -> None:
    # Given a server that announces everything but these
    server = replace(servers, host=host(n))
    user = MailUser(server, server.new_user())
    account = add_account.add(user, host=server.host, port=server.port, password=server.password)
    with transaction(runtime.pool) as connection:
        accounts.set_scope(connection, account, ["*"], None)
        account = accounts.get(connection, account.id)
    with connect(account, server.password, runtime.dialer, "sync") as session:
        assert not any(session.capable(one) for one in MISSING[n])
        assert session.capable("MOVE")

    # When another client does one thing after the other
    with user.session() as mail:
        for done in steps(user, mail):
            assert run(runtime, account), done
            # Then each is found, the database is what the server is, and there is no more to do
            assert in_the_database(runtime.pool, account.id) == on_the_server(user), done
            assert run(runtime, account) == [], done
