"""Taking over the accounts of the predecessor: from CSV, JSON lines, or its database.

Each line is read and checked by itself, and all that is wrong is said. Then everything is stored in
one transaction, or nothing where anything was wrong.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias
from uuid import uuid4

import msgspec

from postwire import legacy, login
from postwire.credentials import Keyring
from postwire.model import AccountId, Security
from postwire.store import accounts, jobs, legacy_accounts
from postwire.store.legacy_accounts import fold
from postwire.store.pool import Pool, transaction

#: Bytes of the longest line, and lines that are taken at once.
LONGEST_LINE = 64 * 1024
MOST_LINES = 100_000
#: Days that the first sync reaches back, as the predecessor's did.
_WINDOW = 30
_LONGEST_PASSWORD = 1024
_LONGEST_NAME = 254

#: Our fields, and the columns that they are looked for in; case and underscores do not matter.
COLUMNS: Mapping[str, str] = {
    "user": "userId",
    "address": "emailAddress",
    "host": "host",
    "port": "port",
    "security": "encryption",
    "username": "username",
    "password": "password",
    "iv": "iv",
}

#: The text of each field by its folded column; or what is wrong with the line, in words.
Row: TypeAlias = Mapping[str, str | None] | ValueError


@dataclass(frozen=True, slots=True)
class Login:
    """An account as it is going to be."""

    user: str
    address: str
    host: str
    port: int
    security: Security
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """What became of a line; its address where it has one."""

    number: int
    address: str | None
    what: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """How the predecessor's lines are to be read."""

    columns: Mapping[str, str]
    secret: str = field(repr=False)
    #: Who owns what has no owner in its line.
    user: str | None = None

    def login(self, row: Row) -> Login:
        """The account in `row`.

        Raises:
            ValueError: what is wrong with it, in words without its values.
        """
        if isinstance(row, ValueError):
            raise row
        address = self._needed(row, "address")
        login.check_address(address)
        host = self._needed(row, "host")
        login.check_host(host)
        username = self._get(row, "username") or address
        login.check_line("username", username)
        user = self._get(row, "user") or self.user or self._needed(row, "user")
        for name, text in (("address", address), ("username", username), ("user", user)):
            if len(text) > _LONGEST_NAME:
                raise ValueError(f"{name}: it is longer than {_LONGEST_NAME} characters")
        port = _port(self._needed(row, "port"))
        return Login(
            user=user,
            address=address,
            host=host,
            port=port,
            security=security_of(self._get(row, "security"), port),
            username=username,
            password=self._password(row),
        )

    def address(self, row: Row) -> str | None:
        """The address in `row`, if that is one and no other field."""
        if isinstance(row, ValueError):
            return None
        address = self._get(row, "address")
        try:
            login.check_address(address)
        except ValueError:
            return None
        return address

    def _password(self, row: Mapping[str, str | None]) -> str:
        password = legacy.decrypt(
            self.secret, self._needed(row, "password"), self._get(row, "iv") or None
        )
        login.check_line("password", password)
        if not 0 < len(password) <= _LONGEST_PASSWORD:
            raise ValueError(f"password: it has not 1 to {_LONGEST_PASSWORD} characters")
        return password

    def _get(self, row: Mapping[str, str | None], name: str) -> str:
        return (row.get(fold(self.columns[name])) or "").strip()

    def _needed(self, row: Mapping[str, str | None], name: str) -> str:
        if value := self._get(row, name):
            return value
        raise ValueError(f"{name}: there is nothing in the column {self.columns[name]}")


def _port(text: str) -> int:
    if re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 2**16:
        return int(text)
    raise ValueError("port: write a number from 1 to 65535")


def security_of(said: str, port: int) -> Security:
    """What the predecessor's word for encryption means at that port (RFC 8314 §3.2, §3.3).

    Raises:
        ValueError: it is unknown, or means nothing there.
    """
    match said.upper(), port:
        case (("" | "TLS" | "SSL" | "SSL/TLS" | "TLS/SSL" | "IMAPS" | "TRUE"), 993):
            return "tls"
        case (("TLS" | "TRUE"), 143):
            return "starttls"
        case (("TLS" | "SSL" | "SSL/TLS" | "TLS/SSL" | "IMAPS" | "TRUE"), _):
            return "tls"
        case (("STARTTLS" | "NONE" | "PLAIN"), 993):
            raise ValueError("security: port 993 begins with TLS; write TLS, or another port")
        case "STARTTLS", _:
            return "starttls"
        case (("NONE" | "PLAIN"), _):
            return "none"
    raise ValueError("security: write TLS, SSL, STARTTLS or NONE")


