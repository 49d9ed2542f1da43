"""Effects of bandits by propensity-weighted sums: what they estimate, what is refused, how often they are wrong.

The simulation is seeded. Its false-alarm budget: the count of wrong verdicts is held to the number that a binomial
variable with chance 0.05, and 0.01 more for being asymptotic, exceeds once in a million times.
"""

from math import inf

import numpy as np
import pytest
from scipy.stats import binom

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.config.metric import Covariate
from router.inference import confidence_sequence
from router.inference.adaptive import METHOD, compare, weighed
from router.inference.always_valid import CHANGING
from router.inference.effect import Asked, Effect
from tests.inference.sums import Floats, metric, moments

MEAN = metric("mean")


def _arm(y: Floats, propensity: Floats | float, x: Floats | None = None) -> Aggregate:
    weights = np.ones_like(y) / propensity
    size = np.ones_like(y) if x is None else x
    return Aggregate(units=moments(y, x), weighted=moments(weights * y, weights * size))


def _compared(found: Effect | NotEnough) -> Effect:
    assert isinstance(found, Effect)
    return found


def test_equal_weights_are_an_ordinary_comparison() -> None:
    """With the same propensity throughout, the same effect, error and interval."""
    random = np.random.default_rng(1)
    y = random.normal(3, 1, (2, 500))
    found = _compared(compare(MEAN, _arm(y[0], 0.5), _arm(y[1], 0.5), Asked()))
    plain = _compared(confidence_sequence.compare(MEAN, _arm(y[0], 0.5), _arm(y[1], 0.5), Asked()))
    assert (found.value, found.standard_error) == pytest.approx((plain.value, plain.standard_error))
    assert found.interval.high == pytest.approx(plain.interval.high)
    assert (found.method, found.basis, found.exact) == (METHOD, "always valid", False)


def test_a_unit_weighs_as_its_arm_was_unlikely() -> None:
    """A first half at 0.9 and a second at 0.1 count alike, whatever their numbers."""
    y = np.repeat([0.0, 1.0], [900, 100]) + np.tile([-0.1, 0.1], 500)
    found = weighed(_arm(y, np.repeat([0.9, 0.1], [900, 100])))
    assert not isinstance(found, NotEnough)
    assert found.value == pytest.approx(0.5)


def test_a_ratio_divides_by_its_weighted_denominator() -> None:
    """As its definition says."""
    random = np.random.default_rng(2)
    x: Floats = random.poisson(3, 400).astype(np.float64) + 1.0
    found = weighed(_arm(0.25 * x, random.uniform(0.2, 0.8, 400), x))
    assert not isinstance(found, NotEnough)
    assert found.value == pytest.approx(0.25)


def test_relabelled_arms_negate_the_effect() -> None:
    """And keep p."""
    random = np.random.default_rng(3)
    arms = _arm(random.exponential(1, 400), 0.3), _arm(random.exponential(1, 900), 0.7)
    one, two = _compared(compare(MEAN, *arms, Asked())), _compared(compare(MEAN, *arms[::-1], Asked()))
    assert (one.value, one.p) == pytest.approx((-two.value, two.p))


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Aggregate(), "no units"),
        (Aggregate(immature=4), "no unit is mature yet"),
        (Aggregate(units=Moments(500, 1.0, 1.0)), "500 of 500 have no propensity, so shares are not known"),
        (_arm(np.arange(99.0), 0.5), "99 units, and a sequential test begins at 100"),
        (
            _arm(np.arange(500.0), np.repeat([1e-5, 1.0], [1, 499])),
            "its weights are so unequal that it is worth 1.0 units, and it takes 50",
        ),
        (
            Aggregate(units=Moments(500, 1.0, 1.0), weighted=Moments(500, inf, inf, 1.0, 1.0, 1.0)),
            "its weighted sums are not finite, or its denominator is 0",
        ),
        (
            Aggregate(units=Moments(500, 1.0, 1.0), weighted=Moments(500, 1.0, 1.0), provisional=True),
            CHANGING,
        ),
    ],
)
def test_too_little_is_not_enough(known: Aggregate, reason: str) -> None:
    """Said with the reason, and of which arm."""
    found = compare(MEAN, known, _arm(np.arange(500.0), 0.5), Asked())
    assert isinstance(found, NotEnough)
    assert found.reason == f"treatment: {reason}"


def test_what_does_not_vary_is_not_enough() -> None:
    """And neither is a quantile, which has no weighted sums."""
    constant = _arm(np.full(500, 0.1), 0.5)
    assert isinstance(compare(MEAN, constant, constant, Asked()), NotEnough)
    assert isinstance(compare(metric("quantile", q=0.5), constant, constant, Asked()), NotEnough)


def test_a_covariate_is_said_to_be_left_out() -> None:
    """Weighted sums hold none."""
    random = np.random.default_rng(4)
    with_covariate = metric("mean", covariate=Covariate(outcome="value", before=1.0))
    arms = [_arm(random.normal(1, 1, 300), 0.5) for _ in range(2)]
    found = _compared(compare(with_covariate, arms[0], arms[1], Asked()))
    assert any("covariate was not used" in note for note in found.notes)


def test_it_is_wrong_little_more_often_than_promised_under_a_bandit() -> None:
    """Of 300 Thompson bandits with equal arms and a floor of 5 %, looked at in each of 40 batches of 100 units."""
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        sums = np.zeros((2, 5))
        posterior = np.ones((2, 2))
        units = np.zeros(2, dtype=int)
        rejected = False
        for _batch in range(40):
            draws = random.beta(posterior[:, 0, None], posterior[:, 1, None], (2, 200))
            share = 0.05 + 0.9 * float((draws[0] > draws[1]).mean())
            for side, propensity in enumerate((share, 1 - share)):
                n = round(100 * propensity)
                hits = int(random.binomial(n, 0.3))
                w = 1 / propensity
                sums[side] += (w * hits, w * w * hits, w * n, w * w * n, w * w * hits)
                posterior[side] += (hits, n - hits)
                units[side] += n
            arms = [
                Aggregate(units=Moments(int(n), 0.0, 0.0), weighted=Moments(int(n), *map(float, each)))
                for n, each in zip(units, sums, strict=True)
            ]
            found = compare(MEAN, arms[0], arms[1], Asked())
            rejected |= isinstance(found, Effect) and (found.p or 1) <= 0.05
        wrong += rejected
    assert wrong <= binom.ppf(1 - 1e-6, 300, 0.06)
