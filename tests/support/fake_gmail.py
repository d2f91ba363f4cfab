"""A small server in memory that keeps mail as Gmail does, which no server to be had here does.

Every message lies in All Mail, Spam or Trash, and is shown in further mailboxes by its labels,
under other UIDs. With `dialect="objectid"` it tells EMAILID and THREADID (RFC 8474) instead of
Gmail's own ids, and no labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Literal

from support.fake_imap import Answer, FakeImap, Wire, fake_imap

ALL, SPAM, TRASH = "[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Trash"
SENT, STARRED = "[Gmail]/Sent Mail", "[Gmail]/Starred"
#: What LIST names, with its special use, and the label that X-GM-LABELS has for it.
_SYSTEM: Mapping[str, tuple[str, bytes | None]] = {
    "INBOX": ("", b'"\\\\Inbox"'),
    ALL: ("\\All", None),
    "[Gmail]/Drafts": ("\\Drafts", b"\\Draft"),
    "[Gmail]/Important": ("\\Important", b"\\Important"),
    SENT: ("\\Sent", b'"\\\\Sent"'),
    SPAM: ("\\Junk", None),
    STARRED: ("\\Flagged", b'"\\\\Starred"'),
    TRASH: ("\\Trash", None),
}
_IDS = {"gmail": "X-GM-EXT-1", "objectid": "OBJECTID"}
_COMMON = "IMAP4rev1 UIDPLUS CONDSTORE ESEARCH LIST-STATUS SPECIAL-USE"
_SECTION = re.compile(r"BODY\.PEEK\[([^\]]*)\]<(\d+)\.(\d+)>")


@dataclass(slots=True, eq=False)
class Mail:
    """One message; `said` is what is told of it instead of the truth, by data item."""

    id: int
    thread: int
    content: bytes
    flags: set[str]
    #: Names of mailboxes, as LIST has them.
    labels: set[str]
    modseq: int
    said: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Box:
    """A mailbox: what lies in it by UID."""

    attribute: str
    label: bytes | None
    uidvalidity: int = 7
    uidnext: int = 1
    modseq: int = 1
    mail: dict[int, Mail] = field(default_factory=dict)

    def put(self, mail: Mail) -> None:
        """Give the message a UID here, unless it has one."""
        if mail not in self.mail.values():
            self.mail[self.uidnext] = mail
            self.uidnext += 1

    def take(self, mail: Mail) -> None:
        """Let the message lie here no longer."""
        self.mail = {uid: one for uid, one in self.mail.items() if one is not mail}


@dataclass(slots=True)
class FakeGmail:
    """What the user does to the mail, and what a session is told of it."""

    dialect: Literal["gmail", "objectid"] = "gmail"
    boxes: dict[str, Box] = field(default_factory=dict)
    #: What it announces and does not understand.
    refuses_ids: bool = False
    imap: FakeImap = field(init=False)
    _selected: Box = field(init=False)
    _modseq: int = 10
    _last: int = 1700000000000000000

    def __post_init__(self) -> None:
        for name, (attribute, label) in _SYSTEM.items():
            self.boxes[name] = Box(attribute, label)

    def add_label(self, name: str) -> None:
        """Make a label; its name goes to and fro as it is."""
        self.boxes[name] = Box("", f'"{name}"'.encode())

    def add(
        self, content: bytes, *labels: str, thread: int | None = None, flags: tuple[str, ...] = ()
    ) -> Mail:
        """A message that arrives, in INBOX unless labels say otherwise."""
        self._last += 1
        mail = Mail(self._last, thread or self._last, content, set(flags), set(), 0)
        self.boxes[ALL].put(mail)
        self.relabel(mail, *(labels or ("INBOX",)))
        return mail

    def relabel(self, mail: Mail, *labels: str) -> None:
        """Show the message in these mailboxes, and in no others."""
        for name, box in self.boxes.items():
            if name in labels:
                box.put(mail)
            elif name in mail.labels:
                box.take(mail)
                box.modseq = self._modseq
        mail.labels = set(labels)
        self._changed(mail)

    def archive(self, mail: Mail) -> None:
        """Take it out of INBOX."""
        self.relabel(mail, *(mail.labels - {"INBOX"}))

    def star(self, mail: Mail) -> None:
        """Put a star on it."""
        mail.flags.add("\\Flagged")
        self.relabel(mail, *mail.labels, STARRED)

    def flag(self, mail: Mail, *flags: str) -> None:
        """Give it these flags and no others."""
        mail.flags = set(flags)
        self._changed(mail)

    def move(self, mail: Mail, source: str, to: str) -> None:
        """Between All Mail, Spam and Trash, which leaves it without labels."""
        self.relabel(mail)
        self.boxes[source].take(mail)
        self.boxes[to].put(mail)
        self._changed(mail)
        self.boxes[source].modseq = self._modseq

    def renumber(self, name: str) -> None:
        """Give all messages of a mailbox new UIDs."""
        box = self.boxes[name]
        box.uidvalidity += 1
        box.uidnext = 1
        mail, box.mail = list(box.mail.values()), {}
        for one in mail:
            box.put(one)

    def _changed(self, mail: Mail) -> None:
        self._modseq += 1
        mail.modseq = self._modseq
        for box in self.boxes.values():
            if mail in box.mail.values():
                box.modseq = self._modseq

    def opened(self) -> set[str]:
        """The mailboxes that were opened so far."""
        return {_name(line) for line in self.imap.heard("EXAMINE|SELECT")}

    def fetched(self, item: str) -> list[str]:
        """The FETCH commands that asked for the item."""
        return [line for line in self.imap.heard("UID FETCH") if item in line]

    def answers(self) -> dict[str, Answer]:
        """What is answered, for `fake_imap`."""
        said = f"{_COMMON} {_IDS[self.dialect]}"
        return {
            "CAPABILITY": f"* CAPABILITY {said}\r\nTAG OK done\r\n".encode(),
            "LOGIN": f"TAG OK [CAPABILITY {said}] in\r\n".encode(),
            "LIST": self._list,
            "EXAMINE": self._examine,
            "UID SEARCH": self._search,
            "UID FETCH": self._fetch,
            "CLOSE": b"TAG OK closed\r\n",
        }

    def _list(self, wire: Wire, tag: str) -> None:
        for name, box in self.boxes.items():
            wire.send(f'* LIST (\\HasNoChildren {box.attribute}) "/" "{name}"\r\n'.encode())
            wire.send(
                f'* STATUS "{name}" (UIDVALIDITY {box.uidvalidity} UIDNEXT {box.uidnext}'
                f" MESSAGES {len(box.mail)} HIGHESTMODSEQ {box.modseq})\r\n".encode()
            )
        wire.send(f"{tag} OK done\r\n".encode())

    def _examine(self, wire: Wire, tag: str) -> None:
        box = self._selected = self.boxes[_name(_command(wire))]
        wire.send(
            f"* {len(box.mail)} EXISTS\r\n* OK [UIDVALIDITY {box.uidvalidity}] x\r\n"
            f"* OK [UIDNEXT {box.uidnext}] x\r\n* OK [HIGHESTMODSEQ {box.modseq}] x\r\n"
            f"{tag} OK [READ-ONLY] done\r\n".encode()
        )

    def _search(self, wire: Wire, tag: str) -> None:
        asked = re.search(r"UID (\d+):(\d+)", _command(wire).removeprefix("UID SEARCH"))
        assert asked
        found = [uid for uid in self._selected.mail if int(asked[1]) <= uid <= int(asked[2])]
        said = f" ALL {','.join(map(str, found))}" if found else ""
        wire.send(f'* ESEARCH (TAG "{tag}") UID{said}\r\n{tag} OK done\r\n'.encode())

    def _fetch(self, wire: Wire, tag: str) -> None:
        asked = re.fullmatch(
            r"UID FETCH ([\d:,]+) \((.*?)\)(?: \(CHANGEDSINCE (\d+)\))?", _command(wire)
        )
        assert asked
        if self.refuses_ids and re.search("X-GM|EMAILID", asked[2]):
            wire.send(f"{tag} BAD unknown parameter\r\n".encode())
            return
        since = int(asked[3]) if asked[3] else -1
        for seq, (uid, mail) in enumerate(sorted(self._selected.mail.items()), 1):
            if _within(uid, asked[1]) and mail.modseq > since:
                items = [f"UID {uid}".encode(), *self._items(mail, asked[2])]
                if asked[3]:
                    items.append(f"MODSEQ ({mail.modseq})".encode())
                wire.send(b"* %d FETCH (%b)\r\n" % (seq, b" ".join(items)))
        wire.send(f"{tag} OK done\r\n".encode())

    def _items(self, mail: Mail, asked: str) -> Iterator[bytes]:
        for item in asked.split():
            section = _SECTION.fullmatch(item)
            if section:
                begin, length = int(section[2]), int(section[3])
                content = _content(mail.content, section[1])[begin : begin + length]
                yield f"BODY[{section[1]}]<{begin}> {{{len(content)}}}\r\n".encode() + content
            elif item != "UID":
                yield item.encode() + b" " + mail.said.get(item, self._tell(mail, item))

    def _tell(self, mail: Mail, item: str) -> bytes:
        labels = [self.boxes[name].label for name in sorted(mail.labels)]
        told = {
            "FLAGS": f"({' '.join(sorted(mail.flags))})".encode(),
            "INTERNALDATE": b'"05-Nov-2026 10:00:00 +0000"',
            "RFC822.SIZE": str(len(mail.content)).encode(),
            "BODYSTRUCTURE": _structure(message_from_bytes(mail.content)),
            "MODSEQ": f"({mail.modseq})".encode(),
            "X-GM-MSGID": str(mail.id).encode(),
            "X-GM-THRID": str(mail.thread).encode(),
            "X-GM-LABELS": b"(" + b" ".join(label for label in labels if label) + b")",
            "EMAILID": f"(M{mail.id})".encode(),
            "THREADID": f"(T{mail.thread})".encode(),
        }
        return told[item]


def _command(wire: Wire) -> str:
    return wire.server.lines[-1].partition(" ")[2]


def _name(command: str) -> str:
    return command.partition(" ")[2].strip('"')


def _within(uid: int, uids: str) -> bool:
    ranges = (term.partition(":") for term in uids.split(","))
    return any(int(low) <= uid <= int(high or low) for low, _, high in ranges)


def _content(content: bytes, section: str) -> bytes:
    header, _, text = content.partition(b"\r\n\r\n")
    if section in {"", "HEADER"}:
        return content if not section else header + b"\r\n\r\n"
    message = message_from_bytes(content)
    if not message.is_multipart():
        return text
    parts: list[Message] = message.get_payload()  # type: ignore[assignment]
    return str(parts[int(section) - 1].get_payload()).encode()


def _structure(message: Message) -> bytes:
    payload = message.get_payload()
    if isinstance(payload, list):
        parts = b"".join(_structure(part) for part in payload if isinstance(part, Message))
        return b'(%b "MIXED")' % parts
    size, encoding = len(str(payload)), str(message.get("Content-Transfer-Encoding", "7BIT"))
    kind, subtype = message.get_content_maintype(), message.get_content_subtype()
    lines = " 1" if kind == "text" else ""
    return f'("{kind}" "{subtype}" NIL NIL NIL "{encoding}" {size}{lines})'.encode()


@contextmanager
def fake_gmail(dialect: Literal["gmail", "objectid"] = "gmail") -> Iterator[FakeGmail]:
    """Run such a server, without any mail."""
    gmail = FakeGmail(dialect)
    with fake_imap(gmail.answers()) as gmail.imap:
        yield gmail
