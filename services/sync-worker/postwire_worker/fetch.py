"""Messages by UID, structure first: what is text is fetched, what is attached stays there.

One poisonous message never stops its mailbox: a FETCH that fails is halved until the culprit
stands alone, and that one is set aside with its error.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import TypeVar

import structlog

from postwire.errors import ServerBusy
from postwire.model import Body, Incoming, SetAside
from postwire_worker import mime
from postwire_worker.answers import Structure
from postwire_worker.imap import Session, Unservable
from postwire_worker.structure import Part, Untrustworthy, leaves

#: Bytes of one text part that are kept; beyond that it is data, not reading matter.
TEXT_LIMIT = 1024 * 1024
#: Bytes of all text parts of one message that are kept.
MESSAGE_LIMIT = 4 * TEXT_LIMIT
#: Bytes of a message that has to be fetched whole, for want of a structure to trust.
WHOLE_LIMIT = 24 * 1024 * 1024
#: Bytes of text that one batch may hold in memory.
BATCH_BYTES = 16 * 1024 * 1024

#: Bytes that are kept of a message set aside.
RAW_LIMIT = 1024 * 1024
#: Messages of a batch whose bytes are kept; where more fail, it is the server that does.
_RAW = 10

_UNREADABLE = "This message cannot be read"
_CUT = "The text is longer than is kept; the rest was cut off."
_MISSING = "The mail server lists this message and does not serve it."

#: Which of these digests the account has already.
FindKnown = Callable[[Sequence[bytes]], set[bytes]]
#: Size and digest of those messages that the account has already, by the server's own id.
Recognise = Callable[[Sequence[str]], Mapping[str, tuple[int, bytes]]]
T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a range of UIDs; `done` are those that need not be asked for again."""

    done: tuple[int, ...]
    incoming: tuple[Incoming, ...]
    set_aside: tuple[SetAside, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one message is read; `parts` is None where it has to be fetched whole."""

    structure: Structure
    digest: bytes
    known: bool
    parts: tuple[Part, ...] | None

    @property
    def bodies(self) -> tuple[Part, ...]:
        """The parts to read: the text, as much of it as is kept."""
        text = [part for part in self.parts or () if part.is_body]
        sizes = accumulate(min(part.size, TEXT_LIMIT) for part in text)
        return tuple(part for part, upto in zip(text, sizes, strict=True) if upto <= MESSAGE_LIMIT)

    @property
    def attached(self) -> tuple[Part, ...]:
        """The parts that stay on the server, text for which there is no room among them."""
        bodies = {part.section for part in self.bodies}
        return tuple(part for part in self.parts or () if part.section not in bodies)

    @property
    def weight(self) -> int:
        """Bytes that will be fetched."""
        if self.known:
            return 0
        if self.parts is None:
            return min(self.structure.size, WHOLE_LIMIT)
        return sum(min(part.size, TEXT_LIMIT) for part in self.bodies)


def fetch(
    session: Session,
    uids: Sequence[int],
    find_known: FindKnown,
    *,
    room: int = BATCH_BYTES,
    recognise: Recognise | None = None,
) -> Fetched:
    """The messages `uids`, or as many of the first ones as fit into `room` bytes of text.

    A UID that is gone from the server by now counts as done. With `recognise` the server's ids are
    asked for first, and of those messages which they tell to be known nothing else is.

    Raises:
        ServerBusy: the server serves none of them, and says that it has no time.
    """
    recognised = _recognised(session, uids, recognise) if recognise else {}
    structures, failed = _structures(session, [uid for uid in uids if uid not in recognised])
    by_uid = {structure.uid: structure for structure in structures}
    digests = {uid: digest(structure) for uid, structure in by_uid.items()}
    known = find_known(list(digests.values())) if digests else set()
    plans: list[_Plan] = []
    done: list[int] = []
    for uid in uids:
        plan = recognised.get(uid)
        if uid in by_uid:
            plan = _plan(by_uid[uid], digests[uid], digests[uid] in known)
        if plan:
            room -= plan.weight
            if room < 0 and plans:
                break
            plans.append(plan)
        done.append(uid)
    incoming, unread = _read(session, plans)
    failed = {uid: error for uid, error in (failed | unread).items() if uid in done}
    _stop_if_busy(failed, incoming)
    return Fetched(tuple(done), tuple(incoming), _set_aside(session, failed))


def digest(structure: Structure) -> bytes:
    """What identifies a message in its account: header block and size, as the server has them."""
    return hashlib.sha256(b"%d\0%b" % (structure.size, structure.header)).digest()


def _recognised(session: Session, uids: Sequence[int], recognise: Recognise) -> dict[int, _Plan]:
    """The messages that the account has already, by the server's own ids (RFC 8474 §5.1)."""
    try:
        told = session.uid_fetch_ids(uids) if session.ids else []
    except Unservable:
        # Their structures will show whose fault it is.
        return {}
    found = recognise([one.server_id for one in told if one.server_id])
    plans = {}
    for one in told:
        size, message_digest = found.get(one.server_id or "", (None, b""))
        # An id that was given to another message, against the rules, is not believed.
        if size == one.size:
            plans[one.uid] = _Plan(one, message_digest, known=True, parts=())
    return plans


def _structures(
    session: Session, uids: Sequence[int]
) -> tuple[list[Structure], dict[int, Unservable]]:
    if not uids:
        return [], {}
    structures, failed = _halving(session.uid_fetch_structures, uids)
    _stop_if_busy(failed, structures)
    # A structure that cannot even be read: the message itself may still be.
    for uid in list(failed):
        again, _ = _halving(lambda one: session.uid_fetch_structures(one, parts=False), [uid])
        if again:
            structures += again
            del failed[uid]
    served = {structure.uid for structure in structures} | set(failed)
    for uid in [uid for uid in uids if uid not in served]:
        # Some servers forget a message at the first try; others had it expunged just now.
        again, wrong = _halving(session.uid_fetch_structures, [uid])
        structures += again
        failed |= wrong
        if not again and not wrong and session.uid_search(uid, uid):
            failed[uid] = Unservable(_MISSING)
    return structures, failed


def _halving(
    ask: Callable[[Sequence[int]], list[T]], uids: Sequence[int]
) -> tuple[list[T], dict[int, Unservable]]:
    try:
        return ask(uids), {}
    except Unservable as error:
        if len(uids) == 1:
            return [], {uids[0]: error}
    middle = len(uids) // 2
    first, wrong_first = _halving(ask, uids[:middle])
    second, wrong_second = _halving(ask, uids[middle:])
    return first + second, wrong_first | wrong_second


def _plan(structure: Structure, message_digest: bytes, known: bool) -> _Plan:  # noqa: FBT001
    try:
        parts = tuple(leaves(structure.bodystructure))
    except Untrustworthy:
        return _Plan(structure, message_digest, known, None)
    return _Plan(structure, message_digest, known, parts)


def _read(session: Session, plans: Sequence[_Plan]) -> tuple[list[Incoming], dict[int, Unservable]]:
    incoming: list[Incoming] = []
    failed: dict[int, Unservable] = {}
    for sections, group in _grouped(plans):
        by_uid = {plan.structure.uid: plan for plan in group}
        answers, wrong = _sections(session, list(by_uid), sections)
        failed |= wrong
        for uid, contents in answers:
            try:
                incoming.append(_incoming(by_uid[uid], contents))
            except Exception as error:
                # Whatever it is, it is this message's; the next one must not wait for its mending.
                log.exception("a message could not be read")
                failed[uid] = Unservable(f"{_UNREADABLE} ({type(error).__name__}).")
    return incoming, failed


def _set_aside(session: Session, failed: dict[int, Unservable]) -> tuple[SetAside, ...]:
    return tuple(
        SetAside(uid, str(error), _raw(session, uid) if n < _RAW else None)
        for n, (uid, error) in enumerate(failed.items())
    )


def _raw(session: Session, uid: int) -> bytes | None:
    """What the server gives of a message that is set aside, unread."""
    try:
        return session.uid_fetch_sections([uid], [""], RAW_LIMIT).get(uid, {}).get("") or None
    except Unservable:
        return None


def _grouped(plans: Sequence[_Plan]) -> Iterator[tuple[tuple[str, ...], list[_Plan]]]:
    # Messages with their text in the same places are asked for by one command.
    groups: defaultdict[tuple[str, ...], list[_Plan]] = defaultdict(list)
    for plan in plans:
        if plan.known:
            groups[()].append(plan)
        elif plan.parts is None:
            groups["",].append(plan)
        else:
            groups[tuple(part.section for part in plan.bodies)].append(plan)
    yield from groups.items()


def _sections(
    session: Session, uids: Sequence[int], sections: tuple[str, ...]
) -> tuple[list[tuple[int, dict[str, bytes]]], dict[int, Unservable]]:
    if not sections:
        return [(uid, {}) for uid in uids], {}
    limit = WHOLE_LIMIT if sections == ("",) else TEXT_LIMIT

    def ask(some: Sequence[int]) -> list[tuple[int, dict[str, bytes]]]:
        answers = session.uid_fetch_sections(some, sections, limit)
        short = [uid for uid in some if set(sections) - set(answers.get(uid, ()))]
        if short:
            raise Unservable(_MISSING)
        return list(answers.items())

    return _halving(ask, uids)


def _incoming(plan: _Plan, contents: dict[str, bytes]) -> Incoming:
    structure = plan.structure
    headers, problem = mime.headers(structure.header)
    message = Incoming(
        uid=structure.uid,
        flags=structure.flags,
        modseq=structure.modseq,
        internaldate=structure.internaldate or headers.date or datetime.now(UTC),
        size=structure.size,
        digest=plan.digest,
        headers=headers,
        body=None,
        problem=problem,
        server_id=structure.server_id,
        server_thread=structure.server_thread,
        labels=structure.labels,
    )
    if plan.known:
        return message
    if plan.parts is None:
        body, attachments, wrong = mime.whole(contents[""])
        cut = structure.size > WHOLE_LIMIT
        return replace(
            message, body=body, attachments=attachments, problem=problem or wrong or _cut(cut)
        )
    body, wrong = _body(plan.bodies, contents)
    cut = any(part.is_body for part in plan.attached)
    return replace(
        message,
        body=body,
        attachments=tuple(part.as_attachment() for part in plan.attached),
        problem=problem or wrong or _cut(cut),
    )


def _body(parts: Sequence[Part], contents: dict[str, bytes]) -> tuple[Body, str | None]:
    texts: dict[str, list[str]] = {"plain": [], "html": []}
    problem = None
    for part in parts:
        read, wrong = mime.part_text(part, contents[part.section])
        texts[part.subtype].append(read)
        problem = problem or wrong or _cut(part.size > TEXT_LIMIT)
    joined = {kind: "\n\n".join(found) if found else None for kind, found in texts.items()}
    flows = {part.flow for part in parts if part.subtype == "plain"}
    # Parts that flow in different ways were joined: then no rule is theirs.
    flow = flows.pop() if len(flows) == 1 else ""
    return mime.body(joined["plain"], joined["html"], flow), problem


def _cut(too_long: bool) -> str | None:  # noqa: FBT001
    return _CUT if too_long else None


def _stop_if_busy(failed: dict[int, Unservable], served: Sequence[object]) -> None:
    # Where nothing at all is served it is not the messages' fault: setting them aside would
    # lose them for the time being.
    busy: list[ServerBusy] = [error.busy for error in failed.values() if error.busy]
    if busy and not served:
        raise busy[0]
