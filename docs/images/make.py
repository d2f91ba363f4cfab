"""Makes inbox.png anew from a running demo: `make demo`, then `python docs/images/make.py`.

Needs a Chromium. The demo delivers a letter every few seconds, so that no two pictures are equal.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent


def main() -> None:
    """Open the demo's inbox, read a conversation, take the picture."""
    inbox = json.loads((HERE.parents[1] / "var/demo.json").read_text())["inbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium-browser",
            chromium_sandbox=os.geteuid() != 0,
        )
        page = browser.new_page(viewport={"width": 1200, "height": 720})
        page.goto(inbox)
        page.get_by_test_id("message-row").filter(has_text="Budget for the autumn").first.click()
        page.get_by_text("Notes from today are below.").last.wait_for()
        page.get_by_test_id("list-box").evaluate("box => box.scrollTop = 0")
        page.wait_for_timeout(1000)
        page.screenshot(path=HERE / "inbox.png")
        browser.close()


if __name__ == "__main__":
    main()
