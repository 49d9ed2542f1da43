"""Asymptotic confidence sequences: published form, relative effects, covariates, refusals, how often they are wrong.

The simulations are seeded. Their false-alarm budget: the count of wrong verdicts is held to the number that a binomial
variable with chance 0.05, and 0.01 more for being asymptotic, exceeds once in a million times.
"""

import json
from math import inf, log, nan, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.config.metric import Covariate
from router.inference.confidence_sequence import Around, around, careful_variance, compare, half_width, rho2
from router.inference.effect import Asked, Effect, Relative
from router.inference.mixture import critical
from tests.inference.sums import Floats, arm, metric, moments

PUBLISHED = json.loads((Path(__file__).parent / "data" / "sequential.json").read_text(encoding="utf-8"))
MEAN = metric("mean")
WITH_COVARIATE = metric("mean", covariate=Covariate(outcome="value", before=1.0))


def _compared(found: Effect | NotEnough) -> Effect:
    assert isinstance(found, Effect)
    return found


def test_width_is_the_published_formula() -> None:
    """Theorem 2.2 of arXiv 2103.06476, written out."""
    n, rho, alpha = 1234, sqrt(0.0021), 0.03
    formula = sqrt(2 * (n * rho**2 + 1) / (n**2 * rho**2) * log(sqrt(n * rho**2 + 1) / alpha))
    assert half_width(1.7, n, rho**2, alpha) == pytest.approx(1.7 * formula)


def test_it_is_tightest_where_it_is_tuned() -> None:
    """Against tunings for more and for fewer observations."""
    tuned, fewer, more = (half_width(1.0, 700, rho2(size, 0.05), 0.05) for size in (700, 500, 1000))
    assert tuned < min(fewer, more)


def test_an_effect_is_its_standard_error_times_the_critical_value() -> None:
    """By default tuned to 5000 units of both arms; t quantiles for so many units are nearly normal."""
    random = np.random.default_rng(1)
    one, two = arm(random.normal(5.1, 1, 2500)), arm(random.normal(5.0, 1, 2500))
    found = _compared(compare(MEAN, one, two, Asked()))
    assert found.standard_error is not None
    assert found.interval.high is not None
    reach = (found.interval.high - found.value) / found.standard_error
    assert reach == pytest.approx(critical(5000 * rho2(5000, 0.05), 0.05), rel=5e-3)
    assert (found.basis, found.exact) == ("always valid", False)
    assert found.p is not None
    assert found.interval.holds(0) == (found.p > 0.05)


def test_a_ratio_is_by_the_delta_method() -> None:
    """Its standard error is that of the linearised ratio."""
    random = np.random.default_rng(2)
    x = random.poisson(3, (2, 900)) + 1.0
    y = x * 0.5 + random.normal(0, 1, (2, 900))
    found = _compared(compare(metric("ratio"), arm(y[0], x[0]), arm(y[1], x[1]), Asked()))
    ratios = y.sum(axis=1) / x.sum(axis=1)
    errors = (y - ratios[:, None] * x).std(axis=1, ddof=1) / x.mean(axis=1) / sqrt(900)
    assert found.value == pytest.approx(ratios[0] - ratios[1])
    assert found.standard_error == pytest.approx(sqrt((errors**2).sum()))


def test_clusters_count_in_the_place_of_units() -> None:
    """With few clusters the interval is wider than the normal one, by Student's t; below 30 there is none."""
    random = np.random.default_rng(3)
    sizes = np.full((2, 40), 10.0)
    sums = random.normal(0, 3, (2, 40)) + 10.0
    one, two = (
        Aggregate(units=Moments(400, float(y.sum()), 5e3), clusters=moments(y, x))
        for y, x in zip(sums, sizes, strict=True)
    )
    found = _compared(compare(MEAN, one, two, Asked()))
    assert found.standard_error is not None
    assert found.interval.high is not None
    normal = critical(80 * rho2(200, 0.05), 0.05)
    assert 1.05 * normal < (found.interval.high - found.value) / found.standard_error < 1.5 * normal
    few = Aggregate(units=Moments(290, 1.0, 1.0), clusters=moments(sums[0][:29], sizes[0][:29]))
    refused = compare(MEAN, few, two, Asked())
    assert isinstance(refused, NotEnough)
    assert refused.reason == "treatment: 29 clusters, and a sequential test begins at 30"


def test_a_covariate_makes_it_narrower() -> None:
    """By the share of the variance that it explains; the effect without it is beside it."""
    random = np.random.default_rng(4)
    x = random.normal(10, 2, (2, 3000))
    y = x + random.normal(0, 1, (2, 3000))
    found = _compared(compare(WITH_COVARIATE, arm(y[0], x[0]), arm(y[1], x[1]), Asked()))
    assert found.unadjusted is not None
    assert found.standard_error is not None
    assert found.unadjusted.standard_error is not None
    assert found.standard_error / found.unadjusted.standard_error == pytest.approx(sqrt(1 / 5), rel=0.05)
    assert isinstance(found.relative, Relative)
    assert found.relative.value == pytest.approx(found.value / found.control.value)


