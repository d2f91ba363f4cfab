"""Mail that means harm, in a real browser: nothing in it runs, loads, or leaves its frame.

Two things hold it, and each is tried without the other: what the API leaves of the HTML, and the
frame that the page makes for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from postwire_api.html import sanitise
from support import hostile
from support.canary import Canary, canary
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.system import System

#: Points at everything in a document, gives it the focus, and clicks at it, but for honest links.
POKE = """
doc => {
  for (const one of doc?.querySelectorAll('*') ?? []) {
    for (const name of ['mouseover', 'mouseenter', 'focus'])
      one.dispatchEvent(new Event(name, { bubbles: true }));
    const href = String(one.href?.baseVal ?? one.href ?? '');
    if (!/^(https?|mailto):/.test(href))
      one.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
  }
}
"""
#: Lays each of the letters into a frame of its own that is closed to nobody.
UNPROTECTED = """
letters => {
  for (const letter of letters) {
    const frame = document.createElement('iframe');
    frame.srcdoc = letter;
    document.body.append(frame);
  }
}
"""
#: Copies a frame of the page's for each of the letters, with that in the place of its own.
UNSANITISED = """
letters => {
  const frame = document.querySelector('[data-testid=message-frame]');
  for (const letter of letters) {
    const copy = frame.cloneNode();
    copy.srcdoc = frame.srcdoc.replace(/<body>.*<.body>/s, () => `<body>${letter}</body>`);
    document.body.append(copy);
  }
}
"""
#: Whether the message of that subject is there as a whole.
SHOWN = """
subject => {
  const frame = document.querySelector('[data-testid=message-frame]');
  return document.querySelector('h2.subject')?.textContent.trim() === subject
    && (frame ? frame.contentDocument?.body && frame.contentDocument.readyState === 'complete'
              : document.querySelector('.letter-text'));
}
"""
#: Whether the message leaves the page alone, which is where the rest of its controls are.
CONTAINED = """
() => {
  const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1;
  const frame = document.querySelector('[data-testid=message-frame]');
  const { x, y } = document.querySelector('input').getBoundingClientRect();
  const pane = document.querySelector('[data-testid=message-view]').getBoundingClientRect();
  return document.elementFromPoint(x + 5, y + 5).tagName === 'INPUT'
    && document.documentElement.scrollWidth <= innerWidth
    && (!frame || inside(frame.getBoundingClientRect(), pane));
}
"""
#: Loads all there is to load, at a server in TLS, as far as the policy would go with images.
GREEDY = (
    '<img src="https://HOST/a.png"><img srcset="https://HOST/b.png">'
    '<p style="background:url(https://HOST/c.png)">x</p><link rel=stylesheet href='
    '"https://HOST/a.css"><video poster="https://HOST/d.png" src="https://HOST/a.mp4"></video>'
    '<iframe src="https://HOST/a.html"></iframe><script src="https://HOST/a.js"></script>'
    '<object data="https://HOST/b.html"></object><img src="https://HOST/e.html">'
)


class Watch:
    """What happens in the pages of a browser's context that must not."""

    def __init__(self, context: BrowserContext, server: Canary, *ours: str) -> None:
        self.server = server
        #: Calls of `hit`, by the letter's number.
        self.hits: list[int] = []
        #: Requests that went elsewhere, and dialogs, windows and pages in the place of ours.
        self.wrong: list[str] = []
        self._ours = (*ours, "data:", "blob:", "about:", "cid:")
        context.expose_binding("hit", lambda _, n: self.hits.append(n))
        context.on("request", lambda request: self._look(request.url))
        self.page = context.new_page()
        context.on("page", lambda page: self.wrong.append(f"a window: {page.url}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))
        self.page.on("framenavigated", lambda frame: self._look(frame.url))

    def _look(self, url: str) -> None:
        if not url.startswith(self._ours):
            self.wrong.append(url)

    def forget(self) -> None:
        """Begin anew."""
        self.hits.clear()
        self.wrong.clear()
        self.server.asked.clear()
        self.server.connections = 0

    @property
    def harm(self) -> list[object]:
        """All that happened."""
        return [*self.hits, *self.wrong, *self.server.asked, *[None] * self.server.connections]

    @property
    def reached(self) -> set[int]:
        """The numbers of the letters that ran or loaded something."""
        asked = (path.split("/")[1] for path in self.server.asked)
        return {int(n) for n in asked if n.isdigit()} | set(self.hits)


@pytest.fixture
def context(browser: Browser) -> BrowserContext:
    """Of a browser that believes any certificate."""
    return browser.new_context(ignore_https_errors=True)


@pytest.fixture
def server() -> Iterator[Canary]:
    """That which the whole corpus points at."""
    with canary() as server:
        yield server


def raw(server: Canary) -> list[str]:
    """The HTML of the corpus, as it came."""
    html = hostile.corpus().values()
    return [hostile.aimed(one, n, server.host) for n, one in enumerate(html)]


def unprotected(page: Page, server: Canary, letters: list[str]) -> None:
    """Show the letters in frames that nothing holds, and do what a reader could."""
    page.goto(f"http://{server.host}/")
    page.evaluate(UNPROTECTED, letters)
    page.wait_for_timeout(1500)
    for frame in page.frames[1:]:
        if frame.url == "about:srcdoc":
            frame.evaluate(f"({POKE})(document)")
    page.wait_for_timeout(500)


def test_the_corpus_does_harm_where_nothing_holds_it_and_none_once_it_was_sanitised(
    context: BrowserContext, server: Canary
) -> None:
    watch = Watch(context, server, f"http://{server.host}/#")
    # When it is shown as it came, then most of it reaches what it is aimed at
    unprotected(watch.page, server, raw(server))
    assert len(watch.reached) > len(raw(server)) * 0.6
    # And when it is shown as the API gives it, then none of it does
    watch.page.goto("about:blank")
    watch.forget()
    unprotected(watch.page, server, [sanitise(letter) for letter in raw(server)])
    assert (watch.hits, server.asked) == ([], [])


def whole_list(api: httpx.Client, count: int) -> list[dict[str, str]]:
    """All messages of the user, once there are so many."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found: list[dict[str, str]] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = api.get(f"/api/messages?limit=200{cursor and f'&cursor={cursor}'}").json()
            found += answer["messages"]
            cursor = answer.get("nextCursor")
        if len(found) == count:
            return found
        time.sleep(0.2)
    pytest.fail(f"{len(found)} of {count} messages were stored")


def show(page: Page, message: dict[str, str]) -> None:
    """Open the message, and do what a reader could."""
    page.evaluate("id => { location.hash = `message=${id}` }", message["id"])
    page.wait_for_function(SHOWN, arg=message["subject"], timeout=10_000)
    assert page.evaluate(CONTAINED), message["subject"]
    page.evaluate(
        f"({POKE})(document.querySelector('[data-testid=message-frame]')?.contentDocument)"
    )
    preview = page.get_by_role("button", name="Preview")
    if "a file" in message["subject"] and preview.count():
        preview.click()
        expect(page.get_by_test_id("preview")).to_be_visible(timeout=15_000)
        page.get_by_role("button", name="Close").click()


def saved(page: Page) -> list[str]:
    """The names under which the browser saves what is attached to the open message."""
    names = []
    for button in page.get_by_role("button", name="Save").all():
        with page.expect_download() as saving:
            button.click()
        names.append(saving.value.suggested_filename)
    return names


def unsanitised(page: Page, letters: list[str]) -> None:
    """Lay the letters into frames as the page makes them, and do what a reader could."""
    page.evaluate(UNSANITISED, letters)
    page.wait_for_timeout(1500)
    for frame in page.locator("iframe").all():
        frame.evaluate(f"frame => ({POKE})(frame.contentDocument)")
    page.wait_for_timeout(500)


@pytest.mark.timeout(240)
def test_hostile_mail_reaches_nothing(
    system: System, dovecot: Dovecot, context: BrowserContext, server: Canary
) -> None:
    # Given a mailbox that holds nothing else
    user = MailUser(dovecot, dovecot.new_user())
    letters = hostile.letters(server.host)
    user.append(*letters.values())
    with canary(dovecot.ca_file) as tls:
        user.append(hostile.with_files(), letter("greedy", html=GREEDY.replace("HOST", tls.host)))
        system.add_account(user)
        with system.api("robin") as api:
            messages = whole_list(api, len(letters) + 2)
        watch = Watch(context, server, system.api_url, system.gateway_url)
        page = watch.page
        page.goto(f"{system.api_url}/#token={system.token('robin')}")

        # When all of it is read, then nothing happens
        for message in messages:
            show(page, message)
            assert not watch.harm, message["subject"]

        # And what is attached is saved under names that stay in their folder
        show(page, next(one for one in messages if one["subject"] == "files"))
        assert saved(page) == list(hostile.FILES.values())
        assert not watch.harm

        # And when remote images are asked for, images are all that comes
        assert not tls.connections
        greedy = next(one for one in messages if one["subject"] == "greedy")
        show(page, greedy)
        page.get_by_role("button", name="Show remote images").click()
        image = page.frame_locator('[data-testid="message-frame"]').locator("img").first
        expect(image).to_have_js_property("naturalWidth", 1)
        page.wait_for_timeout(500)
        assert sorted(tls.asked) == ["/a.png", "/e.html"]
        assert not watch.hits

        # And where the API had let all of it pass, the frame would have held it
        show(page, next(one for one in messages if one["subject"] == "style: huge"))
        watch.forget()
        unsanitised(page, raw(server))
        assert (watch.hits, server.asked) == ([], [])
        assert page.url.startswith(system.api_url)
        # A connection by which nothing is asked is what no policy forbids (preconnect).
        assert server.connections <= 1
