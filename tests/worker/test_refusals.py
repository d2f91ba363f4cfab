"""What servers say when they will not, collected from the field."""

from __future__ import annotations

import pytest

from postwire.errors import AuthenticationFailed, MailboxNotFound, ServerBusy, TransientError
from postwire_worker.refusals import busy, of_command, of_login


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ("[UNAVAILABLE] Temporary authentication failure.", None),
        ("[INUSE] Mailbox in use", None),
        ("[ALERT] Too many simultaneous connections. (Failure)", None),
        ("Request is throttled. Suggested Backoff Time: 299961 milliseconds", 299.961),
        ("SUGGESTED BACKOFF TIME: 1 MILLISECONDS", 0.001),
        ("Suggested Backoff Time: 99999999999999999999 milliseconds", None),
    ],
)
def test_a_server_that_asks_to_wait_is_busy(answer: str, seconds: float | None) -> None:
    error = busy(answer)
    assert isinstance(error, ServerBusy)
    assert error.retry_after == (pytest.approx(seconds) if seconds else None)


@pytest.mark.parametrize("answer", ["", "LOGIN failed.", "[SERVERBUG] Internal error", "[ALERT] x"])
def test_other_refusals_are_no_request_to_wait(answer: str) -> None:
    assert busy(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        "[AUTHENTICATIONFAILED] Authentication failed, try again later.",
        "LOGIN failed.",
        "[ALERT] Application-specific password required: https://support.google.com (Failure)",
        "[AUTHORIZATIONFAILED] not allowed",
        "[EXPIRED] password expired",
    ],
)
def test_a_refused_login_is_the_users_to_mend(answer: str) -> None:
    assert type(of_login(answer)) is AuthenticationFailed


@pytest.mark.parametrize(
    "answer", ["[SERVERBUG] Internal error", "[CONTACTADMIN] call us", "[UNAVAILABLE] later"]
)
def test_a_login_that_failed_for_the_servers_sake_is_tried_again(answer: str) -> None:
    assert isinstance(of_login(answer), TransientError)


@pytest.mark.parametrize(
    ("answer", "doing", "kind"),
    [
        ("[NONEXISTENT] Unknown Mailbox: Sent (Failure)", "select", MailboxNotFound),
        ("Mailbox doesn't exist: Sent", "status", MailboxNotFound),
        ("no such file", "list", TransientError),
        ("[INUSE] locked", "select", ServerBusy),
        ("whatever", "select", TransientError),
    ],
)
def test_a_refused_command_says_what_it_was_about(
    answer: str, doing: str, kind: type[Exception]
) -> None:
    assert type(of_command(answer, doing)) is kind
