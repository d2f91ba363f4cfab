"""Believable mail: what lies in the demo's mailboxes at first, and what keeps arriving."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import NamedTuple

OWNER = Address("Robin Vale", "demo", "postwire.example")

ANNA = Address("Anna Lindqvist", "anna", "northwind.example")
JUN = Address("中村 潤", "jun", "kitayama.example")
MAREK = Address("Marek Dvořák", "marek", "hafen.example")
PRIYA = Address("Priya Raman", "priya", "fieldnotes.example")
TOM = Address("Tom O'Brien", "tom", "brassworks.example")
SHOP = Address("Corner Books", "orders", "cornerbooks.example")
BUILD = Address("Build Server", "builds", "northwind.example")

_PEOPLE = (ANNA, PRIYA, MAREK, JUN, TOM)
_GREEN_DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkOMHwHwAEBgIApD5fRAAAAABJRU5ErkJggg=="
)


class Topic(NamedTuple):
    """What a letter is about."""

    subject: str
    text: str


class Seed(NamedTuple):
    """A message that lies in a mailbox before the demo starts."""

    mailbox: str
    received: datetime
    flags: tuple[str, ...]
    content: bytes


_TOPICS = (
    Topic("Lunch on Thursday?", "The new place by the canal has a table at half past twelve."),
    Topic("Minutes of the planning call", "Three decisions, two open points. Corrections welcome."),
    Topic("Draft of the contract", "Section 4 is new, the rest is as we agreed in March."),
    Topic("The train is late again", "I will be there around ten; please start without me."),
    Topic("Photos from the workshop", "The good ones are in the shared album, the rest is hidden."),
    Topic("Question about the invoice", "Line 7 lists twelve licences, but we have ten seats."),
    Topic("Réunion déplacée à mardi", "La salle est réservée de 14 h à 16 h. À bientôt !"),
    Topic("Release 2.4 is out", "Search is twice as fast, and the export knows time zones now."),
    Topic("Your parcel has been posted", "It should arrive within two working days."),
    Topic("明日の打ち合わせについて", "資料を添付しました。ご確認ください。"),
    Topic("Can you look at this graph?", "Latency went up at 03:10 and came back by itself."),
)


def next_letter(number: int, now: datetime) -> EmailMessage:
    """Letter `number` of an endless row: people, topics and forms change at different paces."""
    topic = _TOPICS[number % len(_TOPICS)]
    letter = write(_PEOPLE[number % len(_PEOPLE)], topic.subject, topic.text, now)
    letter.replace_header("Message-ID", f"<letter-{number}-{now:%Y%m%d%H%M%S}@postwire.example>")
    if number % 3 == 1:
        letter.add_alternative(_as_html(topic), subtype="html")
    if number % 4 == 2:  # noqa: PLR2004
        _attach(letter, number)
    return letter


def write(sender: Address, subject: str, text: str, sent: datetime) -> EmailMessage:
    """A plain message to the demo's owner."""
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = OWNER
    letter["Subject"] = subject
    letter["Date"] = format_datetime(sent)
    letter["Message-ID"] = f"<{sent:%Y%m%d%H%M%S}.{sender.username}@{sender.domain}>"
    letter.set_content(f"Hello Robin,\n\n{text}\n\n{sender.display_name}\n")
    return letter


def seeds(now: datetime) -> list[Seed]:
    """The mail of the days before `now`, oldest first."""
    found = [
        _seed(_booking(now - timedelta(days=6)), r"\Seen"),
        _seed(_order(now - timedelta(days=5, hours=2)), r"\Seen"),
        *_conversation(now - timedelta(days=4)),
        _seed(_report(now - timedelta(days=3, hours=3)), r"\Seen", r"\Flagged"),
        _seed(_abroad(now - timedelta(days=2, hours=7))),
        _seed(_newsletter(now - timedelta(days=1, hours=20))),
        _malformed(now - timedelta(days=1, hours=9)),
        _seed(_picture(now - timedelta(hours=22)), r"\Seen"),
        _seed(_build_failed(now - timedelta(hours=8))),
        _seed(_build_fixed(now - timedelta(hours=7))),
        _seed(_invitation(now - timedelta(hours=1))),
    ]
    return sorted(found, key=lambda seed: seed.received)


def _seed(letter: EmailMessage, *flags: str, mailbox: str = "INBOX") -> Seed:
    return Seed(mailbox, letter["Date"].datetime, flags, as_sent(letter))


def _booking(sent: datetime) -> EmailMessage:
    text = "Your room for the 14th is booked. Breakfast starts at seven."
    return write(Address("Hotel Anker", "desk", "anker.example"), "Your booking", text, sent)


def _order(sent: datetime) -> EmailMessage:
    text = "Thank you for your order 48213: two copies of “The Wire Between Us”, 31.80 EUR."
    return write(SHOP, "Order 48213", text, sent)


