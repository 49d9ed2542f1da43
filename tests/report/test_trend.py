"""Lines through effects by day: their slope, its interval, and what they say."""

import numpy as np
import pytest

from router.analysis.aggregates import Moments
from router.analysis.estimate import NotEnough
from router.inference.always_valid import compare
from router.inference.effect import Asked, Interval
from router.report.checks import settled
from router.report.report import Slope
from router.report.trend import Point, point, slope
from tests.report.build import CTR, counted


def test_a_slope_is_that_of_weighted_least_squares() -> None:
    """Checked against numpy's: value, and error from known variances."""
    rng = np.random.default_rng(1)
    days, variances = np.arange(10.0), rng.uniform(0.5, 2.0, 10)
    values = 1.0 - 0.2 * days + rng.normal(0, np.sqrt(variances))
    found = slope("day", [Point(*each) for each in zip(days, values, variances, strict=True)])
    assert isinstance(found, Slope)
    design = np.stack([np.ones(10), days], axis=1) / np.sqrt(variances)[:, None]
    covariance = np.linalg.inv(design.T @ design)
    expected = (covariance @ design.T @ (values / np.sqrt(variances)))[1]
    assert found.value == pytest.approx(expected)
    assert found.interval.high == pytest.approx(expected + 1.959964 * np.sqrt(covariance[1, 1]))


def test_by_tenure_scatter_widens_the_interval() -> None:
    """The same units are seen every day, so the known variance is the least."""
    points = [Point(float(day), (-1.0) ** day, 0.01) for day in range(8)]
    day, tenure = slope("day", points), slope("tenure", points)
    assert isinstance(day, Slope)
    assert isinstance(tenure, Slope)
    assert (tenure.interval.high or 0.0) > (day.interval.high or 0.0)


def test_intervals_hold_no_slope_as_often_as_they_say() -> None:
    """Of 500 flat series at most 7 % have a slope at 95 %: more would have a chance below 1 in 40 (binomial)."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(500):
        found = slope("day", [Point(float(day), float(rng.normal()), 1.0) for day in range(10)])
        assert isinstance(found, Slope)
        wrong += not found.interval.holds(0.0)
    assert wrong <= 35


@pytest.mark.parametrize("points", [[], [Point(0.0, 1.0, 1.0)] * 3, [Point(0.0, 1.0, 1.0)] * 9])
def test_few_days_have_no_slope(points: list[Point]) -> None:
    """Nor has one day many times."""
    assert isinstance(slope("day", points), NotEnough)


def test_a_day_needs_units_and_spread_in_both_arms() -> None:
    """A constant has no variance to weigh by; a ratio needs a denominator."""
    some = Moments(100, 40.0, 40.0)
    assert point(1.0, some, Moments(100, 30.0, 30.0), ratio=False) is not None
    assert point(1.0, some, Moments(10, 3.0, 3.0), ratio=False) is None
    assert point(1.0, Moments(100, 100.0, 100.0), Moments(100, 100.0, 100.0), ratio=False) is None
    assert point(1.0, some, some, ratio=True) is None


@pytest.mark.parametrize(("value", "word"), [(-0.01, "wears off"), (0.01, "grows")])
def test_a_trend_is_told_and_blocks_nothing(value: float, word: str) -> None:
    """Against the effect it is novelty, with it learning."""
    effect = compare(CTR, counted(1500, 10_000), counted(1000, 10_000), Asked())
    found = settled(
        effect, [Slope(against="tenure", value=value, interval=Interval(value - 0.001, value + 0.001), points=9)]
    )
    assert (found.status, found.hard) == ("warn", False)
    assert word in found.evidence
