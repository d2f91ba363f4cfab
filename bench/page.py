"""docs/benchmarks.md, made of one file of results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.result import Budget, Measurement, Table, number, promised


@dataclass(frozen=True, slots=True)
class Entry:
    """One measurement as it is kept."""

    found: Measurement
    seconds: int
    #: Processes that wanted to run when it began.
    load: float


@dataclass(frozen=True, slots=True)
class Run:
    """A file of results."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    entries: dict[str, Entry]


def read(file: Path) -> Run:
    """The results of a day."""
    return msgspec.json.decode(file.read_bytes(), type=Run)


def newest(results: Path) -> Run:
    """The results of the last day."""
    return read(max(results.glob("*.json")))


def markdown(run: Run) -> str:
    """The page."""
    return "\n".join(_page(run)) + "\n"


def _page(run: Run) -> Iterator[str]:
    yield "# How fast it is, and beside whom"
    yield ""
    yield (
        "Made by `make bench` of "
        f"[bench/results/{run.date}.json](../bench/results/{run.date}.json); do not edit it. "
        "Machines are shared and noisy, so each figure has a peer or a floor beside it that was "
        "measured in the same run on the same machine: trust the ratios. `make bench ONLY=idle` "
        "measures one of them anew."
    )
    budgets = [one for entry in run.entries.values() for one in entry.found.budgets]
    yield from _list("The machine", run.machine)
    yield ""
    yield f"Of {len(budgets)} budgets {sum(one.kept for one in budgets)} are kept."
    for name, entry in run.entries.items():
        yield from _section(name, entry)
    yield from _list("Versions", run.versions)


def _list(title: str, of: Mapping[str, str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield "; ".join(f"{name} {value}" for name, value in of.items()) + "."


def _section(name: str, entry: Entry) -> Iterator[str]:
    found = entry.found
    yield from ("", f"## {found.title}", "", found.words, "")
    yield (
        f"<sub>[bench/{name}.py](../bench/{name}.py), {entry.seconds} s; "
        f"load {entry.load} when it began.</sub>"
    )
    for table in found.tables:
        yield from ("", f"### {table.title}", "")
        yield f"| | {' | '.join(table.columns)} |"
        yield "| --- |" + " ---: |" * len(table.columns)
        for row, figures in table.rows.items():
            yield f"| {row} | {' | '.join(map(number, figures))} |"
        if table.chart:
            yield from ("", f"![{table.title}](images/benchmarks/{image(name, table)})")
    if found.budgets:
        yield from ("", "| budget | kept |", "| --- | --- |")
        yield from map(_budget, found.budgets)


def _budget(budget: Budget) -> str:
    kept = "yes" if budget.kept else f"**no.** {budget.obstacle}"
    return f"| {promised(budget)} | {kept} |"


def image(name: str, table: Table) -> str:
    """The name of a table's picture."""
    words = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")
    return f"{name}-{words}.png"
