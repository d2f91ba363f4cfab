"""The predecessor's accounts, taken over whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from postwire import importing
from postwire.credentials import make_keyring
from postwire.importing import (
    COLUMNS,
    LONGEST_LINE,
    Line,
    Reader,
    read_database,
    read_file,
    security_of,
    take_over,
)
from postwire.model import Account
from postwire.store import accounts
from postwire.store.pool import Pool, make_pool, transaction

VECTORS = json.loads((Path(__file__).parent / "legacy-credentials.json").read_text())[:3]
KEYRING = make_keyring(f"k1:{'A' * 43}=")
READER = Reader(COLUMNS, VECTORS[0]["secret"])
HEADER = "userId,emailAddress,host,port,encryption,username,password,iv\n"


@pytest.fixture
def store(database_url: str) -> Iterator[Pool]:
    pool = make_pool(database_url, 2)
    yield pool
    pool.close()


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "accounts"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def csv_of(n: int, *, port: str = "993", encryption: str = "TLS", **vector: str) -> str:
    vector = vector or VECTORS[n % 3]
    return (
        f"user-{n},{n}@example.com,imap.example.com,{port},{encryption},name-{n},"
        f"{vector['ciphertext']},{vector.get('iv', '')}\n"
    )


def accounts_in(store: Pool) -> list[Account]:
    with transaction(store) as connection:
        return [
            account for n in range(9) for account in accounts.list_of_user(connection, f"user-{n}")
        ]


def jobs_in(store: Pool) -> list[tuple[str, str]]:
    with transaction(store) as connection:
        return connection.execute("SELECT reason, state FROM job").fetchall()  # type: ignore[return-value]


def check(store: Pool) -> None:
    """All three accounts are there, as the predecessor had them."""
    found = accounts_in(store)
    assert [(one.user_id, one.address, one.host, one.port, one.security) for one in found] == [
        (f"user-{n}", f"{n}@example.com", "imap.example.com", 993, "tls") for n in range(3)
    ]
    assert [one.username for one in found] == ["name-0", "name-1", "name-2"]
    assert [KEYRING.open(one.id, one.credential) for one in found] == ["hunter2"] * 3
    assert {one.state for one in found} == {"connecting"}
    # And each is going to be synced
    assert jobs_in(store) == [("auto", "waiting")] * 3


@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_csv_in_all_three_formats(store: Pool, tmp_path: Path, begin: str) -> None:
    # Given a file with each format
    path = written(tmp_path, begin + HEADER + "\n" + "".join(csv_of(n) for n in range(3)))
    # When it is tried, then nothing is stored
    tried = take_over(store, KEYRING, READER, read_file(path), dry_run=True)
    assert {line.what for line in tried} == {"can be added"}
    assert accounts_in(store) == []
    # And when it is taken over, then everything is
    lines = take_over(store, KEYRING, READER, read_file(path))
    assert lines == [Line(n + 3, f"{n}@example.com", "added") for n in range(3)]
    check(store)
    # And a second time all are known
    again = take_over(store, KEYRING, READER, read_file(path))
    assert {line.what for line in again} == {"known already, skipped"}
    check(store)


def test_json_lines_with_columns_of_other_names(store: Pool, tmp_path: Path) -> None:
    # Given objects that call things otherwise
    objects = [
        {
            "owner": f"user-{n}",
            "email_address": f"{n}@example.com",
            "imapHost": "imap.example.com",
            "port": 993,
            "secure": True,
            "userName": f"name-{n}",
            "password": vector["ciphertext"],
            "iv": vector.get("iv"),
        }
        for n, vector in enumerate(VECTORS)
    ]
    path = written(tmp_path, "".join(json.dumps(one) + "\n" for one in objects))
    columns = {**COLUMNS, "user": "owner", "host": "imap_host", "security": "secure"}
    # When they are taken over by those names
    reader = Reader(columns, READER.secret)
    assert not any(line.wrong for line in take_over(store, KEYRING, reader, read_file(path)))
    check(store)


def test_the_predecessors_own_table(store: Pool) -> None:
    # Given its table, in which users are not named
    with psycopg.connect(store.conninfo) as connection:
        connection.execute(
            "CREATE TABLE email_accounts "
            "(email_address text, host text, port integer, encryption text, password text, iv text)"
        )
        for n, vector in enumerate(VECTORS):
            connection.execute(
                "INSERT INTO email_accounts VALUES (%s, 'imap.example.com', 993, 'TLS', %s, %s)",
                [f"{n}@example.com", vector["ciphertext"], vector.get("iv")],
            )
    # When it is read for one user
    reader = Reader(COLUMNS, READER.secret, user="user-7")
    rows = read_database(store.conninfo, "email_accounts", COLUMNS)
    assert [line.what for line in take_over(store, KEYRING, reader, rows)] == ["added"] * 3
    found = accounts_in(store)
    assert [KEYRING.open(one.id, one.credential) for one in found] == ["hunter2"] * 3
    assert {one.username for one in found} == {f"{n}@example.com" for n in range(3)}


def test_where_a_line_is_wrong_all_that_is_wrong_is_said_and_nothing_stored(
    store: Pool, tmp_path: Path
) -> None:
    # Given a file with one good line and all sorts of others
    wrong = [
        (csv_of(1, port="0"), "port: write a number"),
        (csv_of(1, port="99999"), "port: write a number"),
        (csv_of(1, port="²"), "port: write a number"),
        (csv_of(1, encryption="canary"), "security: write TLS, SSL, STARTTLS or NONE"),
        (csv_of(1, port="143", encryption=""), "security: write"),
        (csv_of(1, ciphertext="canary"), "it is not hex"),
        (csv_of(1, ciphertext="00" * 16), "cannot be decrypted with this secret"),
        (csv_of(1, ciphertext=""), "password: there is nothing in the column password"),
        ("u,no address,imap.example.com,993,TLS,,00,\n", "address: write it as"),
        ("u,x@example.com,https://canary,993,TLS,,00,\n", "host: write a host name"),
        (",x@example.com,imap.example.com,993,TLS,,00,\n", "user: there is nothing"),
        (f"u,x@example.com,imap.example.com,993,TLS,{'c' * 999},00,\n", "username: it is longer"),
        ("canary\n", "it has 1 fields, and the header 8"),
        (csv_of(0), "address: it is that of line 2"),
    ]
    path = written(tmp_path, HEADER + csv_of(0) + "".join(line for line, _ in wrong))
    # When it is taken over
    lines = take_over(store, KEYRING, READER, read_file(path))
    # Then each is named by its number, and nothing of it is repeated but the address
    assert lines[0] == Line(2, "0@example.com", "can be added")
    for number, (line, (_, said)) in enumerate(zip(lines[1:], wrong, strict=True), 3):
        assert (line.number, line.wrong) == (number, True)
        assert said in line.what
    assert "canary" not in repr(lines)
    assert "hunter2" not in repr(lines)
    assert (accounts_in(store), jobs_in(store)) == ([], [])


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        (HEADER.encode() + b'u,"' + b"x" * LONGEST_LINE, 2, "it is longer than 65536 bytes"),
        (HEADER.encode() + b"\xff\n", 2, "it is not UTF-8"),
        (HEADER.encode() + b'"a"b,\n', 2, "it is no CSV"),
        (HEADER.encode() + b'"' + b"x\n" * LONGEST_LINE * 2, None, "it is no CSV"),
        (b'{"a": 1}\n[1]\n', 2, "it is no JSON object"),
        (b'{"a": 1}\n{"a": {"b": 1}}\n', 2, "it is no JSON object"),
        (b'{"a": 1}\n' + b'{"a":' * 9_999 + b"\n", 2, "it is no JSON object"),
        (b'{"a": 1}\n' + b"x" * (LONGEST_LINE + 1), 2, "it is longer than 65536 bytes"),
        (b"\x00" * 99, None, ""),
    ],
)
def test_files_that_are_none_end_in_words(
    store: Pool, tmp_path: Path, text: bytes, number: int | None, said: str
) -> None:
    lines = take_over(store, KEYRING, READER, read_file(written(tmp_path, text)))
    assert not [line for line in lines if not line.wrong]
    assert said in (lines[-1].what if lines else "")
    if number:
        assert lines[-1].number == number


def test_there_is_a_bound_to_the_lines(
    store: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MOST_LINES", 2)
    path = written(tmp_path, HEADER + "".join(csv_of(n) for n in range(3)))
    lines = take_over(store, KEYRING, READER, read_file(path))
    assert [line.what for line in lines if line.wrong] == [
        "there are more than 2 lines; give them in parts"
    ]
    assert accounts_in(store) == []


@pytest.mark.parametrize(
    ("said", "port", "security"),
    [
        ("TLS", 993, "tls"),
        ("ssl/tls", 993, "tls"),
        ("", 993, "tls"),
        ("SSL", 1993, "tls"),
        ("TLS", 143, "starttls"),
        ("StartTLS", 143, "starttls"),
        ("none", 143, "none"),
    ],
)
def test_the_word_for_encryption_means_what_the_port_says(
    said: str, port: int, security: str
) -> None:
    assert security_of(said, port) == security


@pytest.mark.parametrize(("said", "port"), [("STARTTLS", 993), ("NONE", 993), ("false", 143)])
def test_a_word_that_means_nothing_there_is_refused(said: str, port: int) -> None:
    with pytest.raises(ValueError, match="security: "):
        security_of(said, port)