@pytest.mark.parametrize("x", [np.ones(300), np.arange(300.0)])
def test_a_covariate_of_no_use_is_not_used(x: Floats) -> None:
    """One that does not vary, or that is the metric itself; a note says so."""
    found = _compared(compare(WITH_COVARIATE, arm(np.arange(300.0), x), arm(np.arange(300.0), x), Asked()))
    assert found.unadjusted is None
    assert any("covariate was not used" in note for note in found.notes)


def test_relative_effects_keep_their_sign_below_0() -> None:
    """Less of a loss is up: the effect is divided by the absolute value of control."""
    random = np.random.default_rng(5)
    found = _compared(compare(MEAN, arm(random.normal(-9, 1, 500)), arm(random.normal(-10, 1, 500)), Asked()))
    assert isinstance(found.relative, Relative)
    assert found.relative.value == pytest.approx(0.1, abs=0.02)
    assert found.relative.interval.low is not None
    assert 0 < found.relative.interval.low < found.relative.value


def test_no_relative_effect_to_a_control_near_0() -> None:
    """Nothing can be said as a share of what may be 0; the absolute effect stays."""
    random = np.random.default_rng(6)
    found = _compared(compare(MEAN, arm(random.normal(1, 1, 500)), arm(random.normal(0, 1, 500)), Asked()))
    assert isinstance(found.relative, NotEnough)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.arange(99.0), "treatment: 99 units, and a sequential test begins at 100"),
        (np.array([]), "treatment: 0 units, and a sequential test begins at 100"),
        (np.full(500, inf), "treatment: its sums are not finite"),
        (np.full(500, nan), "treatment: its sums are not finite"),
        (np.full(500, 1e200), "treatment: its sums are not finite"),
    ],
)
def test_too_little_is_not_enough(values: Floats, reason: str) -> None:
    """Said with the reason, whatever the other arm has."""
    with np.errstate(over="ignore", invalid="ignore"):
        known = arm(values)
    assert compare(MEAN, known, arm(np.arange(500.0)), Asked()) == NotEnough(reason, len(values))


def test_a_constant_metric_is_not_enough() -> None:
    """Also one whose sums do not cancel exactly: 0.1 added up 100,000 times."""
    for value in (0.0, 0.1, 3.0):
        found = compare(MEAN, arm(np.full(100_000, value)), arm(np.full(100_000, value)), Asked())
        assert isinstance(found, NotEnough)


@pytest.mark.parametrize("mde", [1e-300, 1e-6, 1e6, 1e300])
def test_any_effect_that_matters_gives_a_number_or_a_reason(mde: float) -> None:
    """However far from the data."""
    random = np.random.default_rng(7)
    found = compare(MEAN, arm(random.normal(1, 1, 500)), arm(random.normal(1, 1, 500)), Asked(0.05, mde))
    if isinstance(found, Effect):
        assert found.interval.low is not None
        assert found.interval.holds(found.value)


def test_an_interval_around_a_number_is_the_same() -> None:
    """As that of an effect with the same value, standard error and units; without spread there is none."""
    random = np.random.default_rng(8)
    effect = _compared(compare(MEAN, arm(random.normal(1, 1, 5000)), arm(random.normal(1, 1, 5000)), Asked()))
    assert effect.standard_error is not None
    found = around(effect.value, effect.standard_error, 10_000, Asked())
    assert isinstance(found, Around)
    assert found.interval.low == pytest.approx(effect.interval.low, rel=1e-2)
    assert found.p == pytest.approx(effect.p, rel=1e-2)
    for bad in ((1.0, 0.0, 500), (1.0, 0.1, 10), (inf, 0.1, 500), (1.0, nan, 500)):
        assert isinstance(around(*bad, Asked()), NotEnough)


def test_variances_are_the_larger_of_own_and_common() -> None:
    """Equal for equal arms; for unequal ones a small spread in the small arm is not believed."""
    assert careful_variance((0.02, 0.04), (100, 100)) == pytest.approx(0.06)
    assert careful_variance((1 / 100, 9 / 900), (100, 900)) == pytest.approx(8.2 * (1 / 100 + 1 / 900))
    assert careful_variance((9 / 100, 1 / 900), (100, 900)) == pytest.approx(9 / 100 + 1 / 900)


@pytest.mark.parametrize("kind", ["exponential", "revenue"])
def test_it_is_wrong_little_more_often_than_promised_when_looked_at_often(kind: str) -> None:
    """Of 400 pairs of arms without a difference, one with a tenth of the units, at 40 looks from the burn-in on."""
    random = np.random.default_rng(9)
    wrong = 0
    for _ in range(400):
        y = random.exponential(1, 11_000) if kind == "exponential" else random.lognormal(3, 1, 11_000)
        if kind == "revenue":  # one in twenty buys
            y *= random.random(11_000) < 0.05
        one, two = (np.stack([each, each * each]).cumsum(axis=1) for each in (y[:1000], y[1000:]))
        for n in range(100, 1001, 23):
            known = [
                Aggregate(units=Moments(size, *map(float, sums[:, size - 1])))
                for size, sums in ((n, one), (10 * n, two))
            ]
            if not _compared(compare(MEAN, known[0], known[1], Asked())).interval.holds(0):
                wrong += 1
                break
    assert wrong <= binom.ppf(1 - 1e-6, 400, 0.06)
