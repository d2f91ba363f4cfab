"""What a benchmark says: tables, what was promised of them, and how to read both."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

#: How a table is drawn: a bar for each row, or a line for each row over the columns.
Chart = Literal["bars", "lines"]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures side by side: a row for each that was measured, Postwire first."""

    title: str
    #: What the columns hold, with their units: "messages/s".
    columns: Sequence[str]
    #: A figure for each column; none where there is nothing to measure.
    rows: dict[str, Sequence[float | None]]
    chart: Chart | None = None
    #: The column whose figures the bars show.
    drawn: str = ""
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What was promised of a figure, and what it is."""

    promise: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    #: Where it is not kept: what stands in the way, as a profile showed it.
    obstacle: str = ""

    @property
    def kept(self) -> bool:
        """Whether the figure is within its bound."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that one benchmark found."""

    title: str
    #: One paragraph: what was done, with whom it is compared, what is not like for like.
    words: str
    tables: Sequence[Table]
    budgets: Sequence[Budget] = ()


def alone(measure: Callable[[], Measurement]) -> None:
    """Run one benchmark as a program: print its tables; with `--to FILE` write them as JSON."""
    arguments = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    arguments.add_argument("--to", type=Path, metavar="FILE", help="write the result here as JSON")
    to: Path | None = arguments.parse_args().to
    found = measure()
    print("\n".join(text(found)), flush=True)
    if to:
        to.write_bytes(msgspec.json.encode(found))


def progress(words: str) -> None:
    """Say what is being measured now."""
    print(f"  {words}", flush=True)


def text(found: Measurement) -> Iterable[str]:
    """The measurement for a terminal, line by line."""
    for table in found.tables:
        wide = max(map(len, table.rows), default=0) + 2
        yield f"\n{table.title}"
        yield " " * wide + "".join(f"{column:>{len(column) + 2}}" for column in table.columns)
        for name, figures in table.rows.items():
            cells = zip(table.columns, figures, strict=True)
            yield f"{name:{wide}}" + "".join(f"{number(n):>{len(c) + 2}}" for c, n in cells)
    for budget in found.budgets:
        yield f"{'kept  ' if budget.kept else 'MISSED'} {promised(budget)}"


def promised(budget: Budget) -> str:
    """The budget as a sentence."""
    bounds = [("at least", budget.at_least), ("at most", budget.at_most)]
    asked = " and ".join(f"{word} {number(n)}" for word, n in bounds if n is not None)
    return f"{budget.promise}: {number(budget.value)} {budget.unit} ({asked})".replace("  ", " ")


def number(figure: float | None) -> str:
    """Three digits that count, thousands apart."""
    if figure is None:
        return "-"
    if abs(figure) >= 100:  # noqa: PLR2004 - three digits
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Iterable[float]) -> float:
    """The one in the middle."""
    return statistics.median(values)
