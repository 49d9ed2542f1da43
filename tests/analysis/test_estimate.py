"""Estimates: textbook formulas over sums, and a reason where there is no number."""

from collections import Counter
from math import log, sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analysis.aggregates import Aggregate, Moments, Sketch
from router.analysis.estimate import Estimate, NotEnough, covariate, design_effect, estimate
from router.analysis.sketch import GAMMA, OFFSET, bounds
from router.config.schema import Metric

MEAN = Metric(name="m", kind="mean", outcome="o", goal="up")
RATIO = Metric(name="r", kind="ratio", numerator="a", denominator="b", goal="up")
QUANTILE = Metric(name="q", kind="quantile", exchange="duration", q=0.5, goal="down")
PAIRS = st.lists(st.tuples(st.integers(0, 50).map(float), st.integers(1, 20).map(float)), min_size=2, max_size=30)


def sums(pairs: list[tuple[float, float]]) -> Moments:
    """Add up pairs of y and x."""
    return Moments(
        len(pairs),
        sum(y for y, _ in pairs),
        sum(y * y for y, _ in pairs),
        sum(x for _, x in pairs),
        sum(x * x for _, x in pairs),
        sum(x * y for y, x in pairs),
    )


@given(PAIRS)
def test_a_mean_has_its_standard_error(pairs: list[tuple[float, float]]) -> None:
    """Of n units it is s/sqrt(n), with n - 1 in the variance."""
    found = estimate(MEAN, Aggregate(units=sums(pairs)))
    values = [y for y, _ in pairs]
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(fmean(values))
    assert found.standard_error == pytest.approx(stdev(values) / sqrt(len(values)), abs=1e-6)


@given(PAIRS)
def test_a_ratio_has_that_of_the_delta_method(pairs: list[tuple[float, float]]) -> None:
    """It is the standard error of the residuals y - r x over the mean of x, units being independent."""
    found = estimate(RATIO, Aggregate(units=sums(pairs)))
    ratio = sum(y for y, _ in pairs) / sum(x for _, x in pairs)
    residuals = [y - ratio * x for y, x in pairs]
    expected = stdev(residuals) / sqrt(len(pairs)) / fmean(x for _, x in pairs)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(ratio)
    assert found.standard_error == pytest.approx(expected, abs=1e-6)


def test_clusters_are_what_is_independent() -> None:
    """Four users in two tenants are two observations of variance, not four."""
    clustered = Aggregate(units=Moments(4, 2.0, 2.0), clusters=Moments(2, 2.0, 4.0, 4.0, 8.0, 4.0))
    alone = Aggregate(units=Moments(4, 2.0, 2.0))
    wide, narrow = estimate(MEAN, clustered), estimate(MEAN, alone)
    assert isinstance(wide, Estimate)
    assert isinstance(narrow, Estimate)
    assert (wide.value, narrow.value) == (0.5, 0.5)
    assert wide.standard_error == pytest.approx(0.5)
    assert narrow.standard_error == pytest.approx(sqrt(1 / 3 / 4))


@pytest.mark.parametrize(
    ("metric", "known", "reason"),
    [
        (MEAN, Aggregate(), "no units"),
        (MEAN, Aggregate(immature=3), "no unit's window is over yet"),
        (MEAN, Aggregate(missing=3), "no unit has a value"),
        (RATIO, Aggregate(units=Moments(3, 1.0, 1.0)), "its denominator is 0"),
        (QUANTILE, Aggregate(), "no units"),
    ],
)
def test_what_cannot_be_said_says_why(metric: Metric, known: Aggregate, reason: str) -> None:
    """Too little data is a reason, and neither 0 nor nan."""
    found = estimate(metric, known)
    assert isinstance(found, NotEnough)
    assert found.reason == reason


def test_one_unit_has_a_value_and_no_standard_error() -> None:
    """A spread takes two."""
    assert estimate(MEAN, Aggregate(units=Moments(1, 2.0, 4.0))) == Estimate(2.0, None, 1)
    assert estimate(RATIO, Aggregate(units=Moments(1, 2.0, 4.0, 4.0, 16.0, 8.0))) == Estimate(0.5, None, 1)
    assert estimate(QUANTILE, Aggregate(sketch=Sketch({0: 7}), below=Moments(1, 7.0, 49.0, 7.0, 49.0, 49.0))) == (
        Estimate(0.0, None, 7)
    )


def quantile_known(values: np.ndarray[Any, Any], q: float) -> Aggregate:
    """Count the exchanges of units (rows) as the fold does."""
    buckets = np.ceil(np.log(values) / log(GAMMA)).astype(int) + OFFSET
    counts = Sketch(Counter(map(int, buckets.ravel())))
    last = counts.bucket_at(q)
    assert last is not None
    y, x = (buckets <= last).sum(axis=1).astype(float), np.full(len(values), float(values.shape[1]))
    sums = Moments(len(y), y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())
    return Aggregate(sketch=counts, below=sums, threshold=bounds(last)[1])


def test_a_quantile_of_independent_exchanges_has_the_textbook_standard_error() -> None:
    """Of the median of an exponential it is sqrt(q (1 - q) / n) / density: 1/sqrt(n), here within a fifth."""
    values = np.random.default_rng(1).exponential(size=(4000, 5))
    known = quantile_known(values, 0.5)
    found = estimate(QUANTILE, known)
    assert isinstance(found, Estimate)
    assert design_effect(known) == pytest.approx(1.0, abs=0.1)
    assert found.standard_error == pytest.approx(1 / sqrt(values.size), rel=0.2)


def test_a_quantile_of_users_who_differ_is_less_certain() -> None:
    """The standard error is that of the medians of many such samples, to a fifth: users are slow or fast as a whole."""
    rng = np.random.default_rng(2)

    def draw(samples: int) -> np.ndarray[Any, Any]:
        return np.exp(rng.normal(size=(samples, 800, 1)) + 0.3 * rng.normal(size=(samples, 800, 10)))

    spread = np.median(draw(400).reshape(400, -1), axis=1).std()
    found = estimate(QUANTILE, quantile_known(draw(1)[0], 0.5))
    assert isinstance(found, Estimate)
    assert found.standard_error == pytest.approx(spread, rel=0.2)


def test_a_quantile_beyond_its_values_has_no_standard_error() -> None:
    """Of 50 exchanges nobody knows where the interval of the 99th percentile ends."""
    values = np.random.default_rng(3).exponential(size=(10, 5))
    p99 = Metric(name="q", kind="quantile", exchange="duration", q=0.99, goal="down")
    found = estimate(p99, quantile_known(values, 0.99))
    assert isinstance(found, Estimate)
    assert found.standard_error is None


def test_a_covariate_is_a_mean_of_its_own() -> None:
    """What units were like before is said with its standard error; without units there is a reason."""
    found = covariate(Aggregate(units=sums([(0.0, 1.0), (0.0, 3.0)])))
    assert found == Estimate(2.0, 1.0, 2)
    assert covariate(Aggregate(immature=1)) == NotEnough("no unit's window is over yet", 0)
