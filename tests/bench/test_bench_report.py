"""Promises of ``router.bench.report`` and ``router.bench.plot``: numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bench.plot import curve, svg
from router.bench.report import LINES, bars, duration
from router.histogram import BUCKETS, bucket


@pytest.mark.parametrize(
    ("us", "expected"),
    [
        (0.0, "0.00 µs"),
        (1.0, "1.00 µs"),
        (12.34, "12.3 µs"),
        (999.4, "999 µs"),
        (1000.0, "1.00 ms"),
        (12_345.0, "12.3 ms"),
        (1_000_000.0, "1.00 s"),
        (3_600_000_000.0, "3600 s"),
    ],
)
def test_times_have_three_digits_and_a_fitting_unit(us: float, expected: str) -> None:
    """From microseconds to an hour."""
    assert duration(us) == expected


COUNTS = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10_000), min_size=1)


def filled(counts: dict[int, int]) -> list[int]:
    """Return a histogram with these buckets."""
    return [counts.get(index, 0) for index in range(BUCKETS)]


@given(COUNTS)
def test_the_text_histogram_shows_every_observation_in_a_few_lines(counts: dict[int, int]) -> None:
    """Buckets are joined, never dropped, whatever the spread."""
    lines = list(bars(filled(counts)))
    assert 1 <= len(lines) <= LINES
    assert sum(int(line.split("█")[0].split()[3]) for line in lines) == sum(counts.values())


def test_an_empty_histogram_has_no_lines() -> None:
    """Nothing is drawn of nothing."""
    assert list(bars([0] * BUCKETS)) == []


@given(COUNTS)
def test_the_curve_rises_in_both_directions(counts: dict[int, int]) -> None:
    """A higher percentile is never faster; the last point stands for the slowest request."""
    points = curve(filled(counts), largest=1e12)
    assert points == sorted(points)
    assert points[0][0] == 1.0
    assert points[-1][0] == sum(counts.values())


def test_a_curve_of_one_observation_can_be_drawn() -> None:
    """The axes span at least a decade each, so nothing is divided by zero."""
    drawing = svg(curve(filled({bucket(1): 1}), largest=1.0), "one")
    assert "nan" not in drawing
    assert "polyline" in drawing
