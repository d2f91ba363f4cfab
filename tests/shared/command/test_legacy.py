"""`postwire import-legacy`, run as a process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from postwire.credentials import make_keyring
from postwire.store import accounts
from postwire.store.pool import Pool, make_pool, transaction
from support.command import POSTWIRE, environment, postwire

K1 = f"k1:{'A' * 43}="
OLD = make_keyring(K1)


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


#: By the secret `short`; see legacy-credentials.json.
ENCRYPTED = "000102030405060708090a0b0c0d0e0f:9a4a6db02a319221c166d8f98e62ca10"
LINE = f"ann,ann@example.com,imap.example.com,993,TLS,{ENCRYPTED}\n"
HEADER = "userId,emailAddress,host,port,encryption,password\n"


def test_accounts_are_taken_over_from_a_file(store: Pool, tmp_path: Path) -> None:
    # Given a file, and the secret in another
    (tmp_path / "accounts.csv").write_text(HEADER + LINE)
    (tmp_path / "secret").write_text("short\n")
    settings = {"database_url": store.conninfo, "credential_keys": K1}
    command = ["import-legacy", str(tmp_path / "accounts.csv")]
    secret = ["--secret-file", str(tmp_path / "secret")]
    # When it is tried, taken over, and taken over again
    said = [postwire(*command, *secret, *more, **settings) for more in (["--dry-run"], [], [])]
    # Then it says so of each line
    assert [(one.code, one.stdout) for one in said] == [
        (0, f"line 2: ann@example.com: {what}\n")
        for what in ("can be added", "added", "known already, skipped")
    ]
    with transaction(store) as connection:
        (account,) = accounts.list_of_user(connection, "ann")
    assert OLD.open(account.id, account.credential) == "x"


def test_accounts_are_taken_over_from_the_predecessors_database(store: Pool) -> None:
    # Given its table, and the secret in the environment
    with psycopg.connect(store.conninfo) as connection:
        connection.execute(
            "CREATE TABLE old AS SELECT 'ann@example.com' AS email, 'imap.example.com' AS host,"
            f" 993 AS port, 'TLS' AS encryption, '{ENCRYPTED}' AS password"
        )
    command = ["import-legacy", "--database", store.conninfo, "--table", "old", "--user", "ann"]
    env = environment(database_url=store.conninfo, credential_keys=K1) | {"LEGACY_SECRET": "short"}
    # When it is taken over by the name of its column
    said = subprocess.run(
        [POSTWIRE, *command, "--column", "address=email"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "line 1: ann@example.com: added\n"), said.stderr


def test_a_line_that_is_wrong_ends_with_1_and_changes_nothing(store: Pool, tmp_path: Path) -> None:
    # Given a good line and one of another secret
    (tmp_path / "accounts.csv").write_text(HEADER + LINE + LINE.replace("ann@", "bob@")[:-3] + "\n")
    (tmp_path / "secret").write_text("short")
    said = postwire(
        "import-legacy",
        str(tmp_path / "accounts.csv"),
        f"--secret-file={tmp_path / 'secret'}",
        database_url=store.conninfo,
        credential_keys=K1,
    )
    # Then that one is named
    assert said.code == 1
    assert said.stdout.splitlines()[1].startswith("line 3: bob@example.com: WRONG password: ")
    assert "nothing was changed" in said.stderr
    assert ENCRYPTED[:20] not in said.stdout + said.stderr
    with transaction(store) as connection:
        assert accounts.list_of_user(connection, "ann") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give either FILE or --database."),
        (["FILE"], "set LEGACY_SECRET to the predecessor's secret"),
        (["FILE", "--secret-file=FILE/x"], "x cannot be read as text"),
        (["FILE/away", "--secret-file=FILE"], "away: cannot be read: Not a directory"),
        (["FILE", "--column=what=ever"], "fields are user, address, host"),
        (["FILE", "--database=postgresql://h"], "Give either FILE or --database."),
    ],
)
def test_arguments_that_will_not_do_end_with_2(
    store: Pool, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "file").write_text("canary")
    ended = postwire(
        "import-legacy",
        *(one.replace("FILE", str(tmp_path / "file")) for one in arguments),
        database_url=store.conninfo,
        credential_keys=K1,
    )
    assert ended.code == 2, ended.stderr
    assert said in ended.said
    assert "canary" not in ended.stderr