def _conversation(started: datetime) -> list[Seed]:
    first = write(ANNA, "Budget for the autumn", "Could we talk about the numbers?", started)
    answer = write(OWNER, "Re: Budget for the autumn", "Gladly: tomorrow at ten?", started)
    answer.replace_header("To", ANNA)
    second = write(ANNA, "Re: Budget for the autumn", "Ten is good. I bring Marek.", started)
    third = write(MAREK, "Re: Budget for the autumn", "Notes from today are below.", started)
    note = write(OWNER, "Notes for Priya", "The contract is with the lawyers.", started)
    note.replace_header("To", PRIYA)
    _after(answer, [first], hours=1)
    _after(second, [first, answer], hours=2)
    _after(third, [first, answer, second], hours=26)
    _after(note, [], hours=30)
    return [
        _seed(first, r"\Seen", r"\Answered"),
        _seed(answer, r"\Seen", mailbox="Sent"),
        _seed(second, r"\Seen"),
        _seed(third),
        _seed(note, r"\Seen", mailbox="Sent"),
    ]


def _after(letter: EmailMessage, earlier: list[EmailMessage], *, hours: int) -> None:
    sent = letter["Date"].datetime + timedelta(hours=hours)
    sender = letter["From"].addresses[0]
    letter.replace_header("Date", format_datetime(sent))
    letter.replace_header("Message-ID", f"<{sent:%Y%m%d%H%M%S}.{sender.addr_spec}>")
    if earlier:
        letter["In-Reply-To"] = earlier[-1]["Message-ID"]
        letter["References"] = " ".join(one["Message-ID"] for one in earlier)


def _report(sent: datetime) -> EmailMessage:
    letter = write(PRIYA, "Figures for the quarter", "The table is attached.", sent)
    table = "month,accounts,messages\nJuly,1204,88213\nAugust,1377,91002\nSeptember,1490,99870\n"
    letter.add_attachment(table, subtype="csv", filename="quarter.csv")
    return letter


def _abroad(sent: datetime) -> EmailMessage:
    text = "来週の火曜日はいかがでしょうか。🍵\n\nLe café est prêt."
    return write(JUN, "打ち合わせの件 – Café & Größe ✓", text, sent)  # noqa: RUF001


def _newsletter(sent: datetime) -> EmailMessage:
    sender = Address("The Wire Weekly", "news", "wireweekly.example")
    topic = Topic("The Wire Weekly, No. 112", "Queues that never forget, and why IDLE is not lazy.")
    letter = write(sender, topic.subject, topic.text, sent)
    letter["List-Unsubscribe"] = "<https://wireweekly.example/leave>"
    letter.add_alternative(_as_html(topic), subtype="html")
    return letter


def _malformed(received: datetime) -> Seed:
    # Raw bytes in headers, a charset nobody knows, and a multipart that never begins.
    content = (
        b"From: \xe4nonymous <who@nowhere.example\r\n"
        b"To: undisclosed\r\nSubject: =?utf-9?q?caf=E9?= \xff\xfe offer\r\n"
        b"Date: Someday, 99 Nevember\r\n"
        b'Content-Type: multipart/mixed; boundary="never"\r\n\r\n'
        b"--other\r\nThis text belongs to no part.\r\n"
    )
    return Seed("INBOX", received, (), content)


def _picture(sent: datetime) -> EmailMessage:
    letter = write(TOM, "The dot you asked for", "Green, as agreed.", sent)
    letter.add_attachment(_GREEN_DOT, maintype="image", subtype="png", filename="dot.png")
    return letter


def _build_failed(sent: datetime) -> EmailMessage:
    text = "Build 2291 of main failed: 1 of 845 tests.\nThe log is kept for a week."
    return write(BUILD, "[main] build 2291 failed", text, sent)


def _build_fixed(sent: datetime) -> EmailMessage:
    return write(BUILD, "[main] build 2292 is green again", "All 845 tests passed.", sent)


def _invitation(sent: datetime) -> EmailMessage:
    text = "Sunday, three o'clock, our garden. There will be plum cake."
    return write(ANNA, "Garden party", text, sent)


def _attach(letter: EmailMessage, number: int) -> None:
    if number % 8 == 2:  # noqa: PLR2004
        letter.add_attachment(_GREEN_DOT, maintype="image", subtype="png", filename="graph.png")
    else:
        letter.add_attachment("item,count\npens,12\npaper,3\n", subtype="csv", filename="list.csv")


def _as_html(topic: Topic) -> str:
    return (
        '<html><body style="font-family: Georgia, serif; color: #223">'
        '<img src="https://images.postwire.example/banner.png" alt="Banner" width="480">'
        f'<h1 style="color: #0a6; font-size: 20px">{topic.subject}</h1>'
        f'<p style="line-height: 1.6">{topic.text}</p>'
        '<p><a href="https://postwire.example/read">Read on</a></p></body></html>'
    )


def as_sent(letter: EmailMessage) -> bytes:
    """The bytes of `letter` as they travel, with CRLF (RFC 5322 §2.1)."""
    return letter.as_bytes(policy=policy.SMTP)


def now() -> datetime:
    """The time as mail carries it: whole seconds, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)
