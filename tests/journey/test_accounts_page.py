"""The accounts of the page: added, mended, paused and removed in a real browser."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from support.dovecot import Dovecot
from support.dovecot import dovecot as run_dovecot
from support.mailbox import MailUser, letter
from support.nameserver import NameServer, nameserver
from support.system import System, run_system

#: Milliseconds for what goes by a mail server.
SLOW = 30_000


#: A desktop that shows nothing, but remembers what it was to show.
_DESKTOP = """
window.shown = [];
window.Notification = class extends EventTarget {
  static permission = "granted";
  static asked = 0;
  static requestPermission() {
    Notification.asked++;
    return Promise.resolve("granted");
  }
  constructor(title, options) {
    super();
    Object.assign(this, { title, options });
    window.shown.push(this);
    document.documentElement.dataset.shown = window.shown.length;
  }
  close() {
    this.closed = true;
  }
};
Object.defineProperty(document, "hasFocus", { value: () => false });
"""


@dataclass(frozen=True, slots=True)
class World:
    """A mail domain, its name server, and a Postwire that asks it."""

    mail: Dovecot
    names: NameServer
    system: System
    folder: Path

    def change_password(self, password: str) -> Dovecot:
        """Let the mail server take another password from now on."""
        settings = self.folder / "dovecot.conf"
        settings.write_text(settings.read_text().replace(self.mail.password, password))
        command = ["doveadm", "-c", str(settings), "reload"]
        subprocess.run(command, check=True, timeout=20)
        return replace(self.mail, password=password)


@contextmanager
def run_world(dovecot: str, database: str, redis: str, logs: Path) -> Iterator[World]:
    """Everything, with a mail server of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="postwire-dovecot-")))
        mail = stack.enter_context(run_dovecot(dovecot, folder))
        names = stack.enter_context(nameserver())
        further = {"dns_servers": names.address, "imap_ca_file": str(mail.ca_file)}
        system = stack.enter_context(run_system(database, redis, logs, **further))
        yield World(mail, names, system, folder)


