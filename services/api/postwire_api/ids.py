"""From the text of a path or a query to an id; what can be none names nothing that exists."""

from __future__ import annotations

import re

from postwire.errors import NotFound
from postwire.model import AccountId, JobId, MessageId, ThreadId

#: PostgreSQL's bigint.
MAX_BIGINT = 2**63 - 1

_ACCOUNT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_JOB = re.compile(r"sync-[0-9a-f-]{36}-[0-9]{1,19}")


def account_id(text: str) -> AccountId:
    """The account id in `text`.

    Raises:
        NotFound: it is none.
    """
    if not _ACCOUNT.fullmatch(text):
        raise NotFound("There is no such account.")
    return AccountId(text.lower())


def message_id(text: str) -> MessageId:
    """The message id in `text`.

    Raises:
        NotFound: it is none.
    """
    return MessageId(_number(text, "There is no such message."))


def thread_id(text: str) -> ThreadId:
    """The id of a conversation in `text`.

    Raises:
        NotFound: it is none.
    """
    return ThreadId(_number(text, "There is no such conversation."))


def _number(text: str, otherwise: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_BIGINT:
        raise NotFound(otherwise)
    return int(text)


def job_id(text: str) -> JobId:
    """The job id in `text`.

    Raises:
        NotFound: it is none.
    """
    if not _JOB.fullmatch(text):
        raise NotFound("There is no such job.")
    return JobId(text)
