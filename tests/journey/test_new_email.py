"""One new email, from a real mailbox to a real browser: the test of everything."""

from __future__ import annotations

import json
import subprocess

import pytest
from playwright.sync_api import Browser, Page, expect

from postwire_demo.node import node
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.system import WEB, System

#: What the ordinary client from npm does with a room; prints each event as a line of JSON.
_CLIENT = """
const { io } = require("socket.io-client");
const { url, token, accountId, transport } = JSON.parse(process.argv[1]);
const socket = io(url, { transports: [transport], auth: { token } });
socket.on("connect", () => socket.emit("join", { accountId }, (answer) => {
  console.log(JSON.stringify({ event: "joined", answer }));
}));
socket.on("email:synced", (payload) => {
  console.log(JSON.stringify({ event: "email:synced", payload }));
  socket.close();
});
socket.on("connect_error", (error) => { console.error(error.message); process.exit(1); });
setTimeout(() => process.exit(2), 20000).unref();
"""


@pytest.fixture
def page(browser: Browser) -> Page:
    """A tab of a real browser."""
    return browser.new_page()


def test_a_new_email_appears_in_the_open_inbox(
    system: System, dovecot: Dovecot, page: Page
) -> None:
    # Given an account with a message that was there before, and its inbox open in a browser
    user = MailUser(dovecot, dovecot.new_user())
    user.append(letter("Was here before"))
    system.add_account(user)
    system.wait_until_watched()
    page.goto(f"{system.api_url}/#token={system.token('robin')}")
    expect(page.get_by_test_id("live-mark")).to_have_attribute("data-status", "live")
    expect(page.get_by_test_id("message-row")).to_have_count(1)
    expect(page.get_by_test_id("new-badge")).not_to_be_visible()

    # When a message is delivered on the mail server
    html = "<p>See you <b>there</b></p><script>document.title = 'owned'</script>"
    user.append(letter("Lunch on Thursday?", "See you there", html=html))

    # Then it appears by itself: in the list, in the badge and in a toast
    row = page.get_by_test_id("message-row").first
    expect(row).to_contain_text("Lunch on Thursday?", timeout=10_000)
    expect(row).to_contain_text("Anna Lindqvist")
    expect(row).to_have_attribute("data-unread", "true")
    expect(page.get_by_test_id("new-badge")).to_contain_text("1")
    expect(page.get_by_test_id("toast").first).to_be_visible()

    # And it opens, with its HTML and without its script
    row.click()
    frame = page.get_by_test_id("message-view").frame_locator("iframe")
    expect(frame.locator("b")).to_have_text("there")
    assert "owned" not in page.title()

    # And each leg of the road was measured
    assert 'postwire_freshness_seconds_count{leg="total"} 1.0' in system.metrics("gateway")
    for worker in ("sync-worker-manual", "sync-worker"):
        metrics = system.metrics(worker)
        assert 'postwire_messages_synced_total{direction="inbound"} 1.0' in metrics, worker


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_the_ordinary_client_from_npm_hears_of_new_mail(
    system: System, dovecot: Dovecot, transport: str
) -> None:
    # Given an account, and a client that has joined its room
    user = MailUser(dovecot, dovecot.new_user())
    account_id = system.add_account(user)
    system.wait_until_watched()
    with system.api("robin") as api:
        token = api.post("/api/realtime-token").json()["token"]
    asked = json.dumps(
        {
            "url": system.gateway_url,
            "token": token,
            "accountId": account_id,
            "transport": transport,
        }
    )
    with subprocess.Popen(
        [node(), "-e", _CLIENT, asked], cwd=WEB, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        answer = json.loads(client.stdout.readline())["answer"]
        assert (answer["ok"], answer["joined"]) == (True, [f"account:{account_id}"])
        assert answer["position"].keys() == {"epoch", "revision"}

        # When a message is delivered
        user.append(letter())

        # Then the client is told, in the shape it has always been told
        told = json.loads(client.stdout.readline())
        assert client.wait(timeout=20) == 0
    assert told["event"] == "email:synced"
    assert told["payload"]["accountId"] == account_id
    assert told["payload"]["emailAddress"] == user.name
    assert told["payload"]["count"] == 1
    assert told["payload"]["timestamp"]


def test_a_wrong_password_is_refused_in_words_and_nothing_is_kept(
    system: System, dovecot: Dovecot
) -> None:
    # Given a user who mistypes the password
    user = MailUser(dovecot, dovecot.new_user())
    with system.api("robin") as api:
        # When the account is added
        answer = api.post(
            "/api/accounts",
            json={
                "address": user.name,
                "password": "mistyped",
                "host": dovecot.host,
                "port": dovecot.port,
                "security": "none",
            },
        )

        # Then it says so, and there is no account
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert "refused the user name or password" in answer.json()["detail"]
        assert api.get("/api/accounts").json() == {"accounts": []}
