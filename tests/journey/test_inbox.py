"""The inbox as people use it: its list, its reader, its search, by mouse and by keyboard."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from postwire.model import AccountId, SetAside
from postwire.store import mailboxes, set_aside
from postwire.store.pool import Pool, make_pool, transaction
from support import many, rows
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.system import WEB, System

#: One red pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 760}
#: The rules of WCAG 2.2 at level AA, and what is good practice.
_AXE = """
async () => (await axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
})).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)
"""


@pytest.fixture
def system(shared_system: System) -> System:
    """The same for all tests here, each with an account of its own."""
    return shared_system


@pytest.fixture
def page(browser: Browser) -> Page:
    """A tab on a wide screen."""
    return browser.new_page(viewport=WIDE)


@pytest.fixture
def user(dovecot: Dovecot) -> MailUser:
    """Somebody with an empty mailbox."""
    return MailUser(dovecot, dovecot.new_user())


def go_in(page: Page, system: System) -> Locator:
    """Open the inbox; its rows."""
    page.goto(f"{system.api_url}/#token={system.token('robin')}")
    found = page.get_by_test_id("message-row")
    expect(found.first).to_be_visible(timeout=15_000)
    return found


def put(user: MailUser, *letters: bytes) -> None:
    """Lay letters into the mailbox, each a minute younger than the one before."""
    first = datetime.now(UTC) - timedelta(minutes=len(letters))
    with user.session() as client:
        for n, content in enumerate(letters):
            client.append("INBOX", content, (), first + timedelta(minutes=n))


def budget() -> list[bytes]:
    """A question, and the answer of somebody else, which repeats it."""
    question = letter("Budget for the autumn", "Could we talk about it?", message_id="<1@x>")
    answer = EmailMessage()
    answer["From"] = "Marek <marek@hafen.example>"
    answer["To"] = "Robin <robin@postwire.example>"
    answer["Subject"] = "Re: Budget for the autumn"
    answer["In-Reply-To"] = "<1@x>"
    answer.set_content("Gladly.\n\nOn Tuesday Anna wrote:\n> Could we talk about it?\n")
    return [question, answer.as_bytes().replace(b"\n", b"\r\n")]


def illustrated() -> bytes:
    """A message with an image, a text and a PDF."""
    message = EmailMessage()
    message["From"] = "Priya <priya@fieldnotes.example>"
    message["Subject"] = "Figures"
    message.set_content("All of it is attached.")
    message.add_attachment(PNG, "image", "png", filename="chart.png")
    message.add_attachment("<b>Agenda</b>\n", "html", filename="agenda.html")
    message.add_attachment(b"%PDF-1.7", "application", "pdf", filename="report.pdf")
    return message.as_bytes().replace(b"\n", b"\r\n")


def newsletter() -> bytes:
    """A message with a remote image, and a link."""
    html = (
        '<h1>News</h1><p><img src="https://images.example/a.png"></p>'
        '<p><a href="https://shop.example/">Shop</a></p>'
    )
    return letter("Newsletter", "News", html=html, sender="News <news@shop.example>")


def test_a_conversation_is_one_row_and_is_read_with_its_older_messages_folded(
    system: System, user: MailUser, page: Page
) -> None:
    # Given a question and its answer, and a letter about something else
    put(user, letter("Something else"), *budget())
    system.add_account(user)
    found = go_in(page, system)
    # Then the list has two rows, and the conversation says who takes part and of how many messages
    expect(found).to_have_count(2)
    expect(found.first).to_contain_text("Anna Lindqvist, Marek")
    expect(found.first).to_contain_text("2 messages")
    # When it is opened
    found.first.click()
    # Then the newest message is shown, without what it repeats, and the older one is a line
    letters = page.get_by_test_id("letter")
    expect(letters).to_have_count(2)
    expect(letters.nth(1)).to_contain_text("Gladly.")
    quote = letters.nth(1).locator("blockquote")
    expect(quote).not_to_be_visible()
    expect(letters.first).to_have_attribute("data-open", "false")
    # And both unfold
    page.get_by_text("Quoted text").click()
    expect(quote).to_contain_text("> Could we talk about it?")
    expect(quote).to_be_visible()
    letters.first.get_by_role("button").click()
    expect(letters.first).to_contain_text("anna@northwind.example")


def test_new_mail_comes_into_the_open_conversation_and_moves_nothing_that_is_read(
    system: System, user: MailUser, page: Page
) -> None:
    # Given enough mail to scroll, and a reader far down in it
    put(user, *(letter(f"Letter {n}", message_id=f"<{n}@x>") for n in range(40)))
    system.add_account(user)
    system.wait_until_watched()
    found = go_in(page, system)
    expect(page.get_by_test_id("live-mark")).to_have_attribute("data-status", "live")
    page.get_by_test_id("list-box").evaluate("box => box.scrollTop = 1000")
    expect(page.get_by_text("Letter 25", exact=True)).to_be_visible()
    page.get_by_text("Letter 25", exact=True).click()
    expect(page.get_by_test_id("letter")).to_have_count(1)
    row = page.locator("[role=option][aria-selected=true]")
    expect(row).to_have_attribute("aria-posinset", "15")
    before = row.bounding_box()
    # When a letter arrives that has nothing to do with it
    user.append(letter("Unrelated"))
    expect(page.get_by_test_id("new-badge")).to_contain_text("1", timeout=15_000)
    expect(row).to_have_attribute("aria-posinset", "16")
    # Then what is looked at stays where it is
    assert row.bounding_box() == before
    # When an answer to what is read arrives
    answer = EmailMessage()
    answer["From"] = "Marek <marek@hafen.example>"
    answer["Subject"] = "Re: Letter 25"
    answer["In-Reply-To"] = "<25@x>"
    answer.set_content("Yes, gladly.")
    user.append(answer.as_bytes())
    # Then it is in the conversation, and the conversation at the top of the list
    expect(page.get_by_test_id("letter")).to_have_count(2, timeout=15_000)
    page.get_by_test_id("list-box").evaluate("box => box.scrollTop = 0")
    expect(found.first).to_contain_text("Letter 25")


def test_all_of_it_can_be_done_by_keyboard(system: System, user: MailUser, page: Page) -> None:
    # Given three letters
    put(user, *map(letter, ("First", "Second", "Third")))
    account = system.add_account(user)
    go_in(page, system)
    active = page.locator("[role=option][data-active=true]")
    # When j, j and k are pressed, then the first row is the active one again; the box says so
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    expect(active).to_contain_text("Third")
    box = page.get_by_role("listbox")
    expect(box).to_be_focused()
    assert box.get_attribute("aria-activedescendant") == active.get_attribute("id")
    # And the ordinary keys of a list do the same
    page.keyboard.press("End")
    expect(active).to_contain_text("First")
    page.keyboard.press("ArrowUp")
    expect(active).to_contain_text("Second")
    # When it is opened, then it has the focus, and j goes on to the next one
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("message-view")).to_be_focused()
    expect(page.get_by_role("heading", name="Second")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    # When it is closed, then the list has the focus, where it was
    page.keyboard.press("u")
    expect(box).to_be_focused()
    expect(active).to_contain_text("First")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    page.keyboard.press("Escape")
    # When ? is pressed, there is help, and other keys do nothing behind it
    expect(box).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_test_id("help")).to_be_visible()
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    expect(active).to_contain_text("First")
    # When somebody types, keys are letters
    page.keyboard.press("/")
    page.keyboard.type("jkosu?")
    expect(page.get_by_label("Search mail")).to_have_value("jkosu?")
    expect(page.get_by_test_id("help")).not_to_be_visible()
    # And s syncs
    page.keyboard.press("Escape")
    box.focus()
    with page.expect_request(lambda request: request.url.endswith("/api/email/sync")) as asked:
        page.keyboard.press("s")
    assert json.loads(asked.value.post_data or "") == {"accountId": account}


def test_a_search_is_filtered_marked_and_explained(
    system: System, user: MailUser, page: Page
) -> None:
    # Given a conversation, and a letter of somebody else with the same word in it
    put(user, *budget(), letter("Also", "The budget is fine", sender="Tom <tom@b.example>"))
    system.add_account(user)
    go_in(page, system)
    # When it is searched with a filter of the form
    page.get_by_label("Search mail").fill("budget")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("From", exact=True).fill("tom")
    page.get_by_role("button", name="Search", exact=True).click()
    # Then the field says what is searched for, and what was found is marked
    expect(page.get_by_label("Search mail")).to_have_value("budget from:tom")
    found = page.get_by_test_id("message-row")
    expect(found).to_have_count(1)
    expect(found.locator("mark")).to_have_text("budget")
    found.click()
    expect(page.get_by_test_id("message-view")).to_contain_text("The budget is fine")
    # And a message of a conversation is unfolded in it, though it is not the newest
    page.get_by_label("Search mail").fill("from:anna")
    page.keyboard.press("Enter")
    expect(found).to_have_count(1)
    found.click()
    letters = page.get_by_test_id("letter")
    expect(letters.first).to_have_attribute("data-open", "true")
    expect(letters.nth(1)).to_have_attribute("data-open", "false")
    # When the search is not understood, it says so, and where nothing is found too
    page.get_by_label("Search mail").fill("is:nonsense")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("is: knows is:unread and is:read")
    page.get_by_label("Search mail").fill("zeppelin")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No results")).to_be_visible()
    # When it is left, the list is there again; and Back is the search
    page.get_by_role("button", name="Close search").click()
    expect(found).to_have_count(2)
    page.go_back()
    expect(page.get_by_text("No results")).to_be_visible()


def test_attachments_are_previewed_where_that_is_safe(
    system: System, user: MailUser, page: Page
) -> None:
    # Given a message with an image, some HTML and a PDF
    user.append(illustrated())
    system.add_account(user)
    go_in(page, system).first.click()
    # Then the image is shown
    page.get_by_role("button", name="Preview chart.png").click()
    preview = page.get_by_test_id("preview")
    expect(preview.get_by_role("img")).to_have_js_property("naturalWidth", 1, timeout=15_000)
    page.keyboard.press("Escape")
    expect(preview).not_to_be_visible()
    # And HTML as it is written
    page.get_by_role("button", name="Preview agenda.html").click()
    expect(preview).to_contain_text("<b>Agenda</b>")
    with page.expect_download() as saving:
        preview.get_by_role("button", name="Save").click()
    assert saving.value.suggested_filename == "agenda.html"
    preview.get_by_role("button", name="Close").click()
    # And a PDF is saved only
    expect(page.get_by_role("button", name="Save report.pdf")).to_be_visible()
    expect(page.get_by_role("button", name="Preview report.pdf")).to_have_count(0)


def test_remote_images_are_fetched_when_asked_for_and_links_open_apart(
    system: System, user: MailUser, page: Page
) -> None:
    # Given a newsletter, and somebody who counts who reads it
    user.append(newsletter())
    system.add_account(user)
    asked: list[dict[str, str]] = []

    def count(route: Route) -> None:
        asked.append(route.request.all_headers())
        route.fulfill(body=PNG, content_type="image/png")

    page.context.route("https://images.example/**", count)
    page.context.route(
        "https://shop.example/**",
        lambda route: route.fulfill(
            body="<script>document.title = `${opener} ${document.referrer}.`</script>",
            content_type="text/html",
        ),
    )
    go_in(page, system).first.click()
    frame = page.frame_locator('[data-testid="message-frame"]')
    expect(frame.get_by_role("heading", name="News")).to_be_visible()
    assert asked == []
    # When images are asked for
    page.get_by_role("button", name="Show remote images").click()
    # Then they are there, and nobody is told where they were looked at
    expect(frame.locator("img")).to_have_js_property("naturalWidth", 1)
    assert len(asked) == 1
    assert "referer" not in asked[0]
    # And a link opens a page that works, and that knows nothing of this one
    with page.expect_popup() as opening:
        frame.get_by_role("link", name="Shop").click()
    expect(opening.value).to_have_title("null .")


def test_a_letter_runs_nothing_even_where_it_was_not_sanitised(
    system: System, user: MailUser, page: Page
) -> None:
    # Given an API that lets everything pass
    user.append(newsletter())
    system.add_account(user)
    hostile = (
        "<p>Hostile</p><script>top.owned = 1</script><img src=/probe onerror='top.owned = 1'>"
        "<form action='/probe'><button>Send</button></form>"
        "<a id=script href='javascript:top.owned = 1'>Script</a>"
        "<iframe src='/probe'></iframe><meta http-equiv=refresh content='0; url=/probe'>"
        "<style>@import '/probe.css'; p { background: url(/probe.svg) }</style>"
    )

    def spoil(route: Route) -> None:
        whole: dict[str, Any] = route.fetch().json()
        route.fulfill(json=whole | {"html": hostile})

    page.route("**/api/messages/*", spoil)
    loaded: list[str] = []
    # When it is shown, and clicked at
    go_in(page, system)
    page.context.on("requestfinished", lambda request: loaded.append(request.url))
    page.get_by_test_id("message-row").first.click()
    frame = page.frame_locator('[data-testid="message-frame"]')
    expect(frame.get_by_text("Hostile")).to_be_visible()
    frame.locator("#script").click()
    frame.get_by_role("button", name="Send").click()
    page.wait_for_timeout(500)
    # Then nothing ran, and nothing but the message was fetched
    assert page.evaluate("window.owned") is None
    assert [url for url in loaded if "probe" in url] == []
    assert page.context.pages == [page]
    expect(frame.get_by_text("Hostile")).to_be_visible()


def test_a_narrow_screen_shows_the_list_or_what_is_open(
    system: System, user: MailUser, browser: Browser
) -> None:
    # Given a telephone
    put(user, *budget())
    system.add_account(user)
    page = browser.new_page(viewport=NARROW)
    found = go_in(page, system)
    expect(page.get_by_test_id("message-view")).not_to_be_visible()
    # When a conversation is opened
    found.first.click()
    # Then it has the screen, and nothing is wider than that
    expect(page.get_by_test_id("message-view")).to_be_visible()
    expect(page.get_by_test_id("list-box")).not_to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    # And both ways back lead to the list
    page.get_by_role("button", name="Back to the list").click()
    expect(page.get_by_test_id("list-box")).to_be_visible()
    found.first.click()
    expect(page.get_by_test_id("list-box")).not_to_be_visible()
    page.go_back()
    expect(page.get_by_test_id("list-box")).to_be_visible()


@contextmanager
def store_of(system: System) -> Iterator[Pool]:
    """The database of the system."""
    pool = make_pool(system.setting("database_url"), 1)
    yield pool
    pool.close()


def test_a_long_list_is_drawn_and_held_only_where_it_is_looked_at(
    system: System, page: Page
) -> None:
    # Given 12,000 messages
    with store_of(system) as pool:
        many.fill(system.setting("database_url"), rows.active(pool, "robin").id, 12_000)
    found = go_in(page, system)
    box = page.get_by_test_id("list-box")
    expect(found.first).to_have_attribute("aria-setsize", "-1")
    # When somebody scrolls to the end
    last = page.locator("[role=option]").last
    deadline = time.monotonic() + 60
    while last.get_attribute("aria-setsize") == "-1":
        box.evaluate("box => box.scrollTop = box.scrollHeight")
        page.wait_for_timeout(50)
        assert time.monotonic() < deadline
    # Then the last row says which one it is, and few rows are in the page
    total = int(last.get_attribute("aria-setsize") or 0)
    assert total > 3_500
    expect(last).to_have_attribute("aria-posinset", str(total))
    assert found.count() < 60
    # And the keyboard goes on from there, and back to a top that had made room
    box.focus()
    page.keyboard.press("End")
    expect(page.locator("[data-active=true]")).to_have_attribute("aria-posinset", str(total))
    box.evaluate("box => box.scrollTop = 0")
    expect(found.first).to_have_attribute("aria-posinset", "1")
    expect(found.first).to_contain_text("Words of message 12000")


def test_trouble_is_said_in_words_and_can_be_mended(
    system: System, user: MailUser, page: Page
) -> None:
    # Given an API that does not answer
    user.append(letter("Hello"))
    system.add_account(user)
    page.route("**/api/conversations?*", lambda route: route.abort())
    page.goto(f"{system.api_url}/#token={system.token('robin')}")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    # When it does again, then the list is there by itself
    page.unroute("**/api/conversations?*")
    expect(page.get_by_test_id("message-row")).to_have_count(1, timeout=30_000)
    expect(page.get_by_test_id("live-mark")).to_have_attribute("data-status", "live")
    # When a search fails, then it is tried again by a click
    page.route("**/api/search?*", lambda route: route.abort())
    page.get_by_label("Search mail").fill("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    page.unroute("**/api/search?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_test_id("message-row")).to_have_count(1)
    page.get_by_role("button", name="Close search").click()
    # When there is no network, then the list stays, and says that it may be old
    page.context.set_offline(True)
    expect(page.get_by_text("may be out of date")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("message-row")).to_have_count(1)


def test_messages_set_aside_are_told_and_tried_again(
    system: System, user: MailUser, page: Page
) -> None:
    # Given an account with a message that could not be read, and that is gone by now
    user.append(letter("Hello"))
    account = system.add_account(user)
    found = go_in(page, system)
    with store_of(system) as pool, transaction(pool) as connection:
        (inbox, *_) = mailboxes.list_of_account(connection, AccountId(account))
        cursor = inbox.mailbox.cursor
        assert cursor is not None
        broken = SetAside(99, "The server breaks off.")
        set_aside.record(connection, inbox.mailbox.id, cursor.uidvalidity, [broken])
    # When its mail is looked at
    page.get_by_role("button", name=user.name, exact=False).first.click()
    notice = page.get_by_test_id("set-aside")
    expect(notice).to_contain_text("1 message could not be read")
    notice.get_by_text("could not be read").click()
    expect(notice).to_contain_text("The server breaks off.")
    # Then it can be tried again, and then is not told any more
    notice.get_by_role("button", name="Try again now").click()
    expect(notice).to_have_count(0, timeout=30_000)
    expect(found).to_have_count(1)


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", WIDE), ("light", NARROW)],
    ids=["light", "dark", "narrow"],
)
def test_nothing_stands_in_the_way_of_anybody(
    system: System, user: MailUser, browser: Browser, scheme: Any, viewport: Any
) -> None:
    # Given one mailbox with something of everything
    put(user, *budget(), illustrated(), newsletter())
    system.add_account(user)
    page = browser.new_page(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    found = go_in(page, system)
    axe = (WEB / "node_modules/axe-core/axe.min.js").read_text()
    wrong: dict[str, list[str]] = {}

    def look(state: str) -> None:
        page.evaluate(f"{axe}; 0")
        wrong[state] = page.evaluate(_AXE)

    def close() -> None:
        page.keyboard.press("u")
        expect(page.get_by_test_id("message-view")).to_have_count(0)

    # When every state of it is looked at
    look("list")
    found.filter(has_text="Budget").click()
    expect(page.get_by_test_id("letter").get_by_text("Gladly.")).to_be_visible()
    look("conversation")
    close()
    found.filter(has_text="Newsletter").click()
    expect(page.get_by_role("button", name="Show remote images")).to_be_visible()
    look("HTML")
    close()
    found.filter(has_text="Figures").click()
    page.get_by_role("button", name="Preview agenda.html").click()
    expect(page.get_by_test_id("preview")).to_contain_text("Agenda")
    look("preview")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("preview")).to_have_count(0)
    close()
    page.keyboard.press("?")
    look("help")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters").click()
    look("filters")
    page.keyboard.press("Escape")
    for query, sign in (("news", "mark"), ("is:x", "[role=alert]"), ("zeppelin", ".empty")):
        page.get_by_label("Search mail").fill(query)
        page.keyboard.press("Enter")
        expect(page.locator(sign).first).to_be_visible()
        look(f"search for {query}")
    # Then the checker finds nothing
    assert {state: found for state, found in wrong.items() if found} == {}
