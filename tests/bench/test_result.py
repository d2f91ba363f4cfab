from __future__ import annotations

from bench.result import Budget, Measurement, Table, text


def test_a_measurement_reads_as_text() -> None:
    found = Measurement(
        "Sync",
        "Words.",
        [Table("Of 10", ["messages/s", "MB"], {"Postwire": [1234.5, 0.5], "a peer": [10, None]})],
        [Budget("times the peer", 123.45, at_least=100), Budget("memory", 80, "MB", at_most=60)],
    )
    assert list(text(found)) == [
        "\nOf 10",
        "            messages/s  MB",
        "Postwire         1,234 0.5",
        "a peer              10   -",
        "kept   times the peer: 123 (at least 100)",
        "MISSED memory: 80 MB (at most 60)",
    ]
