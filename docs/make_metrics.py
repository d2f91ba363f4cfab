"""Prints docs/metrics.md, made of shared/postwire/metrics.py: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from postwire.metrics import DECLARED, Declared

HEAD = """\
# Metrics

Made by `make docs` of what is declared in `shared/postwire/metrics.py`.

Every process answers `/metrics` on its ops port (`POSTWIRE_OPS_PORT`). Counters get `_total`,
histograms `_bucket`, `_sum` and `_count`. A process begins with zeros for what is its own, as far
as the labels are known beforehand; one that has nothing to do with a metric shows zero or leaves
it out. Dashboards and alerts are in [deploy/monitoring](../deploy/monitoring/README.md).

| metric | kind, labels | from | meaning |
| --- | --- | --- | --- |
"""
TAIL = """
INTERNALDATE has whole seconds, so the legs that begin with it are up to a second too long.
"""


def row(declared: Declared) -> str:
    """The table's line for one metric."""
    metric = declared.metric
    labels = [f"`{label}`" for label in declared.labels]
    (described,) = metric.describe()
    processes = ", ".join(declared.processes) if len(declared.processes) < 4 else "all"  # noqa: PLR2004
    kind = ", ".join([metric._type, *labels])  # noqa: SLF001
    return f"| `{described.name}` | {kind} | {processes} | {described.documentation} |\n"


def page() -> Iterator[str]:
    """The page, piece by piece."""
    yield HEAD
    yield from map(row, DECLARED)
    yield TAIL


if __name__ == "__main__":
    sys.stdout.writelines(page())
