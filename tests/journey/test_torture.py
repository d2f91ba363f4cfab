"""The torture corpus on its whole way: a real Dovecot, all processes, the API."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from support.dovecot import Dovecot
from support.mailbox import MailUser
from support.system import System
from support.torture import Torture, corpus


def sync(api: httpx.Client, account: str) -> int:
    """Sync the account to the end; how many messages that found."""
    job = api.post("/api/email/sync", json={"accountId": account}).json()["jobId"]
    deadline = time.monotonic() + 60
    while True:
        state = api.get(f"/api/jobs/{job}").json()
        if state["state"] in {"completed", "failed"}:
            assert state["state"] == "completed", state
            return int(state["found"])
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


def read_all(api: httpx.Client) -> list[dict[str, object]]:
    """All messages with their bodies, newest first."""
    ids = [one["id"] for one in api.get("/api/messages?limit=200").json()["messages"]]
    answers = [api.get(f"/api/messages/{id_}") for id_ in ids]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


def check(api: httpx.Client, one: Torture, found: dict[str, object]) -> list[str]:
    """What is not as it should be."""
    wrong = [
        f"{one.name}: {name} is {str(found[name])[:200]!r}"
        for name in ("subject", "text", "html", "problem")
        if (wanted := getattr(one, name)) is not None and wanted not in str(found[name])
    ]
    parts = found["attachments"]
    assert isinstance(parts, list)
    names = tuple(part["filename"] for part in parts)
    if one.filenames is not None and names != one.filenames:
        wrong.append(f"{one.name}: the names are {names}")
    if one.content is not None and parts:
        answer = api.get(f"/api/messages/{found['id']}/attachments/1")
        if answer.status_code != 200 or answer.content.rstrip(b"\r\n") != one.content:
            wrong.append(
                f"{one.name}: the attachment is {answer.status_code} {answer.content[:80]!r}"
            )
    return wrong


@pytest.mark.timeout(240)
def test_each_message_of_the_corpus_is_stored_or_set_aside_and_none_stops_the_mailbox(
    system: System, dovecot: Dovecot
) -> None:
    # Given a mailbox with the whole corpus, and an ordinary letter at its end
    user = MailUser(dovecot, dovecot.new_user())
    letters = corpus()
    now = datetime.now(UTC)
    raws = [*(one.raw for one in letters), b"Subject: the last one\r\n\r\nas ever\r\n"]
    with user.session() as client:
        for n, raw in enumerate(raws):
            # The first is the newest, so that the list has them in the order of the corpus.
            client.append("INBOX", raw, (), now - timedelta(minutes=n))

    with system.api("robin") as api:
        # When the account is added and synced
        account = system.add_account(user)
        sync(api, account)

        # Then each message is stored or set aside, and the last one is there
        messages = read_all(api)
        aside = api.get(f"/api/accounts/{account}/set-aside").json()["setAside"]
        assert len(messages) + len(aside) == len(letters) + 1
        assert any(message["subject"] == "the last one" for message in messages)

        # And what can be read of each was read
        assert aside == []
        wrong = [
            problem
            for one, found in zip(letters, messages, strict=False)
            for problem in check(api, one, found)
        ]
        assert not wrong, "\n".join(wrong)

        # And a second sync stores nothing new
        assert sync(api, account) == 0
        assert len(read_all(api)) == len(messages)
