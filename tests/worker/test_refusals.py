"""What servers say when they will not, collected from the field."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from postwire.errors import AuthenticationFailed, MailboxNotFound, ServerBusy, TransientError
from postwire_worker.refusals import busy, come_back_in, of_command, of_login


@pytest.mark.parametrize(
    ("answer", "kind", "seconds"),
    [
        ("[UNAVAILABLE] Temporary authentication failure.", "unavailable", 30),
        ("[INUSE] Mailbox in use", "in_use", 15),
        ("[ALERT] Too many simultaneous connections. (Failure)", "limit", 60),
        ("[LIMIT] Rate limit hit.", "limit", 60),
        ("Maximum number of connections from user+IP exceeded", "limit", 60),
        ("User is authenticated but not connected.", "limit", 60),
        ("Success [THROTTLED]", "throttled", 300),
        ("[ALERT] Account exceeded command or bandwidth limits. (Failure)", "throttled", 300),
        ("Request is throttled. Suggested Backoff Time: 299961 milliseconds", "throttled", 299.961),
        ("SUGGESTED BACKOFF TIME: 1 MILLISECONDS", "throttled", 0.001),
        ("Suggested Backoff Time: 9999999999 milliseconds", "throttled", 3600),
        ("Suggested Backoff Time: 99999999999999999999 milliseconds", "throttled", 300),
    ],
)
def test_a_server_that_asks_to_wait_is_busy_and_counted(
    answer: str, kind: str, seconds: float
) -> None:
    def counted() -> float:
        labels = {"provider": "Gmail", "kind": kind}
        return REGISTRY.get_sample_value("postwire_imap_turned_away_total", labels) or 0

    before = counted()
    error = busy(answer, "Gmail")
    assert isinstance(error, ServerBusy)
    assert error.retry_after == pytest.approx(seconds)
    assert error.throttled == (kind == "throttled")
    assert counted() == before + 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.001, "1 second"), (89.2, "90 seconds"), (299.961, "5 minutes"), (3600, "60 minutes")],
)
def test_the_time_is_said_in_words(seconds: float, words: str) -> None:
    assert come_back_in(seconds) == f"The mail server asks to come back in {words}."


@pytest.mark.parametrize("answer", ["", "LOGIN failed.", "[SERVERBUG] Internal error", "[ALERT] x"])
def test_other_refusals_are_no_request_to_wait(answer: str) -> None:
    assert busy(answer, "other") is None


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
    assert type(of_login(answer, "other")) is AuthenticationFailed


@pytest.mark.parametrize(
    "answer", ["[SERVERBUG] Internal error", "[CONTACTADMIN] call us", "[UNAVAILABLE] later"]
)
def test_a_login_that_failed_for_the_servers_sake_is_tried_again(answer: str) -> None:
    assert isinstance(of_login(answer, "other"), TransientError)


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
    assert type(of_command(answer, "other", doing)) is kind
