"""Quantiles: order statistics, sketches that are no closer than they are, and what cannot be said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from router.analysis.aggregates import Aggregate, Moments, Sketch
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import fixed, quantiles
from router.inference.effect import Asked, Effect, Interval, Relative
from tests.inference.arms import ends, moments, sketch

ASKED = Asked()
MEDIAN = Metric(name="q", kind="quantile", outcome="o", q=0.5, goal="up")
VALUES = st.lists(st.integers(1, 10**6).map(float), min_size=30, max_size=60)


def known(values: list[float]) -> Aggregate:
    """Return an arm of values of units."""
    return Aggregate(sketch=sketch(values))


@given(VALUES)
def test_an_arms_interval_encloses_that_of_its_order_statistics(values: list[float]) -> None:
    """Its ends are buckets of the values that the binomial distribution names; the exact interval lies within."""
    found = quantiles.interval(MEDIAN, known(values), ASKED)
    exact = quantiles.of_values(values, 0.5, ASKED)
    assert isinstance(found, Interval)
    assert isinstance(exact, Interval)
    ranks = [int(stats.binom.ppf(0.025, len(values), 0.5)), int(stats.binom.isf(0.025, len(values), 0.5)) + 1]
    ordered = sorted(values)
    assert (exact.low, exact.high) == (ordered[ranks[0] - 1], ordered[ranks[1] - 1])
    low, high = ends(exact)
    outer = ends(found)
    assert low * 0.979 <= outer[0] <= low * (1 + 1e-9)
    assert high * (1 - 1e-9) <= outer[1] <= high * 1.021


def test_order_statistic_intervals_hold_what_they_say() -> None:
    """Of 1,000 samples of any shape at least 95 % hold the quantile; below 929 comes once in a thousand such tests."""
    random = np.random.default_rng(2)
    held = 0
    for _ in range(1000):
        found = quantiles.of_values(random.exponential(size=60).tolist(), 0.75, ASKED)
        held += isinstance(found, Interval) and found.holds(np.log(4))
    assert held >= stats.binom.ppf(0.001, 1000, 0.95)


@given(VALUES, VALUES)
def test_relabelled_quantiles_negate_the_effect(one: list[float], two: list[float]) -> None:
    """Exactly, with one p-value; and the interval agrees with it about 0."""
    there, back = (fixed.compare(MEDIAN, known(a), known(b), ASKED) for a, b in ((one, two), (two, one)))
    assert isinstance(there, Effect)
    assert isinstance(back, Effect)
    assert (there.value, there.p) == (-back.value, back.p)
    assert ends(there.interval)[0] == pytest.approx(-ends(back.interval)[1])
    assert there.p is not None
    assert there.interval.holds(0) == (there.p >= 0.05 - 1e-9)


def test_quantiles_of_one_bucket_do_not_differ() -> None:
    """A sketch is 1 % off, so a difference of 0.1 % is none, whatever the number of values."""
    one = known([100.0] * 10**5)
    found = fixed.compare(MEDIAN, one, known([100.1] * 10**5), ASKED)
    assert isinstance(found, Effect)
    assert (found.value, found.p) == (0.0, 1.0)
    assert found.interval.holds(0.1)


def test_relative_effects_of_quantiles() -> None:
    """A factor of 1.5 is +50 %; of negative values the sign is that of the effect; zeros are no baseline."""
    random = np.random.default_rng(1)
    values = random.lognormal(0, 0.3, 3000)
    for sign, expected in ((1, 0.5), (-1, -0.5)):
        found = fixed.compare(MEDIAN, known((sign * values * 1.5).tolist()), known((sign * values).tolist()), ASKED)
        assert isinstance(found, Effect)
        assert isinstance(found.relative, Relative)
        assert found.relative.value == pytest.approx(expected, abs=0.04)
        assert found.relative.interval.holds(expected)
    found = fixed.compare(MEDIAN, known(values.tolist()), known([0.0] * 500), ASKED)
    assert isinstance(found, Effect)
    assert isinstance(found.relative, NotEnough)


@pytest.mark.parametrize(
    ("poor", "reason"),
    [
        (Aggregate(), "no units"),
        (Aggregate(sketch=Sketch()), "no units"),
        (known([1.0]), "too few values"),
        (known([1.0, 2.0, 3.0]), "too few values"),
    ],
)
def test_too_few_values_have_no_interval(poor: Aggregate, reason: str) -> None:
    """Ranks beyond the sample bound nothing."""
    good = known([float(value) for value in range(1, 100)])
    for one, two in ((poor, good), (good, poor), (poor, poor)):
        found = fixed.compare(MEDIAN, one, two, ASKED)
        assert isinstance(found, NotEnough)
        assert reason in found.reason
    assert isinstance(quantiles.interval(MEDIAN, poor, ASKED), NotEnough)


def test_exchanges_need_to_know_their_units() -> None:
    """Without sums by unit, nothing says how much exchanges of a unit have in common."""
    metric = Metric(name="q", kind="quantile", exchange="duration", q=0.5, goal="down")
    found = fixed.compare(metric, known([1.0, 2.0] * 50), known([1.0, 2.0] * 50), ASKED)
    assert isinstance(found, NotEnough)
    assert "between units" in found.reason


def test_values_that_are_none_are_refused() -> None:
    """Missing values, and quantiles outside of (0, 1), are a caller's mistake; one value is too few."""
    with pytest.raises(ValueError, match="finite"):
        quantiles.of_values([1.0, float("nan")], 0.5, ASKED)
    with pytest.raises(ValueError, match="quantile"):
        quantiles.of_values([1.0, 2.0], 1.0, ASKED)
    assert isinstance(quantiles.of_values([1.0], 0.5, ASKED), NotEnough)
    assert isinstance(quantiles.of_values([1.0, 2.0], 0.5, ASKED), NotEnough)


