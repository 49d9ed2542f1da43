"""Bootstraps: seeded, close to the formula where there is one, bounded."""

from typing import Any

import numpy as np
import pytest

from router.analysis.aggregates import Sketch
from router.analysis.estimate import NotEnough
from router.inference import bootstrap, fixed
from router.inference.effect import Asked, Effect, Interval
from tests.inference.arms import MEAN, RATIO, arm, sketch

ASKED = Asked()
RANDOM = np.random.default_rng(11)
ONE, TWO = RANDOM.normal(11, 2, 300), RANDOM.normal(10, 2, 250)


def generator() -> np.random.Generator:
    """Return a generator in one state."""
    return np.random.default_rng(1)


def near(found: Interval, expected: Interval, by: float) -> bool:
    """Say whether both ends of two intervals are near each other."""
    ends = found.low, found.high, expected.low, expected.high
    low, high, other_low, other_high = (end for end in ends if end is not None)
    return abs(low - other_low) < by and abs(high - other_high) < by


def test_of_means_it_agrees_with_welch() -> None:
    """Within a tenth of the interval's width; the same generator gives the same interval."""
    expected = fixed.compare(MEAN, arm(ONE), arm(TWO), ASKED)
    found = bootstrap.of_values((ONE.tolist(), TWO.tolist()), np.mean, ASKED, generator())
    assert isinstance(found, Interval)
    assert isinstance(expected, Effect)
    assert near(found, expected.interval, 0.07)
    assert found == bootstrap.of_values((ONE.tolist(), TWO.tolist()), np.mean, ASKED, generator())


def test_of_clusters_it_agrees_with_the_delta_method() -> None:
    """Resampling units with all their exchanges is what the delta method approximates."""
    pairs = []
    for share in (0.3, 0.2):
        exchanges = RANDOM.geometric(0.1, 400).astype(float)
        pairs.append(np.column_stack([RANDOM.binomial(exchanges.astype(int), share), exchanges]).astype(float))
    expected = fixed.compare(RATIO, arm(pairs[0][:, 0], pairs[0][:, 1]), arm(pairs[1][:, 0], pairs[1][:, 1]), ASKED)
    found = bootstrap.of_clusters((pairs[0], pairs[1]), ASKED, generator())
    assert isinstance(found, Effect)
    assert isinstance(expected, Effect)
    assert near(found.interval, expected.interval, 0.004)
    assert not isinstance(found.relative, NotEnough)
    assert not isinstance(expected.relative, NotEnough)
    assert near(found.relative.interval, expected.relative.interval, 0.04)


def test_of_sketches_it_compares_quantiles() -> None:
    """The interval holds the difference of the medians, and its value is theirs."""
    found = bootstrap.of_sketches((sketch(ONE), sketch(TWO)), 0.5, ASKED, generator())
    assert isinstance(found, Effect)
    assert found.interval.holds(1.0)
    assert found.value == pytest.approx(np.median(ONE) - np.median(TWO), abs=0.25)


@pytest.mark.parametrize("method", ["values", "sketches", "clusters"])
@pytest.mark.parametrize("size", [0, 1, 9, 40])
def test_too_little_to_resample_says_so(method: str, size: int) -> None:
    """An empty arm, few values, and values that do not vary."""
    found: Any
    if method == "values":
        found = bootstrap.of_values(([2.0] * size, [2.0] * 40), np.mean, ASKED, generator())
    elif method == "sketches":
        found = bootstrap.of_sketches((sketch([2.0] * size), sketch([2.0] * 40)), 0.5, ASKED, generator())
    else:
        found = bootstrap.of_clusters((np.ones((size, 2)), np.ones((40, 2))), ASKED, generator())
    assert isinstance(found, NotEnough)


def test_denominators_have_to_be_above_zero() -> None:
    """Clusters without a denominator make no ratio."""
    empty = np.zeros((20, 2))
    assert isinstance(bootstrap.of_clusters((empty, np.ones((20, 2))), ASKED, generator()), NotEnough)
    sparse = np.zeros((10, 2))
    sparse[0] = 1.0
    assert isinstance(bootstrap.of_clusters((sparse, np.ones((20, 2))), ASKED, generator()), NotEnough)


def test_a_baseline_that_changes_its_sign_has_no_relative_effect() -> None:
    """Resamples on both sides of 0."""
    around = np.column_stack([RANDOM.normal(0, 1, 50), np.ones(50)])
    found = bootstrap.of_clusters((around + np.array([1.0, 0.0]), around), ASKED, generator())
    assert isinstance(found, Effect)
    assert isinstance(found.relative, NotEnough)


def test_a_statistic_that_does_not_vary_has_no_interval() -> None:
    """Not even where values do."""

    def nothing(values: Any, axis: int) -> Any:
        return np.zeros_like(values).sum(axis=axis)

    found = bootstrap.of_values((ONE.tolist(), TWO.tolist()), nothing, ASKED, generator())
    assert isinstance(found, NotEnough)


def test_mistakes_are_refused() -> None:
    """Too many resamples, values that are none, sums that are no pairs."""
    with pytest.raises(ValueError, match="resamples"):
        bootstrap.of_values((ONE.tolist(), TWO.tolist()), np.mean, ASKED, generator(), 10**9)
    with pytest.raises(ValueError, match="finite"):
        bootstrap.of_values(([float("nan")], [1.0]), np.mean, ASKED, generator())
    with pytest.raises(ValueError, match="pair"):
        bootstrap.of_clusters((np.ones((20, 3)), np.ones((20, 2))), ASKED, generator())
    with pytest.raises(ValueError, match="quantile"):
        bootstrap.of_sketches((Sketch(), Sketch()), 0.0, ASKED, generator())
