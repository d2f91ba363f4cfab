"""Attachments and inline images, from a real mail server to a real browser."""

from __future__ import annotations

import base64
import os
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.dovecot import Dovecot
from support.mailbox import MailUser
from support.system import System

#: One red pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


@pytest.fixture
def page(browser: Browser) -> Page:
    """A tab of a real browser."""
    return browser.new_page()


def illustrated(data: bytes) -> bytes:
    """A message that shows an image of its own, and has a file with it."""
    message = EmailMessage()
    message["From"] = "Anna <anna@northwind.example>"
    message["Subject"] = "Illustrated"
    message.set_content('<p>Look: <img src="cid:pixel@x"></p>', subtype="html")
    message.add_related(PNG, "image", "png", cid="<pixel@x>")
    message.make_mixed()
    message.add_attachment(data, "application", "pdf", filename="Zoë/plan.pdf")
    return message.as_bytes().replace(b"\n", b"\r\n")


def test_an_image_appears_in_the_message_and_an_attachment_is_saved(
    system: System, dovecot: Dovecot, page: Page, tmp_path: Path
) -> None:
    # Given a message with an image in its text and a file
    data = os.urandom(700_000)
    user = MailUser(dovecot, dovecot.new_user())
    user.append(illustrated(data))
    system.add_account(user)

    # When it is opened in a browser
    page.goto(f"{system.api_url}/#token={system.token('robin')}")
    page.get_by_test_id("message-row").first.click()

    # Then the image is shown in the frame, which has no credentials
    frame = page.frame_locator('[data-testid="message-frame"]')
    image = frame.locator("img")
    expect(image).to_have_js_property("naturalWidth", 1, timeout=15_000)

    # And the file is saved as it was sent, under a name that fits
    with page.expect_download() as saving:
        page.get_by_role("button", name="plan.pdf").click()
    assert saving.value.suggested_filename == "Zoë_plan.pdf"
    saving.value.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == data

    # And the next reader gets the image with the message
    with system.api("robin") as api:
        (summary,) = api.get("/api/messages").json()["messages"]
        whole = api.get(f"/api/messages/{summary['id']}").json()
    assert "data:image/png;base64," in whole["html"]
    assert whole["inlineImages"] == []
