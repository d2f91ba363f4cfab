from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from postwire.command.times import ago, briefly, parse, span, when

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (0.4, "now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3 * 60 + 50, "3 minutes ago"),
        (-2 * 3600, "in 2 hours"),
        (50 * 86_400, "50 days ago"),
    ],
)
def test_how_long_ago(seconds: float, said: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == said


def test_how_long_ago_in_a_column() -> None:
    said = [briefly(NOW - timedelta(minutes=one), NOW) for one in (3, 0, -120)]
    assert said == ["3m ago", "now", "in 2h"]
    assert briefly(None, NOW) == "never"


def test_by_the_clock_and_how_long_ago() -> None:
    assert when(NOW - timedelta(minutes=3), NOW) == "2026-03-01 11:57:00 UTC (3 minutes ago)"
    assert when(None, NOW) == ago(None, NOW) == "never"
    assert span(0) == "0 seconds"


def test_ages_as_people_write_them() -> None:
    assert [parse(one) for one in ("90s", "15m", "2h", "7d")] == [
        timedelta(seconds=90),
        timedelta(minutes=15),
        timedelta(hours=2),
        timedelta(days=7),
    ]
    assert [parse(one) for one in ("", "5", "m", "1.5h", "-2h", "1w", "9999999d")] == [None] * 7
