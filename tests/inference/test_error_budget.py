"""The error budget's bound: what is within it and how a line is written."""

from typing import Any

import pytest

from benchmarks.budget import Line, within


@pytest.mark.parametrize(
    ("kind", "found", "good"),
    [
        ("most", 60, True),
        ("most", 110, False),
        ("least", 110, True),
        ("least", 10, False),
        ("about", 50, True),
        ("about", 110, False),
        ("about", 5, False),
        ("shown", 999, True),
    ],
)
def test_a_count_is_held_to_its_promise(kind: Any, found: int, good: bool) -> None:  # noqa: FBT001
    """Of 1000 runs at 5 %: beyond what chance does once in a million times, it is out of budget."""
    assert within(Line("m", "s", 1000, found, 0.05, kind=kind)) is good


def test_a_tolerance_widens_the_promise() -> None:
    """And is written beside it."""
    line = Line("m", "s", 1000, 110, 0.05, 0.03)
    assert within(line)
    assert line.row(good=True) == "| m | s | 1,000 | \u2264 5.0% \u00b1 3.0% | 11.00% | yes |"
