"""The command `postwire`, run as whoever runs Postwire does."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from postwire.credentials import make_keyring
from postwire.model import AccountId
from postwire.store import accounts
from postwire.store.pool import Pool, make_pool, transaction
from support.processes import eventually

POSTWIRE = Path(sysconfig.get_path("scripts")) / "postwire"
K1, K2 = f"k1:{'A' * 43}=", f"k2:{'B' * 42}A="
OLD, NEW = make_keyring(K1), make_keyring(K2)


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "POSTWIRE" not in name}
    return inherited | {f"POSTWIRE_{name.upper()}": value for name, value in settings.items()}


def postwire(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [POSTWIRE, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fill(store: Pool, count: int) -> None:
    """Accounts with passwords that the first key has sealed."""
    with transaction(store) as connection:
        for _ in range(count):
            id_ = AccountId(str(uuid4()))
            accounts.add(
                connection,
                id_,
                user_id="ann",
                address=f"{id_}@example.com",
                host="imap.example.com",
                port=993,
                security="tls",
                username="ann",
                credential=OLD.seal(id_, "secret"),
                window_days=30,
            )


def test_help_says_first_what_there_is() -> None:
    said = postwire("--help")
    assert said.returncode == 0
    assert "postwire keys rotate" in "".join(said.stdout.splitlines(keepends=True)[:8])
    # And what it does not know it refuses
    assert postwire("keys", "destroy").returncode == 2
    assert postwire().returncode == 2


def test_the_key_is_changed_step_by_step(store: Pool) -> None:
    # Given an installation with one key, and a second one that seals
    fill(store, 3)
    both = {"database_url": store.conninfo, "credential_keys": f"{K2},{K1}"}
    before = postwire("keys", "status", **both)
    # When everything is sealed again
    rotated = postwire("keys", "rotate", **both)
    # Then it says so, and what is sealed with which key
    assert (before.returncode, rotated.returncode) == (0, 0), rotated.stderr
    assert [line.split() for line in before.stdout.splitlines()[1:]] == [
        ["k1", "3", "0", "0"],
        ["k2", "0", "0", "0", "seals"],
    ]
    assert [line.split() for line in rotated.stdout.splitlines()[1:]] == [
        ["k1", "0", "0", "0"],
        ["k2", "3", "0", "0", "seals"],
    ]
    assert "3 accounts were sealed again with the key k2." in rotated.stderr
    # And the old key can go
    alone = postwire("keys", "status", database_url=store.conninfo, credential_keys=K2)
    assert [line.split()[0] for line in alone.stdout.splitlines()[1:]] == ["k2"]


def test_what_is_left_is_named_and_ends_with_1(store: Pool) -> None:
    # Given an account whose key is gone
    fill(store, 1)
    rotated = postwire("keys", "rotate", database_url=store.conninfo, credential_keys=K2)
    # Then it is named, and so is the key
    assert rotated.returncode == 1
    assert "stays as it is: The stored password was sealed with the key k1" in rotated.stderr
    assert rotated.stdout.splitlines()[1].split() == ["k1", "1", "0", "0", "not", "set"]


def test_one_that_is_stopped_goes_on_where_it_was(store: Pool) -> None:
    # Given one that is at work, as a row that somebody holds keeps it from its end
    fill(store, 400)
    both = {"database_url": store.conninfo, "credential_keys": f"{K2},{K1}"}
    with psycopg.connect(store.conninfo) as holding:
        holding.execute("SELECT 1 FROM account ORDER BY id DESC LIMIT 1 FOR UPDATE")
        process = subprocess.Popen(
            [POSTWIRE, "keys", "rotate"],
            env=environment(**both),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests in the background has it ignored, and so have all below.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        assert eventually(lambda: _done(store) > 100, 30)
        # When it is stopped
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    # Then it says that it may be run again, and what was done is not done again
    assert process.returncode == 130, said
    assert "What was done stays done; run it again." in said
    done = _done(store)
    again = postwire("keys", "rotate", **both)
    assert f"{400 - done} accounts were sealed again" in again.stderr
    assert _done(store) == 400


def _done(store: Pool) -> int:
    with transaction(store) as connection:
        row = connection.execute(
            r"SELECT count(*) FROM account WHERE substr(credential, 1, 3) = 'k2\000'"
        ).fetchone()
    assert row is not None
    return int(row[0])


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
    assert [(one.returncode, one.stdout) for one in said] == [
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
    assert said.returncode == 1
    assert said.stdout.splitlines()[1].startswith("line 3: bob@example.com: WRONG password: ")
    assert "nothing was changed" in said.stderr
    assert ENCRYPTED[:20] not in said.stdout + said.stderr
    with transaction(store) as connection:
        assert accounts.list_of_user(connection, "ann") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of the arguments FILE --database is required"),
        (["FILE"], "set LEGACY_SECRET to the predecessor's secret"),
        (["FILE", "--secret-file=FILE/x"], "x cannot be read as text"),
        (["FILE/away", "--secret-file=FILE"], "away: cannot be read: Not a directory"),
        (["FILE", "--column=what=ever"], "fields are user, address, host"),
        (["FILE", "--database=postgresql://h"], "not allowed with argument"),
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
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), ended.stderr
    assert said in ended.stderr
    assert "canary" not in ended.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "POSTWIRE_CREDENTIAL_KEYS: is missing"),
        ({"credential_keys": f"{K1},{K1}"}, "there is another key with its id, k1"),
        ({"credential_keys": f"k1:{'C' * 42}A="}, "the key k1 is another one than that"),
    ],
)
def test_keys_that_will_not_do_are_said_in_words_and_end_with_2(
    store: Pool, settings: dict[str, str], said: str
) -> None:
    # Given an account, and keys that will not do
    fill(store, 1)
    for what in ("status", "rotate"):
        ended = postwire("keys", what, database_url=store.conninfo, **settings)
        assert ended.returncode == 2
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not [key for key in ("A" * 43, "C" * 42) if key in ended.stderr]


def test_a_database_that_does_not_answer_ends_with_1() -> None:
    ended = postwire(
        "keys", "status", database_url="postgresql://127.0.0.1:1/x", credential_keys=K1
    )
    assert ended.returncode == 1
    assert "The database does not answer" in ended.stderr
    assert "Traceback" not in ended.stderr
