"""The inbox stays complete, whatever happens between it and the mail: in a real browser."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from postwire import tokens
from postwire_demo import services
from postwire_demo.processes import HOST, free_port
from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.relay import Relay, relay
from support.system import System, run_system

#: Milliseconds that something may take until it counts as failed.
PATIENCE = 30_000
#: What the page says and shows, in one look; each message has a subject of its own.
_LOOK = """() => ({
  status: document.querySelector("[data-testid=live-mark]")?.dataset.status,
  shown: [...document.querySelectorAll("[data-testid=message-row]")]
    .map((row) => /Letter \\d+/.exec(row.textContent)?.[0]).toSorted(),
})"""


@dataclass(slots=True)
class World:
    """A Postwire that is watched from a browser by a road that can be cut."""

    system: System
    user: MailUser
    road: Relay
    context: BrowserContext
    account_id: str
    numbers: Iterator[int] = field(default_factory=itertools.count)
    #: Messages that lie on the mail server.
    delivered: int = 0

    def open(self) -> Page:
        """A tab with the inbox, which is live."""
        page = self.context.new_page()
        page.goto(f"{self.system.api_url}/#token={self.system.token('robin')}")
        is_live(page)
        return page

    def deliver(self, letters: int = 1) -> None:
        """Deliver mail to the mail server and wait until all of it is in the database."""
        self.user.append(*(letter(f"Letter {next(self.numbers)}") for _ in range(letters)))
        self.delivered += letters
        until(lambda: len(self.stored()) == self.delivered)

    def expunge_oldest(self) -> None:
        """Delete the oldest message on the mail server and wait until the database knows."""
        with self.user.session() as mail:
            mail.select_folder("INBOX")
            mail.delete_messages([1])
            mail.expunge()
        self.delivered -= 1
        until(lambda: len(self.stored()) == self.delivered)

    def stored(self) -> list[str]:
        """The subjects in the database."""
        with psycopg.connect(self.system.setting("database_url")) as connection:
            rows = connection.execute("SELECT subject FROM message WHERE expunged_at IS NULL")
            return sorted(subject for (subject,) in rows)

    def cut_off(self) -> None:
        """Take the network away from the browser."""
        self.context.set_offline(offline=True)
        self.road.cut()

    def join_up(self) -> None:
        """Give the network back."""
        self.context.set_offline(offline=False)


@pytest.fixture
def context(browser: Browser) -> BrowserContext:
    """A browser that its tabs share."""
    return browser.new_context()


@pytest.fixture
def world(
    context: BrowserContext, database_url: str, redis_url: str, dovecot: Dovecot, tmp_path: Path
) -> Iterator[World]:
    """An account with a message, and everything running."""
    with ExitStack() as stack:
        port = free_port()
        road = stack.enter_context(relay(port))
        own = {"gateway_port": str(port), "gateway_url": f"http://{HOST}:{road.port}"}
        system = stack.enter_context(run_system(database_url, redis_url, tmp_path, **own))
        user = MailUser(dovecot, dovecot.new_user())
        world = World(system, user, road, context, system.add_account(user))
        system.wait_until_watched()
        world.deliver()
        yield world


def until(holds: Callable[[], object], *, every: float = 0.1) -> None:
    """Wait until `holds` comes true."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(every)


def is_live(page: Page) -> None:
    expect(page.get_by_test_id("live-mark")).to_have_attribute(
        "data-status", "live", timeout=PATIENCE
    )


def is_stale(page: Page) -> None:
    expect(page.get_by_test_id("live-mark")).to_have_attribute(
        "data-status", "stale", timeout=PATIENCE
    )


def shows_all(world: World, *pages: Page) -> None:
    """Wait until each page says that it is live and shows what is stored."""
    for page in pages:
        whole = {"status": "live", "shown": world.stored()}
        until(lambda page=page, whole=whole: page.evaluate(_LOOK) == whole)


def is_complete_once_live(world: World, page: Page) -> None:
    """Wait until the page says that it is live: from its first look on it shows all."""
    seen: dict[str, Any] = {}
    until(lambda: seen.update(page.evaluate(_LOOK)) or seen["status"] == "live", every=0.01)
    assert seen["shown"] == world.stored()


def test_new_mail_appears_in_every_tab(world: World) -> None:
    # Given two tabs
    pages = world.open(), world.open()
    # When mail comes, one by one and several at once
    for count in (1, 1, 3):
        world.deliver(count)
    # Then both show it
    shows_all(world, *pages)


