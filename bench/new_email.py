"""From APPEND to the browser: how long one new email takes, beside what the mail server takes.

    PYTHONPATH=tests python bench/new_email.py [MESSAGES]

Everything is real and runs on this machine: PostgreSQL, Valkey, Dovecot, all processes of Postwire,
and Chromium with the inbox open. The peer is a bare reader on an IDLE connection of its own: it
shows when the server says that there is mail, before which nobody can know.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
from imapclient import IMAPClient
from playwright.sync_api import Page, sync_playwright

from support.mailbox import MailUser, letter
from support.system import System, run_everything

#: Seconds that one message may take before it counts as lost.
PATIENCE = 20.0
#: Notes when the page is told, and when the row is on the screen.
_PROBE = """
window.told = [];
window.rows = {};
const Native = window.WebSocket;
window.WebSocket = class extends Native {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => {
      if (typeof data === "string" && data.startsWith('42["email:new"')) {
        window.told.push(Date.now());
      }
    });
  }
};
new MutationObserver(() => {
  for (const row of document.querySelectorAll("[data-testid=message-row]")) {
    const found = /bench-\\d+/.exec(row.textContent ?? "");
    if (found && !(found[0] in window.rows)) window.rows[found[0]] = Date.now();
  }
}).observe(document, { childList: true, subtree: true });
"""


def main() -> None:
    """Deliver the messages one by one and print what each leg took."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with running() as (system, user, page):
        legs: dict[str, list[float]] = {"server": [], "event": [], "row": []}
        with peer(user) as noticed:
            for number in range(messages):
                for leg, seconds in deliver(user, page, noticed, number).items():
                    legs[leg].append(seconds * 1000)
        report(legs, system)


@contextmanager
def running() -> Iterator[tuple[System, MailUser, Page]]:
    """All of it, with the inbox open and live."""
    with ExitStack() as stack:
        system, server = stack.enter_context(run_everything())
        user = MailUser(server, server.new_user())
        system.add_account(user)
        system.wait_until_watched()
        yield system, user, stack.enter_context(browser(system))


@contextmanager
def browser(system: System) -> Iterator[Page]:
    """The inbox in Chromium, with the probe in it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--disable-background-networking", "--disable-component-update"],
            chromium_sandbox=os.geteuid() != 0,
        )
        page = chromium.new_page()
        page.add_init_script(_PROBE)
        page.goto(f"{system.api_url}/#token={system.token('robin')}")
        page.wait_for_selector("[data-testid=live-mark][data-status=live]")
        yield page
        chromium.close()


@contextmanager
def peer(user: MailUser) -> Iterator[list[float]]:
    """Times at which a bare reader in IDLE is told that there is mail."""
    noticed: list[float] = []
    stopping = threading.Event()

    def read() -> None:
        with IMAPClient(user.server.host, user.server.port, ssl=False, timeout=10) as client:
            client.login(user.name, user.server.password)
            client.select_folder("INBOX", readonly=True)
            client.idle()
            connection = client.socket()
            while not stopping.is_set():
                if select.select([connection], [], [], 0.2)[0] and b"EXISTS" in connection.recv(
                    4096
                ):
                    noticed.append(time.time())
            client.idle_done()

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(1)
    yield noticed
    stopping.set()
    thread.join()


def deliver(user: MailUser, page: Page, noticed: list[float], number: int) -> dict[str, float]:
    """Seconds from the end of APPEND to: the server's notice, the event, the row."""
    name = f"bench-{number}"
    told = page.evaluate("window.told.length")
    known = len(noticed)
    with user.session() as client:
        client.append("INBOX", letter(name))
        appended = time.time()
    # The page's own policy forbids the eval that Playwright's wait_for_function would need.
    seen = f"{json.dumps(name)} in window.rows && window.told.length > {told}"
    while not page.evaluate(seen):
        if time.time() > appended + PATIENCE:
            raise TimeoutError(f"{name} did not reach the browser in {PATIENCE:.0f} s")
        page.wait_for_timeout(50)
    while len(noticed) == known:
        time.sleep(0.01)
    return {
        "server": noticed[known] - appended,
        "event": page.evaluate(f"window.told[{told}]") / 1000 - appended,
        "row": page.evaluate(f"window.rows[{json.dumps(name)}]") / 1000 - appended,
    }


def report(legs: dict[str, list[float]], system: System) -> None:
    """Print the figures."""
    words = {
        "server": "a bare IDLE reader is told (the floor)",
        "event": "the browser is told (email:new)",
        "row": "the row is on the screen",
    }
    print(f"\nFrom APPEND, {len(legs['row'])} messages one by one, milliseconds")
    print(f"{'':42}{'median':>9}{'p99':>9}{'max':>9}")
    for leg, values in legs.items():
        print(
            f"{words[leg]:42}{statistics.median(values):9.0f}{p99(values):9.0f}{max(values):9.0f}"
        )
    ours = [event - server for event, server in zip(legs["event"], legs["server"], strict=True)]
    print(
        f"{'of the event, ours':42}{statistics.median(ours):9.0f}{p99(ours):9.0f}{max(ours):9.0f}"
    )
    ratio = statistics.median(legs["event"]) / statistics.median(legs["server"])
    print(f"\nthe event takes {ratio:.2f} times what the server takes to tell\n")
    for service in system.services:
        memory = psutil.Process(service.process.pid).memory_info().rss
        print(f"{service.name:12} {memory / 1e6:6.0f} MB resident")


def line(words: str, values: list[float]) -> None:
    """Print one row of the table."""
    print(f"{words:42}{statistics.median(values):9.0f}{p99(values):9.0f}{max(values):9.0f}")


def p99(values: list[float]) -> float:
    """The value that one in a hundred exceeds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]


if __name__ == "__main__":
    logging.disable()
    main()
