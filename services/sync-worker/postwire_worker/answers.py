"""What the answers of an IMAP server say, checked: a server may send anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from postwire.model import Flagged
from postwire_worker.client import mailbox_name
from postwire_worker.text import moment, text_of, whole_number

#: RFC 3501 §9: UIDs and UIDVALIDITY are non-zero 32-bit numbers.
LAST_UID = 2**32 - 1
#: Flags of one message that are kept, and characters of one; more is no use of flags.
_FLAGS = 100
_FLAG = 200
_PARTIAL = re.compile(rb"<\d+>$")
#: Labels of one message that are kept, and bytes of one; Gmail's have 225 characters at most.
_LABELS = 1_000
_LABEL = 2_000
#: What Gmail calls otherwise in X-GM-LABELS than in LIST, in lower case.
_SYSTEM_LABELS = {
    "\\inbox": "INBOX",
    "\\sent": "\\Sent",
    "\\draft": "\\Drafts",
    "\\drafts": "\\Drafts",
    "\\starred": "\\Flagged",
    "\\important": "\\Important",
}
#: RFC 8474 §7; Gmail's numbers of 64 bits are such as well.
_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
#: RFC 7162 §7: a modseq has 63 bits.
_LAST_MODSEQ = 2**63 - 1
#: An answer to FETCH (FLAGS) as most servers give it; others are left to the parser.
_FLAGGED = re.compile(
    rb"\d{1,10} \((?:UID (\d{1,10}) )?(?:MODSEQ \((\d{1,19})\) )?FLAGS \(([^()\"{]*)\)"
    rb"(?: UID (\d{1,10}))?(?: MODSEQ \((\d{1,19})\))?\)"
)
#: One term of a sequence set (RFC 3501 §9), as ESEARCH gives it.
_TERM = re.compile(rb"(\d{1,10})(?::(\d{1,10}))?")
#: This session's own business, and gone with it (RFC 3501 §2.3.2).
_RECENT = "\\recent"

#: The data items of one message, by name in upper case.
Items: TypeAlias = dict[bytes, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox as LIST names it (RFC 3501 §7.2.2); attributes in lower case."""

    name: str
    delimiter: str | None
    attributes: frozenset[str]
    #: What LIST said of it by the way (RFC 5819).
    state: State | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What SELECT or STATUS says of a mailbox (RFC 3501 §2.3.1.1)."""

    uidvalidity: int
    uidnext: int
    #: How many there are (EXISTS, MESSAGES), and how many of them were not seen.
    messages: int | None = None
    unseen: int | None = None
    #: RFC 7162; None where the mailbox has no modseqs.
    highestmodseq: int | None = None
    #: MAILBOXID (RFC 8474).
    object_id: str | None = None


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
    #: As in `Incoming`.
    server_id: str | None = None
    server_thread: str | None = None
    labels: tuple[str, ...] | None = None


def listed(
    folders: Sequence[tuple[Any, Any, Any]], states: Mapping[str, State] | None = None
) -> list[Listed]:
    """The mailboxes that can be selected, of those whose names can be kept."""
    mailboxes = [
        Listed(
            str(name),
            text_of(delimiter) if delimiter else None,
            frozenset(text_of(attribute).lower() for attribute in attributes),
            (states or {}).get(str(name)),
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
    return State(
        uidvalidity,
        uidnext,
        messages=_number(answer.get(b"MESSAGES", answer.get(b"EXISTS")), LAST_UID),
        unseen=_number(answer.get(b"UNSEEN"), LAST_UID),
        # 0 stands for "none" in STATUS (RFC 7162 §3.1.7).
        highestmodseq=_number(answer.get(b"HIGHESTMODSEQ"), _LAST_MODSEQ) or None,
        object_id=_object_id(answer.get(b"MAILBOXID")),
    )


def _number(value: object, last: int) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= last else None


def _object_id(value: object) -> str | None:
    # RFC 8474 §4: in parentheses, and of at most 255 characters.
    names = _list(value)
    return text_of(names[0])[:255] if names and isinstance(names[0], bytes) else None


def flagged(answers: Sequence[Any], parse: Callable[[list[Any]], Sequence[Any]]) -> list[Flagged]:
    """UID and flags of each message that FETCH (FLAGS) answers name; `parse` reads the odd ones.

    Raises:
        ValueError: they are no FETCH answers.
    """
    found: list[Flagged] = []
    odd: list[Any] = []
    for answer in answers:
        match = _FLAGGED.fullmatch(answer) if isinstance(answer, bytes) else None
        uid = match and (match[1] or match[4])
        if match and uid:
            modseq = match[2] or match[5]
            flags = flag_names(match[3].split())
            found.append(Flagged(int(uid), flags, int(modseq) if modseq else None))
        else:
            odd.append(answer)
    if odd:
        found += [_flagged(items) for items in _items(parse(odd)) if _tells_flags(items)]
    return [one for one in found if 0 < one.uid <= LAST_UID and (one.modseq or 0) <= _LAST_MODSEQ]


def _tells_flags(items: Items) -> bool:
    return isinstance(items.get(b"UID"), int) and isinstance(items.get(b"FLAGS"), tuple)


def _flagged(items: Items) -> Flagged:
    return Flagged(items[b"UID"], flag_names(items[b"FLAGS"]), _modseq(items), _labels(items))


def flag_names(flags: Sequence[Any]) -> tuple[str, ...]:
    """The flags that are kept, each once and in one order, whatever the server's is."""
    named = {text_of(one)[:_FLAG] for one in flags[:_FLAGS]}
    return tuple(sorted(one for one in named if one.lower() != _RECENT))


