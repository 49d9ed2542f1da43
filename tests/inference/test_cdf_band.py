"""Quantiles at any time: published width, bucket bounds, ties, clusters, refusals, how often they are wrong.

The simulation is seeded. Its false-alarm budget: the count of wrong verdicts is held to the number that a binomial
variable of the promised probability exceeds once in a million times.
"""

import json
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.inference.cdf_band import band, compare
from router.inference.effect import Asked, Effect, Relative
from tests.inference.sums import Floats, metric, moments, sketch

PUBLISHED = json.loads((Path(__file__).parent / "data" / "sequential.json").read_text(encoding="utf-8"))
MEDIAN = metric("quantile", q=0.5)


def _arm(values: Floats) -> Aggregate:
    return Aggregate(units=moments(values), sketch=sketch(values))


def _exchanges(values: Floats, threshold: float) -> Aggregate:
    """Return what is known of exchanges, a row for each unit."""
    below = (values <= threshold).sum(axis=1).astype(float)
    sums = moments(below, np.full(len(values), float(values.shape[1])))
    return Aggregate(sketch=sketch(values.ravel()), below=sums, threshold=threshold)


def _compared(found: Effect | NotEnough) -> Effect:
    assert isinstance(found, Effect)
    return found


def test_a_band_has_the_published_width() -> None:
    """Of confseq's empirical-process bound."""
    known = PUBLISHED["empirical_process"]
    assert band(known["n"], known["alpha"], known["start"]) == pytest.approx(known["half_width"], abs=1e-6)


def test_a_band_narrows() -> None:
    """With more values, and with a larger alpha; it takes as many values as it starts with."""
    widths = [band(n, 0.05) for n in (100, 1000, 10**6, 10**9)]
    assert all(one > two for one, two in pairwise(widths))
    assert band(1000, 0.2) < band(1000, 0.05)
    for bad in ((99, 0.05), (1000, 0.0), (1000, 1.0)):
        with pytest.raises(ValueError, match="a band takes"):
            band(*bad)


def test_a_difference_is_found_and_held() -> None:
    """Medians of 1 and 1.3: the interval leaves out 0, holds 0.3, and so does the relative one."""
    random = np.random.default_rng(1)
    two, one = random.lognormal(0, 1, 20_000), 1.3 * random.lognormal(0, 1, 20_000)
    found = _compared(compare(MEDIAN, _arm(one), _arm(two), Asked()))
    assert found.interval.holds(0.3)
    assert not found.interval.holds(0)
    assert found.p is not None
    assert found.p < 0.05
    assert isinstance(found.relative, Relative)
    assert found.relative.interval.holds(0.3)
    assert not found.relative.interval.holds(0)
    assert (found.exact, found.method) == (True, "CDF band")


def test_relabelled_arms_negate_the_difference() -> None:
    """The region is the same."""
    random = np.random.default_rng(2)
    arms = _arm(random.exponential(2, 700)), _arm(random.exponential(1, 300))
    one, two = _compared(compare(MEDIAN, *arms, Asked())), _compared(compare(MEDIAN, *arms[::-1], Asked()))
    assert (one.interval.low, one.interval.high) == (-(two.interval.high or 0), -(two.interval.low or 0))
    assert one.p == pytest.approx(two.p)


def test_ends_are_bounds_of_buckets() -> None:
    """All values of an arm in one bucket: the quantile may be anywhere in it, at its upper or its lower bound."""
    found = _compared(compare(MEDIAN, _arm(np.full(5000, 1.0)), _arm(np.full(5000, 1.0)), Asked()))
    assert found.p == 1.0
    assert found.interval.low is not None
    assert found.interval.high is not None
    assert 0.01 < found.interval.high < 0.03
    assert found.interval.low == pytest.approx(-found.interval.high)


def test_few_values_leave_sides_open() -> None:
    """Of a high quantile nothing bounds the upper side; of three units nothing bounds either."""
    random = np.random.default_rng(3)
    high = metric("quantile", q=0.99)
    found = _compared(compare(high, _arm(random.exponential(1, 100)), _arm(random.exponential(1, 50_000)), Asked()))
    assert found.interval.high is None
    assert found.interval.low is not None
    few = _compared(compare(MEDIAN, _arm(np.array([1.0, 2.0, 3.0])), _arm(np.array([4.0])), Asked()))
    assert (few.interval.low, few.interval.high, few.p) == (None, None, 1.0)