def read_file(path: Path) -> Iterator[tuple[int, Row]]:
    """The lines of a CSV file with a header, or of JSON objects one a line, with their numbers.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        first = file.read(LONGEST_LINE).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        file.seek(0)
        yield from _json_lines(file) if first == b"{" else _csv(file)


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Each line as text.

    Raises:
        ValueError: one is too long, or no UTF-8; nothing is read behind it.
    """
    encoding = "utf-8-sig"
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"it is longer than {LONGEST_LINE} bytes; nothing behind it was read")
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8; nothing behind it was read") from None
        encoding = "utf-8"


def _json_lines(file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    decoder = msgspec.json.Decoder(dict[str, str | int | float | bool | None])
    number = 0
    try:
        for number, line in enumerate(_lines(file), 1):
            if line.strip():
                yield number, _json(decoder, line)
    except ValueError as error:
        yield number + 1, error


def _json(
    decoder: msgspec.json.Decoder[dict[str, str | int | float | bool | None]], line: str
) -> Row:
    try:
        said = decoder.decode(line)
    except msgspec.MsgspecError:
        return ValueError("it is no JSON object of texts and numbers")
    return {fold(name): None if value is None else str(value) for name, value in said.items()}


def _csv(file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(_lines(file), strict=True)
    try:
        header = [fold(name.strip()) for name in next(reader, [])]
        for values in reader:
            if values:
                yield reader.line_num, _csv_row(header, values)
    except csv.Error:
        yield reader.line_num, ValueError("it is no CSV; nothing behind it was read")
    except ValueError as error:
        yield reader.line_num + 1, error


def _csv_row(header: Sequence[str], values: Sequence[str]) -> Row:
    if len(values) != len(header):
        return ValueError(f"it has {len(values)} fields, and the header {len(header)}")
    return dict(zip(header, values, strict=True))


def read_database(url: str, table: str, columns: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
    """The rows of the predecessor's table, numbered as they came.

    Raises:
        NotFound, StoreUnavailable: as `legacy_accounts.read`.
    """
    wanted = {fold(name) for name in columns.values()}
    yield from enumerate(legacy_accounts.read(url, table, wanted, MOST_LINES + 1), 1)


def take_over(
    pool: Pool,
    keyring: Keyring,
    reader: Reader,
    rows: Iterable[tuple[int, Row]],
    *,
    dry_run: bool = False,
) -> list[Line]:
    """Store all accounts that are not known yet, unless anything is `wrong`; what became of each.

    Raises:
        Conflict: an account was added meanwhile that is in a line as well; nothing was stored.
        StoreUnavailable: the database does not answer; nothing was stored.
    """
    read = list(_read(reader, rows))
    store = not dry_run and not any(isinstance(one, Line) for _, one in read)
    lines = []
    with transaction(pool) as connection:
        for number, one in read:
            if isinstance(one, Line):
                lines.append(one)
            elif accounts.is_known(connection, one.user, one.address):
                lines.append(Line(number, one.address, "known already, skipped"))
            elif not store:
                lines.append(Line(number, one.address, "can be added"))
            else:
                account_id = AccountId(str(uuid4()))
                accounts.add(
                    connection,
                    account_id,
                    user_id=one.user,
                    address=one.address,
                    host=one.host,
                    port=one.port,
                    security=one.security,
                    username=one.username,
                    credential=keyring.seal(account_id, one.password),
                    window_days=_WINDOW,
                )
                # The watchers' sweep will queue it.
                jobs.ask(connection, account_id, one.user, "auto")
                lines.append(Line(number, one.address, "added"))
    return lines


def _read(reader: Reader, rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Login | Line]]:
    """The account in each row, or what is wrong with it."""
    seen: dict[tuple[str, str], int] = {}
    for count, (number, row) in enumerate(rows):
        if count == MOST_LINES:
            words = f"there are more than {MOST_LINES} lines; give them in parts"
            yield number, Line(number, None, words, wrong=True)
            return
        try:
            one = reader.login(row)
            before = seen.setdefault((one.user, one.address.lower()), number)
            if before != number:
                raise ValueError(f"address: it is that of line {before}")  # noqa: TRY301
            yield number, one
        except ValueError as error:
            yield number, Line(number, reader.address(row), str(error), wrong=True)