def test_mail_that_came_while_the_network_was_away_is_there_once_it_is_back(world: World) -> None:
    # Given a page without a network
    page = world.open()
    world.cut_off()
    is_stale(page)
    # When mail comes, and one is deleted
    world.deliver(4)
    world.expunge_oldest()
    assert page.evaluate(_LOOK) == {"status": "stale", "shown": ["Letter 0"]}
    # Then the page shows what is there as soon as it says that it is live
    world.join_up()
    is_complete_once_live(world, page)


def test_mail_that_came_while_the_gateway_was_away_is_there_once_it_is_back(world: World) -> None:
    # Given a page whose gateway has died
    page = world.open()
    gateway = world.system.service("gateway").process
    gateway.kill()
    gateway.wait()
    is_stale(page)
    # When mail comes and the gateway is started again
    world.deliver(3)
    world.system.start_again("gateway")
    # Then nothing is missing
    is_complete_once_live(world, page)


def test_mail_that_came_while_the_tab_slept_is_there_once_it_wakes(world: World) -> None:
    # Given a tab that is frozen, as browsers do with those that nobody looks at
    page = world.open()
    devtools = world.context.new_cdp_session(page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    # When its connection ends without it, mail comes, and it wakes
    world.road.cut()
    world.deliver(2)
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    # Then nothing is missing
    shows_all(world, page)


def test_the_page_is_not_live_while_it_cannot_fetch_what_it_has_heard_of(world: World) -> None:
    # Given a page whose API has died
    page = world.open()
    api = world.system.service("api").process
    api.kill()
    api.wait()
    # When mail comes
    world.deliver()
    # Then it says that something is missing, until the API is back
    expect(page.get_by_test_id("live-mark")).to_have_attribute("data-status", "catching-up")
    world.system.start_again("api")
    is_complete_once_live(world, page)


def test_pages_on_two_gateways_hear_the_same(world: World, tmp_path: Path) -> None:
    # Given two gateways, and a page on each
    second = free_port()
    values = {
        name: world.system.setting(name)
        for name in ("redis_url", "realtime_secret", "gateway_host", "cors_origins", "ops_host")
    }
    (tmp_path / "second").mkdir()
    other = services.start("gateway", values | {"gateway_port": str(second)}, tmp_path / "second")
    with services.stopping_together() as running:
        running.append(other)
        services.wait_until_ready(running)
        one = world.open()
        world.road.server = (HOST, second)
        two = world.open()
        for name in (world.system.service("gateway"), other):
            assert "postwire_sockets_connected 1.0" in metrics(name.metrics)
        # When mail comes
        world.deliver(2)
        # Then both show it
        shows_all(world, one, two)


def test_the_end_of_a_token_in_the_middle_of_a_session_costs_nothing(world: World) -> None:
    # Given a page whose first token the gateway takes for ten more seconds
    hand_out(world, lasts=10 - tokens.LEEWAY, made=-tokens.REALTIME_LIFETIME.total_seconds())
    page = world.open()
    # When the token ends and mail comes
    until(lambda: 'sockets_cut_total{reason="expired"} 1.0' in world.system.metrics("gateway"))
    world.deliver()
    # Then it is shown, on a connection of the same page
    shows_all(world, page)


def test_a_token_is_replaced_before_it_ends(world: World) -> None:
    # Given a page whose first token lasts three seconds
    asked = hand_out(world, lasts=3, made=0)
    page = world.open()
    # When it has asked for another one
    until(lambda: page.evaluate("1") and len(asked) == 2)
    # Then the gateway has sent nobody away, and mail is shown
    world.deliver()
    shows_all(world, page)
    assert 'sockets_cut_total{reason="expired"} 0.0' in world.system.metrics("gateway")


def hand_out(world: World, *, lasts: float, made: float) -> list[Any]:
    """Let the first realtime token last so many seconds; return what was handed out since."""
    handed_out: list[Any] = []

    def answer(route: Route) -> None:
        response = route.fetch()
        given = response.json()
        if not handed_out:
            secret = world.system.setting("realtime_secret")
            claims = jwt.decode(given["token"], options={"verify_signature": False})
            now = datetime.now(UTC)
            claims["iat"] = now + timedelta(seconds=made)
            claims["exp"] = now + timedelta(seconds=lasts)
            given["token"] = jwt.encode(claims, secret, algorithm="HS256")
        handed_out.append(given)
        route.fulfill(response=response, json=given)

    world.context.route(re.compile("/api/realtime-token$"), answer)
    return handed_out


def metrics(address: str) -> str:
    return httpx.get(address, timeout=10).text