def test_zeros_and_a_control_that_may_be_0() -> None:
    """Ties at 0 are one bucket; nothing is relative to it."""
    random = np.random.default_rng(4)
    values = np.where(random.random(2000) < 0.7, 0.0, random.exponential(1, 2000))
    found = _compared(compare(MEDIAN, _arm(values), _arm(values), Asked()))
    assert found.value == 0
    assert isinstance(found.relative, NotEnough)


def test_exchanges_of_a_unit_are_worth_less() -> None:
    """With equal values within each unit of five the interval is about that of a fifth of the values."""
    random = np.random.default_rng(5)
    durations = metric("quantile", q=0.5, exchange="duration")
    units = random.exponential(1, (2, 4000, 1))
    arms = [_exchanges(np.repeat(values, 5, axis=1), 0.7) for values in units]
    found = _compared(compare(durations, arms[0], arms[1], Asked()))
    exact = _compared(compare(MEDIAN, _arm(units[0].ravel()), _arm(units[1].ravel()), Asked()))
    assert (found.exact, found.method) == (False, "clustered CDF band")
    widths = [(each.interval.high or 0) - (each.interval.low or 0) for each in (found, exact)]
    assert widths[0] == pytest.approx(widths[1], rel=0.15)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Aggregate(), "treatment: no units"),
        (Aggregate(sketch=sketch(np.ones(900))), "treatment: its units' shares below a threshold are not known"),
        (_exchanges(np.ones((99, 5)), 1.0), "treatment: 99 units, and a sequential test begins at 100"),
        (
            _exchanges(np.ones((900, 5)), 1.0),
            "treatment: all its values are on one side of the quantile of both arms",
        ),
        (
            Aggregate(sketch=sketch(np.ones(900)), below=Moments(900, float("inf"), 1.0, 900.0), threshold=1.0),
            "treatment: its sums are not finite",
        ),
    ],
)
def test_too_little_of_exchanges_is_not_enough(known: Aggregate, reason: str) -> None:
    """Said with the reason."""
    random = np.random.default_rng(6)
    durations = metric("quantile", q=0.5, exchange="duration")
    found = compare(durations, known, _exchanges(random.exponential(1, (900, 5)), 0.7), Asked())
    assert isinstance(found, NotEnough)
    assert found.reason == reason


def test_a_rare_quantile_of_exchanges_takes_many() -> None:
    """Of 500 units with one exchange each, 5 are beyond the 99 % quantile."""
    random = np.random.default_rng(7)
    rare = metric("quantile", q=0.99, exchange="duration")
    arms = [_exchanges(random.exponential(1, (500, 1)), 4.0) for _ in range(2)]
    found = compare(rare, arms[0], arms[1], Asked())
    assert isinstance(found, NotEnough)
    assert "and it takes 10" in found.reason


def test_only_quantiles_have_bands() -> None:
    """Anything else is the caller's mistake."""
    with pytest.raises(ValueError, match="is no quantile"):
        compare(metric("mean"), Aggregate(), Aggregate(), Asked())


@given(
    st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=60),
    st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=60),
    st.sampled_from([0.001, 0.5, 0.999]),
)
def test_any_values_have_finite_answers_that_agree(one: list[float], two: list[float], q: float) -> None:
    """The interval holds the estimate, and 0 where p is above alpha."""
    found = _compared(compare(metric("quantile", q=q), _arm(np.array(one)), _arm(np.array(two)), Asked()))
    ends: tuple[Any, ...] = (found.interval.low, found.interval.high)
    assert all(end is None or isfinite(end) for end in ends)
    assert found.interval.holds(found.value)
    assert found.p is not None
    assert found.interval.holds(0) or found.p <= 0.05


def test_it_is_wrong_no_more_often_than_promised_when_looked_at_often() -> None:
    """Of 100 pairs of arms with the same lognormal values, looked at 8 times, at most 5 % reject the same median."""
    random = np.random.default_rng(8)
    wrong = 0
    for _ in range(100):
        values = random.lognormal(0, 1, (2, 2000))
        looks = np.unique(np.geomspace(20, 2000, 8).astype(int))
        wrong += any(
            (_compared(compare(MEDIAN, _arm(values[0][:n]), _arm(values[1][:n]), Asked())).p or 1) <= 0.05
            for n in looks
        )
    assert wrong <= binom.ppf(1 - 1e-6, 100, 0.05)