def sequence_set(text: bytes) -> list[tuple[int, int]]:
    """The ranges of a sequence set, lowest first; nothing is expanded, for one may be huge."""
    terms = (_TERM.fullmatch(term) for term in text.split(b","))
    ranges = [(int(term[1]), int(term[2] or term[1])) for term in terms if term]
    return sorted((min(one), max(one)) for one in ranges)


def by_uid(parsed: Sequence[Any], wanted: Collection[int]) -> dict[int, Items]:
    """The items of each message that was asked for, from all FETCH answers that came.

    A server may tell of any message at any time (RFC 3501 §7); only an answer to UID FETCH must
    name its UID (§6.4.8), so what names none was not asked for.

    Raises:
        ValueError: they are no FETCH answers.
    """
    found: dict[int, Items] = {}
    for items in _items(parsed):
        uid = items.get(b"UID")
        if isinstance(uid, int) and uid in wanted:
            found.setdefault(uid, {}).update(items)
    return found


def _items(parsed: Sequence[Any]) -> Iterator[Items]:
    for answer in parsed[1::2]:
        if not isinstance(answer, tuple) or len(answer) % 2:
            raise ValueError("not a list of pairs")
        yield {_name(name): value for name, value in zip(answer[::2], answer[1::2], strict=True)}


def complete(items: Items) -> bool:
    """Whether a message was described; an answer with its flags alone was meant for others."""
    return _header(items) is not None and b"RFC822.SIZE" in items


def structure(uid: int, items: Items) -> Structure:
    """A message that was described."""
    header, received = _header(items), items.get(b"INTERNALDATE")
    return Structure(
        uid=uid,
        flags=flag_names(_list(items.get(b"FLAGS"))),
        modseq=_modseq(items),
        internaldate=moment(text_of(received)) if received else None,
        size=whole_number(items[b"RFC822.SIZE"]),
        header=header if isinstance(header, bytes) else b"",
        bodystructure=items.get(b"BODYSTRUCTURE"),
        server_id=_server_id(items, {b"X-GM-MSGID": "gm", b"EMAILID": "emailid"}),
        server_thread=_server_id(items, {b"X-GM-THRID": "x-gm-thrid", b"THREADID": "threadid"}),
        labels=_labels(items),
    )


def _server_id(items: Items, kinds: Mapping[bytes, str]) -> str | None:
    """The id by which the server knows a message or a thread, with its kind before it."""
    for name, kind in kinds.items():
        # RFC 8474 has its ids in parentheses, or NIL; Gmail's are numbers, and never 0.
        value = next(iter(_list(items.get(name))), None) or items.get(name)
        said = str(value) if isinstance(value, int) else text_of(value)
        if value and _OBJECT_ID.fullmatch(said):
            return f"{kind}:{said}"
    return None


def _labels(items: Items) -> tuple[str, ...] | None:
    """The mailboxes that X-GM-LABELS names; None where it is not there, or cannot be read."""
    said = items.get(b"X-GM-LABELS")
    if not isinstance(said, tuple):
        return None
    named = {_label(one) for one in said[:_LABELS] if isinstance(one, bytes | int)}
    return tuple(sorted(name for name in named if name))


def _label(said: bytes | int) -> str | None:
    if isinstance(said, bytes) and len(said) > _LABEL:
        return None
    try:
        name = mailbox_name(said)
    except ValueError:
        return None
    return _SYSTEM_LABELS.get(name.lower(), name) if name == text_of(name) else None


def _modseq(items: Items) -> int | None:
    modseq = _list(items.get(b"MODSEQ"))
    return whole_number(modseq[0]) or None if modseq else None


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
