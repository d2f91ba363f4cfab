"""The pictures of docs/benchmarks.md.

python -m bench.charts      makes page and pictures of the newest results anew
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import page
from bench.result import Table, number

#: Ours, a peer's, a floor's, and further lines.
OURS, PEER, FLOOR = "#2563eb", "#94a3b8", "#cbd5e1"
LINES = ("#2563eb", "#db2777", "#059669", "#d97706", "#7c3aed", "#0891b2", "#64748b", "#b91c1c")
#: A line of many is named where its last figure is more than so many times its first.
_GROWS = 3
mpl.rcParams |= {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
}


def write(run: page.Run, docs: Path) -> None:
    """Write the page and its pictures; pictures that nothing shows any more go."""
    images = docs / "images" / "benchmarks"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob("*.png"):
        old.unlink()
    for name, entry in run.entries.items():
        for table in entry.found.tables:
            if table.chart:
                file = images / page.image(name, table)
                _draw(table).savefig(file, dpi=110, bbox_inches="tight")
    (docs / "benchmarks.md").write_text(page.markdown(run))


def _draw(table: Table) -> Figure:
    figure = Figure(figsize=(7.2, 0.9 + 0.36 * (9 if table.chart == "lines" else len(table.rows))))
    axes = figure.subplots()
    _bars(axes, table) if table.chart == "bars" else _lines(axes, table)
    return figure


def _bars(axes: Axes, table: Table) -> None:
    column = list(table.columns).index(table.drawn)
    shown = {name: row[column] for name, row in table.rows.items() if row[column] is not None}
    colours = [OURS if name.startswith("Postwire") else PEER for name in shown]
    colours = [
        FLOOR if "floor" in name else colour for name, colour in zip(shown, colours, strict=True)
    ]
    bars = axes.barh(list(shown), list(shown.values()), color=colours, log=table.logarithmic)
    axes.bar_label(bars, [number(figure) for figure in shown.values()], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(f"{table.title}: {table.drawn}")


def _lines(axes: Axes, table: Table) -> None:
    # Where there are many, those are named that grow.
    many = len(table.rows) > len(LINES)
    colours = iter(LINES * len(table.rows))
    for name, row in table.rows.items():
        first, last = row[0] or 0, row[-1] or 0
        named = not many or last > _GROWS * first
        axes.plot(
            list(table.columns),
            list(row),
            marker="o",
            color=next(colours) if named else FLOOR,
            label=name if named else None,
            zorder=2 if named else 1,
        )
    if table.logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if many:
        axes.plot([], [], marker="o", color=FLOOR, label=f"all others: not {_GROWS} times as much")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    axes.set_title(table.title)


if __name__ == "__main__":
    here = Path(__file__).parent
    write(page.newest(here / "results"), here.parent / "docs")
