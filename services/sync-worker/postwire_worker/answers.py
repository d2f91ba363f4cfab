"""What the answers of an IMAP server say, checked: a server may send anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from postwire_worker.text import moment, text_of, whole_number

#: RFC 3501 §9: UIDs and UIDVALIDITY are non-zero 32-bit numbers.
LAST_UID = 2**32 - 1
#: Flags of one message that are kept, and characters of one; more is no use of flags.
_FLAGS = 100
_FLAG = 200
_PARTIAL = re.compile(rb"<\d+>$")

#: The data items of one message, by name in upper case.
Items: TypeAlias = dict[bytes, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox as LIST names it (RFC 3501 §7.2.2); attributes in lower case."""

    name: str
    delimiter: str | None
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class State:
    """What SELECT or STATUS says of a mailbox (RFC 3501 §2.3.1.1)."""

    uidvalidity: int
    uidnext: int


@dataclass(frozen=True, slots=True)
class Structure:
    """A message as its first FETCH shows it; `bodystructure` is None where there is none."""

    uid: int
    flags: tuple[str, ...]
    modseq: int | None
    internaldate: datetime | None
    size: int
    header: bytes
    bodystructure: Any


def listed(folders: Sequence[tuple[Any, Any, Any]]) -> list[Listed]:
    """The mailboxes that can be selected, of those whose names can be kept."""
    mailboxes = [
        Listed(
            str(name),
            text_of(delimiter) if delimiter else None,
            frozenset(text_of(attribute).lower() for attribute in attributes),
        )
        for attributes, delimiter, name in folders
        # Modified UTF-7 can say NUL and halves of surrogates; there is no telling them back.
        if str(name) == text_of(str(name))
    ]
    return [one for one in mailboxes if not one.attributes & {"\\noselect", "\\nonexistent"}]


def state(answer: Mapping[bytes, Any]) -> State | None:
    """Where a mailbox stands; None where that is not said, or cannot be."""
    uidvalidity, uidnext = answer.get(b"UIDVALIDITY"), answer.get(b"UIDNEXT")
    if not isinstance(uidvalidity, int) or not isinstance(uidnext, int):
        return None
    if not 0 < uidvalidity <= LAST_UID or not 0 < uidnext <= LAST_UID + 1:
        return None
    return State(uidvalidity, uidnext)


def by_uid(parsed: Sequence[Any], wanted: Collection[int]) -> dict[int, Items]:
    """The items of each message that was asked for, from all FETCH answers that came.

    A server may tell of any message at any time (RFC 3501 §7); only an answer to UID FETCH must
    name its UID (§6.4.8), so what names none was not asked for.

    Raises:
        ValueError: they are no FETCH answers.
    """
    found: dict[int, Items] = {}
    for answer in parsed[1::2]:
        if not isinstance(answer, tuple) or len(answer) % 2:
            raise ValueError("not a list of pairs")
        items = {_name(name): value for name, value in zip(answer[::2], answer[1::2], strict=True)}
        uid = items.get(b"UID")
        if isinstance(uid, int) and uid in wanted:
            found.setdefault(uid, {}).update(items)
    return found


def complete(items: Items) -> bool:
    """Whether a message was described; an answer with its flags alone was meant for others."""
    return _header(items) is not None and b"RFC822.SIZE" in items


def structure(uid: int, items: Items) -> Structure:
    """A message that was described."""
    flags, modseq = _list(items.get(b"FLAGS")), _list(items.get(b"MODSEQ"))
    header, received = _header(items), items.get(b"INTERNALDATE")
    return Structure(
        uid=uid,
        flags=tuple(text_of(one)[:_FLAG] for one in flags[:_FLAGS]),
        modseq=whole_number(modseq[0]) or None if modseq else None,
        internaldate=moment(text_of(received)) if received else None,
        size=whole_number(items[b"RFC822.SIZE"]),
        header=header if isinstance(header, bytes) else b"",
        bodystructure=items.get(b"BODYSTRUCTURE"),
    )


def sections(items: Items) -> dict[str, bytes]:
    """The contents by section; one asked for as BODY.PEEK[1]<0.9> comes as BODY[1]<0> (§7.4.2)."""
    found = {}
    for name, value in items.items():
        if name.startswith(b"BODY["):
            section = _PARTIAL.sub(b"", name)[len(b"BODY[") : -1]
            found[text_of(section)] = value if isinstance(value, bytes) else b""
    return found


def _header(items: Items) -> object:
    names = (name for name in items if name.startswith(b"BODY[HEADER]"))
    return next((items[name] for name in names), None)


def _list(value: object) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def _name(value: object) -> bytes:
    return value.upper() if isinstance(value, bytes) else b""
