"""The summary of a storm, in words and figures."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator

from chaos.audit import Audit
from chaos.ledger import Ledger

#: Troubles that are named; the logs have the rest.
_NAMED = 20


def troubles(ledger: Ledger, audit: Audit) -> list[str]:
    """All that is not as it must be."""
    return ledger.findings + audit.troubles()


def summary(ledger: Ledger, audit: Audit) -> Iterator[str]:
    """The lines of the summary of a storm."""
    faults = Counter(fault for wave in ledger.waves for fault in wave.faults)
    recovery = ledger.recoveries()
    yield f"{sum(faults.values())} faults in {len(ledger.waves)} waves; all mail seen after"
    for fault in sorted(faults):
        yield f"  {fault:28}{faults[fault]:3} times {recovery[fault]:6.1f} s at most"
    yield f"longest recovery     {max(recovery.values(), default=0):.1f} s"
    yield from outcome(ledger, audit)


def outcome(ledger: Ledger, audit: Audit) -> Iterator[str]:
    """What was done, what was seen of it, and all that is not as it must be."""
    yield f"on the mail server   {_counts(ledger.changes)}"
    yield (
        f"messages             {audit.compared} compared, {len(audit.lost)} lost, "
        f"{len(audit.duplicated)} duplicated, {len(audit.unequal)} unequal"
    )
    yield f"stuck                {len(audit.stuck)} jobs, accounts, messages set aside"
    took = ledger.latencies()
    if took:
        yield (
            f"append to all views  {statistics.median(took):.1f} s median, "
            f"{max(took):.1f} s longest"
        )
    yield f"viewers heard        {_counts(ledger.heard)}"
    yield f"API answers          {_counts(ledger.answers)}"
    for request, seconds in sorted(ledger.slowest.items(), key=lambda one: -one[1])[:5]:
        yield f"  slowest {seconds:6.1f} s  {request}"
    found = troubles(ledger, audit)
    yield f"findings             {len(found)}"
    yield from (f"  {trouble}" for trouble in found[:_NAMED])
    if len(found) > _NAMED:
        yield f"  and {len(found) - _NAMED} more"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "nothing"
