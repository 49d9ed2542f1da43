"""Wald's sequential probability ratio test: published lines, his approximations, two arms, how often it is wrong.

The simulations are seeded. Their false-alarm budget: counts are held to the number that a binomial variable of the
promised probability exceeds once in a million times.
"""

import json
from math import inf, log, nan
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.stats import binom, norm

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.inference.effect import Effect
from router.inference.sprt import (
    Errors,
    Verdict,
    bernoulli,
    characteristic,
    compare,
    decide,
    difference,
    expected,
    expected_bernoulli,
    expected_normal,
    first,
    normal,
)
from tests.inference.sums import arm, metric, share

PUBLISHED = json.loads((Path(__file__).parent / "data" / "sequential.json").read_text(encoding="utf-8"))


def _verdict(found: Verdict | NotEnough) -> Verdict:
    assert isinstance(found, Verdict)
    return found


def test_boundaries_are_walds() -> None:
    """A = (1 - beta)/alpha and B = beta/(1 - alpha)."""
    errors = Errors(0.05, 0.1)
    assert (errors.upper, errors.lower) == pytest.approx((log(0.9 / 0.05), log(0.1 / 0.95)))
    assert [decide(each, errors) for each in (errors.upper, errors.lower, 0.0, inf, -inf)] == [
        "reject",
        "accept",
        "continue",
        "reject",
        "accept",
    ]


def test_lines_of_a_sampling_plan_are_the_published_ones() -> None:
    """Defectives at which n items are rejected or accepted lie on two parallel lines."""
    known = PUBLISHED["sequential_sampling_plan"]
    errors, p0, p1 = Errors(known["alpha"], known["beta"]), known["p0"], known["p1"]
    per_defective = bernoulli(1, 1, p0, p1) - bernoulli(0, 1, p0, p1)
    assert errors.lower / per_defective == pytest.approx(known["accept"], abs=5e-4)
    assert errors.upper / per_defective == pytest.approx(known["reject"], abs=5e-4)
    assert -bernoulli(0, 1, p0, p1) / per_defective == pytest.approx(known["slope"], abs=5e-5)


def test_evidence_is_the_log_likelihood_ratio() -> None:
    """Of Bernoulli, of normal observations and of a normal difference, as scipy's densities give it."""
    assert bernoulli(3, 10, 0.2, 0.4) == pytest.approx(binom.logpmf(3, 10, 0.4) - binom.logpmf(3, 10, 0.2))
    values = np.array([0.3, -1.0, 2.2])
    ratio = norm.logpdf(values, 1.0, 2.0).sum() - norm.logpdf(values, 0.5, 2.0).sum()
    assert normal(float(values.sum()), 3, 0.5, 1.0, 2.0) == pytest.approx(ratio)
    assert difference(0.3, 0.04, -0.5) == pytest.approx(norm.logpdf(0.3, -0.5, 0.2) - norm.logpdf(0.3, 0, 0.2))


def test_average_sizes_are_those_of_the_characteristic() -> None:
    """Wald's two formulas agree at the null and at the alternative, and the largest size lies between."""
    errors = Errors(0.05, 0.1)
    null, middle, alternative = (characteristic(errors, 0.01, 0.1, h) for h in (1, 0, -1))
    sizes = expected_bernoulli(errors, 0.01, 0.1)
    assert (null.value, null.accepted) == pytest.approx((0.01, 0.95))
    assert (alternative.value, alternative.accepted) == pytest.approx((0.1, 0.1))
    assert (null.size, alternative.size) == pytest.approx((sizes.null, sizes.alternative))
    assert middle.size > max(null.size, alternative.size)
    near = characteristic(errors, 0.01, 0.1, 1e-4)
    assert (near.value, near.accepted, near.size) == pytest.approx(
        (middle.value, middle.accepted, middle.size), rel=1e-3
    )


def test_a_test_takes_fewer_observations_than_a_fixed_one() -> None:
    """Of a normal mean about half, at 5 % and 5 %: Wald 1947 has 51 % under the null and under the alternative."""
    errors = Errors(0.05, 0.05)
    fixed = (2 * norm.ppf(0.95) / 0.3) ** 2
    sizes = expected_normal(errors, 0.0, 0.3, 1.0)
    assert sizes.null == pytest.approx(sizes.alternative)
    assert sizes.null / fixed == pytest.approx(0.49, abs=0.01)


