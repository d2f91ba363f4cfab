"""What is written with Dramatiq as it comes: for `dramatiq bench.stock`, with its own defaults.

A job that does nothing, and the sync as it is written first: IMAPClient, all messages whole, the
parser of the standard library, a row each.
"""

from __future__ import annotations

import email
import os
import time
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import dramatiq
import psycopg
import redis
from dramatiq.brokers.redis import RedisBroker
from imapclient import IMAPClient

#: Its keys are its own, beside those of Postwire's queue.
NAMESPACE = "stock"
#: Where jobs write how long they waited.
WAITS = "bench:stock:waits"
#: Where it writes when an account was done.
ENDED = "bench:stock:ended"

URL = os.environ.get("REDIS_URL", "redis://")
BROKER = RedisBroker(url=URL, namespace=NAMESPACE)  # type: ignore[no-untyped-call]
dramatiq.set_broker(BROKER)
REDIS = redis.Redis.from_url(URL)

_INSERT = """
    INSERT INTO peer_message (account, uid, message_id, subject, sender, receivers, date, flags,
                              size, text, html, attachments)
    VALUES (%s, %s, %s, %s, %s, %s, now(), %s, %s, %s, %s, NULL)
"""


@dramatiq.actor(queue_name="none")
def nothing(asked: float | None = None) -> None:
    """Do nothing; where it was asked for at a moment, say how long it waited."""
    begun = time.time()
    if asked:
        REDIS.rpush(WAITS, begun - asked)


@dramatiq.actor(queue_name="sync")
def sync(account: str) -> None:
    """Read all of a mailbox, which was never read."""
    environ = os.environ
    host, port = environ["IMAP_HOST"], int(environ["IMAP_PORT"])
    with (
        IMAPClient(host, port, ssl=False) as mail,
        psycopg.connect(environ["DATABASE_URL"]) as connection,
    ):
        mail.login(account, environ["IMAP_PASSWORD"])
        mail.select_folder("INBOX", readonly=True)
        for uid, data in mail.fetch(mail.search("ALL"), ["RFC822", "FLAGS"]).items():
            message = email.message_from_bytes(data[b"RFC822"], policy=default)
            connection.execute(_INSERT, _row(account, uid, data, cast("EmailMessage", message)))
    REDIS.rpush(ENDED, time.time())


def _row(account: str, uid: int, data: dict[bytes, Any], message: EmailMessage) -> list[object]:
    flags = b" ".join(data[b"FLAGS"]).decode()
    names = ("Message-ID", "Subject", "From", "To")
    head = [_clean(str(message.get(name, ""))) for name in names]
    bodies = [_text(message, kind) for kind in ("plain", "html")]
    return [account, uid, *head, flags, len(data[b"RFC822"]), *bodies]


def _text(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))
    try:
        return _clean(body.get_content()) if body else None
    except (LookupError, ValueError, KeyError):
        return None


def _clean(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()
