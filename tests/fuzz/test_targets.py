"""What is fuzzed by `make fuzz`, with what is known already and a little more."""

from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TARGETS = ["imap", "mime", "event", "token", "html"]


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_read(name: str) -> None:
    target = import_module(f"fuzz.{name}")
    for seed in target.seeds():
        target.run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_made_of_the_seeds_is_read(name: str) -> None:
    target = import_module(f"fuzz.{name}")
    seed = st.sampled_from(sorted(target.seeds()))

    @settings(max_examples=100, suppress_health_check=[HealthCheck.nested_given], deadline=None)
    @given(one=seed, other=seed, at=st.integers(0, 400), upto=st.integers(0, 400), new=st.binary())
    def run(one: bytes, other: bytes, at: int, upto: int, new: bytes) -> None:
        target.run(one[:at] + new + other[upto:])

    run()