def test_a_better_arm_is_found() -> None:
    """In the direction of the goal; what is worse is accepted to be no better."""
    random = np.random.default_rng(1)
    one, two = arm(random.normal(1.3, 1, 2000)), arm(random.normal(1.0, 1, 2000))
    up, down = metric("mean"), metric("mean", goal="down")
    assert _verdict(compare(up, one, two, Errors(), 0.2)).decision == "reject"
    assert _verdict(compare(down, one, two, Errors(), 0.2)).decision == "accept"
    assert _verdict(compare(up, one, two, Errors(), 1e-4)).decision == "continue"


def test_a_verdict_says_what_it_rests_on() -> None:
    """Evidence, boundaries, expected sizes, and an effect that is valid at any time; all of it prints as JSON."""
    found = _verdict(compare(metric("proportion"), share(550, 5000), share(500, 5000), Errors(0.05, 0.2), 0.02))
    assert isinstance(found.effect, Effect)
    assert found.effect.basis == "always valid"
    assert found.lower < found.evidence < found.upper
    fixed = 7683  # of 10 % against 12 %, both arms, 80 % power, two-sided 5 %
    assert found.expected.null < found.expected.alternative < fixed
    assert b"Infinity" not in msgspec.json.encode(found)


def test_the_first_decision_counts() -> None:
    """What later looks say changes nothing; looks without a decision are passed over."""
    random = np.random.default_rng(2)
    two = arm(random.normal(0, 1, 1000))
    good, bad = (
        _verdict(compare(metric("mean"), arm(random.normal(mean, 1, 1000)), two, Errors(), 0.2)) for mean in (0.5, -0.5)
    )
    assert first([NotEnough("no units", 0), bad, good]) == bad
    assert first([NotEnough("no units", 0)]) is None


def test_too_little_is_not_enough() -> None:
    """Before the burn-in, of an empty arm and of values that do not vary."""
    for one in (Aggregate(), arm(np.arange(50.0)), arm(np.full(500, 2.0))):
        assert isinstance(compare(metric("mean"), one, arm(np.full(500, 2.0)), Errors(), 0.1), NotEnough)
    changing = share(5, 500, provisional=True)
    assert isinstance(compare(metric("proportion"), changing, changing, Errors(), 0.1), NotEnough)


@pytest.mark.parametrize("effect", [0.0, -1.0, nan, inf])
def test_no_effect_is_refused(effect: float) -> None:
    """A test between two equal points decides nothing."""
    with pytest.raises(ValueError, match="an effect is above 0"):
        compare(metric("mean"), Aggregate(), Aggregate(), Errors(), effect)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.1), (0.1, 1.0), (0.5, 0.5), (nan, 0.1)])
def test_errors_that_make_no_test_are_refused(alpha: float, beta: float) -> None:
    """By their values."""
    with pytest.raises(ValueError, match="errors lie between 0 and 1"):
        Errors(alpha, beta)


def test_callers_mistakes_are_refused() -> None:
    """Each with its value."""
    errors = Errors()
    with pytest.raises(ValueError, match="chances lie between 0 and 1"):
        bernoulli(1, 2, 0.1, 0.1)
    with pytest.raises(ValueError, match="3 successes of 2"):
        bernoulli(3, 2, 0.1, 0.2)
    with pytest.raises(ValueError, match="deviation"):
        normal(1.0, 2, 0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="a variance is above 0"):
        difference(1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="mean evidence"):
        expected(errors, 0.1, 0.2)
    with pytest.raises(ValueError, match="a deviation"):
        expected_normal(errors, 0.0, 1.0, nan)
    with pytest.raises(ValueError, match="no likelihood ratio of quantiles"):
        compare(metric("quantile", q=0.5), Aggregate(), Aggregate(), errors, 0.1)
    with pytest.raises(ValueError, match="evidence is a number"):
        decide(nan, errors)


@pytest.mark.parametrize("truth", [0.0, 0.1])
def test_errors_are_kept(truth: float) -> None:
    """Of 2000 tests of a normal mean, after each observation: wrong at most as often as Wald's bounds say."""
    random, errors, runs = np.random.default_rng(3), Errors(0.05, 0.1), 2000
    sums = random.normal(truth, 1, (runs, 3000)).cumsum(axis=1)
    evidence = 0.1 * (sums - np.arange(1, 3001) * 0.05)
    upper, lower = (
        np.where(hit.any(axis=1), hit.argmax(axis=1), 10**6)
        for hit in (evidence >= errors.upper, evidence <= errors.lower)
    )
    wrong = (upper < lower).sum() if truth == 0 else (lower < upper).sum()
    bound = errors.alpha / (1 - errors.beta) if truth == 0 else errors.beta / (1 - errors.alpha)
    assert runs * 0.02 < wrong <= binom.ppf(1 - 1e-6, runs, bound)