def exchanges(values: list[list[float]], threshold: float) -> Aggregate:
    """Return an arm of exchanges, a list for each unit."""
    flat = [value for unit in values for value in unit]
    below = moments(
        [float(sum(value <= threshold for value in unit)) for unit in values], [float(len(unit)) for unit in values]
    )
    return Aggregate(sketch=sketch(flat), below=below, threshold=threshold)


EXCHANGES = Metric(name="q", kind="quantile", exchange="duration", q=0.5, goal="down")


def test_equal_exchanges_of_a_unit_are_one() -> None:
    """A hundred copies of each unit's value make the interval of units, not a tenth of it."""
    random = np.random.default_rng(3)
    arms = [random.lognormal(0, 0.5, 400) for _ in range(2)]
    threshold = float(np.median(np.concatenate(arms)))
    once, often = (
        [exchanges([[value] * copies for value in values.tolist()], threshold) for values in arms]
        for copies in (1, 100)
    )
    alone, copied = (fixed.compare(EXCHANGES, one, two, ASKED) for one, two in (once, often))
    assert isinstance(alone, Effect)
    assert isinstance(copied, Effect)
    assert alone.p == pytest.approx(copied.p, rel=0.3)
    widths = [high - low for low, high in (ends(found.interval) for found in (alone, copied))]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


def test_arms_on_both_sides_of_the_threshold_are_as_if_units_were_constant() -> None:
    """Where nothing says what exchanges of a unit have in common, the most is assumed."""
    slow, fast = ([[base + unit % 10] * 10 for unit in range(200)] for base in (100.0, 1.0))
    found = fixed.compare(EXCHANGES, exchanges(slow, 50.0), exchanges(fast, 50.0), ASKED)
    assert isinstance(found, Effect)
    assert found.p is not None
    assert 0 < found.p < 1e-6
    assert found.notes


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        (Moments(5, 20.0, 100.0, 40.0, 400.0, 200.0), "5 units"),
        (Moments(), "not finite"),
        (Moments(40, float("nan"), 1.0, 40.0, 400.0, 200.0), "not finite"),
        (Moments(40, 20.0, 1.0, 40.0, 1.0, 200.0), "contradict"),
        (Moments(40, 80.0, 400.0, 40.0, 40.0, 80.0), "contradict"),
    ],
)
def test_sums_by_unit_that_cannot_be_used_say_why(below: Moments, reason: str) -> None:
    """Few units, none, missing values, and sums of nothing."""
    poor = Aggregate(sketch=sketch([1.0, 2.0] * 50), below=below, threshold=1.0)
    found = fixed.compare(EXCHANGES, poor, poor, ASKED)
    assert isinstance(found, NotEnough)
    assert reason in found.reason


def test_values_at_the_ends_of_floating_point_are_no_trouble() -> None:
    """Differences that overflow, and ratios beyond all measure, are told as what they are."""
    top, bottom = 75_480, -75_480
    ends_ = [Aggregate(sketch=Sketch({bucket: 1000})) for bucket in (top, bottom, 40_000, 5_000)]
    for one, two in ((0, 1), (1, 0)):
        found = fixed.compare(MEDIAN, ends_[one], ends_[two], ASKED)
        assert isinstance(found, NotEnough)
    found = fixed.compare(MEDIAN, ends_[2], ends_[3], ASKED)
    assert isinstance(found, Effect)
    assert isinstance(found.relative, NotEnough)