@pytest.fixture(scope="module")
def lasting_world(
    dovecot_program: str,
    own_database: Callable[[], AbstractContextManager[str]],
    redis_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Everything, for all tests here that leave its servers and processes alone."""
    logs = tmp_path_factory.mktemp("world")
    with own_database() as database:
        with run_world(dovecot_program, database, redis_server, logs) as world:
            yield world


@pytest.fixture
def world(lasting_world: World) -> Iterator[World]:
    """The same for many tests, each with an account of its own."""
    server = f"0 1 {lasting_world.mail.tls_port} localhost."
    lasting_world.names.zone["_imaps._tcp.postwire.example SRV"] = [server]
    yield lasting_world
    lasting_world.system.remove_accounts()


@pytest.fixture
def own_world(
    dovecot_program: str,
    own_database: Callable[[], AbstractContextManager[str]],
    redis_server: str,
    tmp_path: Path,
) -> Iterator[World]:
    """Everything, for one test that ends something of it."""
    # Beside the lasting one, so with queues of its own.
    queues = urlsplit(redis_server)._replace(path="/1").geturl()
    with own_database() as database:
        with run_world(dovecot_program, database, queues, tmp_path) as world:
            yield world


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of a real browser, in which no script fails."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


def open_inbox(page: Page, system: System) -> None:
    """Open the page of the user robin."""
    page.goto(f"{system.api_url}/#token={system.token('robin')}")
    expect(page.get_by_test_id("live-mark")).to_have_attribute("data-status", "live")


def menu(page: Page, user: MailUser, action: str) -> None:
    """Choose from the menu of the account."""
    page.get_by_role("button", name=f"More for {user.name}").click()
    page.get_by_role("button", name=action, exact=True).click()


def words(page: Page) -> Locator:
    """What is said of the only account."""
    return page.get_by_test_id("account-words")


def state(page: Page) -> Locator:
    """The only account."""
    return page.get_by_test_id("account")


@pytest.mark.timeout(180)
def test_an_account_is_added_by_address_and_password_alone(world: World, page: Page) -> None:
    # Given somebody who knows address and password, and a domain that says where its server is
    user = MailUser(world.mail, world.mail.new_user())
    user.append(letter("Was here before"))
    open_inbox(page, world.system)
    page.get_by_role("navigation").get_by_role("button", name="Add account").click()
    page.get_by_label("Email address").fill(user.name)

    # When typing leaves the address
    page.get_by_label("Password", exact=True).fill("mistyped")

    # Then the server is found, and it is said that another domain has it
    found = page.get_by_test_id("found")
    expect(found).to_contain_text(f"localhost, port {world.mail.tls_port}, TLS")
    expect(found).to_contain_text("Go on only if you know that server")

    # When the password is wrong
    page.keyboard.press("Enter")

    # Then that is said beside it, the cursor stands there, and nothing typed is lost
    problem = page.get_by_test_id("field-problem")
    expect(problem).to_contain_text("refused the user name or password", timeout=SLOW)
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    expect(page.get_by_label("Email address")).to_have_value(user.name)

    # When it is typed again
    page.keyboard.type(user.server.password)
    page.keyboard.press("Enter")

    # Then the account is there with its mail
    expect(page.get_by_role("dialog")).not_to_be_visible(timeout=SLOW)
    expect(state(page)).to_have_attribute("data-state", "active", timeout=SLOW)
    expect(page.get_by_text("Was here before").first).to_be_visible(timeout=SLOW)

    # And the same address again is refused beside the address
    add = page.get_by_role("navigation").get_by_role("button", name="Add account")
    add.click()
    page.get_by_label("Email address").fill(user.name)
    page.get_by_label("Password", exact=True).fill("anything")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("field-problem")).to_contain_text("already")

    # And Escape closes the dialog and gives the focus back
    page.keyboard.press("Escape")
    expect(add).to_be_focused()


def test_a_server_nobody_answers_at_is_said_beside_the_host(world: World, page: Page) -> None:
    # Given a domain that names a port at which nobody listens
    world.names.zone["_imaps._tcp.postwire.example SRV"] = ["0 1 9 localhost."]
    open_inbox(page, world.system)
    page.get_by_role("navigation").get_by_role("button", name="Add account").click()
    page.get_by_label("Email address").fill("robin@postwire.example")
    page.get_by_label("Password", exact=True).fill("secret")

    # When the account is added
    page.keyboard.press("Enter")

    # Then the server's settings unfold and say so
    expect(page.get_by_test_id("field-problem")).to_be_visible(timeout=SLOW)
    expect(page.get_by_label("IMAP host")).to_be_focused()
    expect(page.get_by_label("Port")).to_have_value("9")
    expect(state(page)).to_have_count(0)


@pytest.mark.timeout(180)
def test_an_account_is_paused_resumed_and_removed(world: World, page: Page) -> None:
    # Given an account
    user = MailUser(world.mail, world.mail.new_user())
    user.append(letter("Stays on the server"))
    world.system.add_account(user)
    open_inbox(page, world.system)
    expect(state(page)).to_have_attribute("data-state", "active")

    # When it is paused from its menu
    menu(page, user, "Pause")

    # Then it says so, and offers the way back
    expect(words(page)).to_have_text("Paused: nothing is synced.")
    page.get_by_role("button", name=f"Resume: {user.name}").click()
    expect(state(page)).to_have_attribute("data-state", "active", timeout=SLOW)

    # When it is to be removed, Then it is said what goes and what stays
    menu(page, user, "Remove…")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the copy of its mail")
    expect(dialog).to_contain_text("No message is deleted there")

    # And whoever thinks better of it is where they were
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=f"More for {user.name}")).to_be_focused()
    expect(state(page)).to_have_count(1)

    # When it is confirmed
    menu(page, user, "Remove…")
    page.get_by_role("button", name="Remove account").click()

    # Then it is gone from here, and the mail is still there
    expect(state(page)).to_have_count(0)
    expect(page.get_by_role("button", name="All accounts")).to_be_focused()
    with user.session() as client:
        assert client.select_folder("INBOX")[b"EXISTS"] == 1


@pytest.mark.timeout(180)
def test_a_password_that_was_changed_is_asked_for_and_tried(own_world: World, page: Page) -> None:
    world = own_world
    # Given an account whose password was changed on the server
    user = MailUser(world.mail, world.mail.new_user())
    world.system.add_account(user)
    open_inbox(page, world.system)
    expect(state(page)).to_have_attribute("data-state", "active")
    world.change_password("another-secret")
    page.get_by_role("button", name=f"Sync now: {user.name}").click()

    # Then it says so, and what mends it
    expect(words(page)).to_contain_text("refused the user name or password", timeout=SLOW)
    page.get_by_role("button", name=f"New password: {user.name}").click()

    # When a wrong one is given, Then that is said in the dialog
    page.get_by_label("Password", exact=True).fill("wrong again")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("field-problem")).to_contain_text("refused", timeout=SLOW)

    # When the right one is
    page.keyboard.type("another-secret")
    page.keyboard.press("Enter")

    # Then all is well
    expect(page.get_by_role("dialog")).not_to_be_visible(timeout=SLOW)
    expect(state(page)).to_have_attribute("data-state", "active", timeout=SLOW)


@pytest.mark.timeout(180)
def test_a_server_that_went_away_is_said_to_be_tried_again(own_world: World, page: Page) -> None:
    world = own_world
    # Given an account whose server has gone
    user = MailUser(world.mail, world.mail.new_user())
    world.system.add_account(user)
    open_inbox(page, world.system)
    expect(state(page)).to_have_attribute("data-state", "active")
    pid = int((world.folder / "run" / "master.pid").read_text())
    os.kill(pid, signal.SIGTERM)

    # When it is paused and resumed, which tries the login at once
    menu(page, user, "Pause")
    page.get_by_role("button", name=f"Resume: {user.name}").click()

    # Then it says what is wrong, when it is tried next, and what one can do
    expect(state(page)).to_have_attribute("data-state", "unreachable", timeout=SLOW)
    expect(words(page)).to_contain_text("Next try:")
    expect(page.get_by_role("button", name=f"Try now: {user.name}")).to_be_visible()


@pytest.mark.timeout(240)
def test_a_large_mailbox_says_how_far_its_sync_is(world: World, page: Page) -> None:
    # Given a mailbox with many messages, and the inbox open
    user = MailUser(world.mail, world.mail.new_user())
    user.append(*(letter(f"Message {n}", "x" * 20_000) for n in range(1500)))
    open_inbox(page, world.system)

    # When its account is added
    world.system.add_account(user)
    page.reload()

    # Then it is said how many of how many are there, also for who cannot see it
    expect(words(page)).to_contain_text("of 1,500 messages", timeout=SLOW)
    expect(page.get_by_role("progressbar")).to_be_visible()

    # And at the end that it is synced; asked for once more, nothing is found
    expect(words(page)).to_contain_text("Synced", timeout=120_000)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    page.get_by_role("button", name=f"Sync now: {user.name}").click()
    expect(words(page)).to_have_text("No new mail", timeout=SLOW)


def test_colours_are_chosen_and_kept_and_being_offline_is_said(
    own_world: World, page: Page
) -> None:
    world = own_world
    # Given an inbox in a bright room
    page.emulate_media(color_scheme="light")
    open_inbox(page, world.system)
    background = "getComputedStyle(document.documentElement).backgroundColor"
    bright = page.evaluate(background)

    # When dark is chosen by keyboard
    page.get_by_role("button", name="Settings").press("Enter")
    page.get_by_label("Dark").check()
    page.keyboard.press("Escape")

    # Then the page is dark, also when it is opened again, and the focus is where it was
    dark = page.evaluate(background)
    assert dark != bright
    expect(page.get_by_role("button", name="Settings")).to_be_focused()
    page.reload()
    assert page.evaluate(background) == dark

    # And in a dark room light can be chosen
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Light").check()
    assert page.evaluate(background) == bright

    # When the gateway is gone
    gateway = world.system.service("gateway").process
    gateway.terminate()
    gateway.wait(timeout=20)

    # Then it is said since when
    expect(page.get_by_test_id("live-mark")).to_contain_text("Offline since", timeout=SLOW)


def test_an_account_by_oauth_is_never_offered_a_password(world: World, page: Page) -> None:
    # Given an account by OAuth, as the API shows it
    user = MailUser(world.mail, world.mail.new_user())
    world.system.add_account(user)

    def withdrawn(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["accounts"][0] |= {
            "auth": "oauth",
            "provider": "google",
            "state": "auth_failed",
            "stateReason": "Access was withdrawn; connect the account again.",
        }
        route.fulfill(response=answer, json=body)

    page.route("**/api/accounts", withdrawn)
    open_inbox(page, world.system)

    # Then it says how it is mended, and nothing would turn it into an account by password
    expect(words(page)).to_contain_text("in the application it was added in")
    page.get_by_role("button", name=f"More for {user.name}").click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(page.get_by_text("New password")).to_have_count(0)


def test_on_a_narrow_screen_everything_is_within_reach(world: World, page: Page) -> None:
    # Given a phone, and an account with a long address
    user = MailUser(world.mail, "somebody.with.a.very.long.name.indeed@postwire.example")
    world.system.add_account(user)
    page.set_viewport_size({"width": 360, "height": 640})
    open_inbox(page, world.system)
    expect(state(page)).not_to_be_visible()

    # When the accounts are unfolded and one's menu is opened
    page.get_by_role("button", name="Accounts", exact=True).click()
    page.get_by_role("button", name=f"More for {user.name}").click()

    # Then all of it is on the screen, and the keyboard is in it
    expect(page.get_by_role("button", name="New password…")).to_be_focused()
    within(page, page.get_by_role("button", name="Remove…"))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Settings").click()
    within(page, page.get_by_label("Show it on the desktop"))
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def within(page: Page, found: Locator) -> None:
    """Make sure that nobody has to scroll to the side for it."""
    box = found.bounding_box()
    size = page.viewport_size
    assert box
    assert size
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size["width"]
    assert box["y"] + box["height"] <= size["height"]


@pytest.mark.timeout(180)
def test_new_mail_is_shown_on_the_desktop_once_that_was_asked_for(world: World, page: Page) -> None:
    # Given a browser that allows notifications, and an inbox out of view
    page.context.grant_permissions(["notifications"], origin=world.system.api_url)
    page.add_init_script(_DESKTOP)
    user = MailUser(world.mail, world.mail.new_user())
    world.system.add_account(user)
    world.system.wait_until_watched()
    open_inbox(page, world.system)
    user.append(letter("Nobody asked"))
    expect(page.get_by_text("Nobody asked").first).to_be_visible(timeout=SLOW)
    assert page.evaluate("[shown.length, Notification.asked]") == [0, 0]

    # When it is switched on by a click, and mail comes
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Show it on the desktop").check()
    page.keyboard.press("Escape")
    user.append(letter("Lunch on Thursday?", "Not for the desktop"))
    expect(page.locator("html")).to_have_attribute("data-shown", "1", timeout=SLOW)

    # Then sender and subject are told, and nothing else of it
    told = page.evaluate("[shown[0].title, shown[0].options.body, shown[0].options.tag]")
    assert told[:2] == ["Anna Lindqvist", "Lunch on Thursday?"]
    assert told[2].startswith("postwire/")

    # And a click opens the message
    page.evaluate("shown[0].dispatchEvent(new Event('click'))")
    expect(page.get_by_test_id("message-view")).to_contain_text("Lunch on Thursday?")
    assert page.evaluate("shown[0].closed")
