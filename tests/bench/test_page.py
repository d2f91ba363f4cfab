from __future__ import annotations

from pathlib import Path

from bench import page

BENCH = Path(__file__).parents[2] / "bench"


def test_the_page_shows_the_newest_results() -> None:
    written = (BENCH.parent / "docs/benchmarks.md").read_text()
    assert written == page.markdown(page.newest(BENCH / "results"))


def test_every_picture_of_the_page_is_there_and_no_other() -> None:
    images = BENCH.parent / "docs/images/benchmarks"
    run = page.newest(BENCH / "results")
    shown = {
        page.image(name, table)
        for name, entry in run.entries.items()
        for table in entry.found.tables
        if table.chart
    }
    assert {file.name for file in images.glob("*.png")} == shown


def test_a_budget_that_is_missed_says_what_stands_in_the_way() -> None:
    missed = [
        budget
        for entry in page.newest(BENCH / "results").entries.values()
        for budget in entry.found.budgets
        if not budget.kept and not budget.obstacle
    ]
    assert not missed
