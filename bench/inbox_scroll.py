"""How smoothly the inbox scrolls through 50,000 conversations, and what it holds of them.

`PYTHONPATH=tests python bench/inbox_scroll.py` (after `make web`), in a Chromium without a screen.
First from the top to the end as fast as pages come, then slowly through the middle. Printed are the
milliseconds between two frames, elements in the page, and what the scripts hold; and, to compare,
what frames take where the same box scrolls over nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics

from playwright.sync_api import Page, sync_playwright

from postwire.store.pool import make_pool
from support import many, rows
from support.system import run_everything

#: In threads of three.
MESSAGES = 170_000
#: Milliseconds of a frame that people notice.
SLOW = 50

#: Scrolls `step` pixels a frame for so many frames, or to the end; tells what the frames took.
_SCROLL = """
async ([step, frames]) => {
  const box = document.querySelector("[role=listbox]");
  const found = { deltas: [], nodes: 0, blank: 0, heap: 0 };
  let before = performance.now();
  for (let n = 0; n < frames; n++) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    found.deltas.push(now - before);
    before = now;
    box.scrollTop += step;
    if (n % 20) continue;
    found.nodes = Math.max(found.nodes, document.querySelectorAll("*").length);
    found.heap = Math.max(found.heap, performance.memory.usedJSHeapSize);
    const waiting = box.querySelectorAll(".waiting").length;
    found.blank += waiting > 0;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 1;
    if (atEnd && box.querySelector("[aria-setsize]")?.ariaSetSize !== "-1") break;
  }
  const last = [...box.querySelectorAll("[aria-posinset]")].at(-1);
  return { ...found, at: Number(last?.ariaPosInSet), of: Number(last?.ariaSetSize) };
}
"""

#: Replaces the page by a box as large and as long as the list, with nothing in it.
_NOTHING = """
document.body.innerHTML = "<div role=listbox style='height: 700px; width: 400px; overflow: auto'>"
  + "<div style='height: 4000000px'></div></div>"
"""


def main() -> None:
    """Fill a mailbox, open the page, scroll."""
    with run_everything() as (system, _):
        url = system.setting("database_url")
        pool = make_pool(url, 1)
        account = rows.account(pool, "robin", "robin@example.com")
        many.fill(url, account.id, MESSAGES)
        many.analyze(url)
        pool.close()
        chromium = shutil.which("chromium") or "chromium-browser"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=["--enable-precise-memory-info"],
                chromium_sandbox=os.geteuid() != 0,
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(600_000)
            page.goto(f"{system.api_url}/#mailbox=*&token={system.token('robin')}")
            page.get_by_test_id("message-row").first.wait_for()
            heap = page.evaluate("performance.memory.usedJSHeapSize")
            print(f"at first: heap {heap / 1e6:.1f} MB")
            measure(page, "to the end, as fast as pages come", 2_400, 60_000)
            measure(page, "through the middle, 120 px a frame", 0, 1, to=0.5)
            measure(page, "through the middle, 120 px a frame", 120, 900)
            measure(page, "up again, 120 px a frame", -120, 900)
            page.evaluate(_NOTHING)
            measure(page, "over nothing, 120 px a frame", 120, 900)
            browser.close()


def measure(page: Page, name: str, step: int, frames: int, *, to: float | None = None) -> None:
    """Scroll and print; with `to`, go to that part of the list first and print nothing."""
    if to is not None:
        page.evaluate(
            "to => { const box = document.querySelector('[role=listbox]');"
            " box.scrollTop = box.scrollHeight * to; }",
            to,
        )
        page.wait_for_timeout(2000)
        return
    found = page.evaluate(_SCROLL, [step, frames])
    deltas = found["deltas"][1:]
    p50, p99 = statistics.median(deltas), statistics.quantiles(deltas, n=100)[-1]
    print(
        f"{name}: {len(deltas)} frames, p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
        f" longest {max(deltas):.0f} ms, over {SLOW} ms {sum(one > SLOW for one in deltas)};"
        f" at most {found['nodes']} elements, heap {found['heap'] / 1e6:.1f} MB;"
        f" rows not there yet at {found['blank']} of {len(deltas) // 20 + 1} looks;"
        f" now at row {found['at']} of {found['of']}"
    )


if __name__ == "__main__":
    main()
