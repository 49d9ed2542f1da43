"""Effects within strata: weighted by all arms together, robust to their mix by chance."""

import numpy as np
import pytest

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.inference import fixed, strata
from router.inference.effect import Asked, Effect
from tests.inference.arms import MEAN, RATIO, arm, clustered

ASKED = Asked()
RANDOM = np.random.default_rng(4)
VALUES = [[RANDOM.normal(level * 10 + side, 1 + level, 30 + 10 * level) for level in range(3)] for side in (1, 0)]
Strata = dict[tuple[str, ...], Aggregate]
ARMS: list[Strata] = [{(str(level),): arm(values) for level, values in enumerate(side)} for side in VALUES]


def effect(found: Effect | NotEnough) -> Effect:
    """Return an effect that there is."""
    assert isinstance(found, Effect), found
    return found


def test_one_stratum_is_no_stratum() -> None:
    """Of one stratum everything is as without."""
    one, two = (arm(np.concatenate(side)) for side in VALUES)
    found, plain = (
        effect(strata.compare(MEAN, {(): one}, {(): two}, ASKED)),
        effect(fixed.compare(MEAN, one, two, ASKED)),
    )
    assert found.value == pytest.approx(plain.value)
    assert found.p == pytest.approx(plain.p)
    assert found.degrees_of_freedom == pytest.approx(plain.degrees_of_freedom)


def test_the_effect_is_the_weighted_mean_of_those_within_strata() -> None:
    """Weights are shares of both arms, variances add up by their squares; far tighter than without strata."""
    found = effect(strata.compare(MEAN, ARMS[0], ARMS[1], ASKED))
    weights = np.array([60, 80, 100]) / 240
    differences = [one.mean() - two.mean() for one, two in zip(*VALUES, strict=True)]
    variance = sum(
        weight**2 * (one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two))
        for weight, one, two in zip(weights, *VALUES, strict=True)
    )
    assert found.value == pytest.approx(weights @ differences)
    assert found.standard_error == pytest.approx(np.sqrt(variance))
    plain = effect(fixed.compare(MEAN, *(arm(np.concatenate(side)) for side in VALUES), ASKED))  # type: ignore[call-arg,arg-type]
    assert plain.standard_error is not None
    assert found.standard_error is not None
    assert found.standard_error < plain.standard_error / 2


def test_relabelled_strata_negate_the_effect() -> None:
    """Exactly, in whatever order strata come."""
    there = effect(strata.compare(MEAN, ARMS[0], ARMS[1], ASKED))
    back = effect(strata.compare(MEAN, dict(reversed(ARMS[1].items())), ARMS[0], ASKED))
    assert (there.value, there.p) == (-back.value, back.p)


def test_weights_may_be_those_of_more_arms() -> None:
    """With a third arm the mix is that of all."""
    found = effect(strata.compare(MEAN, ARMS[0], ARMS[1], ASKED, {("0",): 1000, ("1",): 0, ("2",): 0}))
    assert found.value == pytest.approx(VALUES[0][0].mean() - VALUES[1][0].mean())


def test_ratios_have_strata_too() -> None:
    """Numerators and denominators are weighted each."""
    arms: list[Strata] = [
        {(str(level),): arm(values + 50, range(1, len(values) + 1)) for level, values in enumerate(side)}
        for side in VALUES
    ]
    found = effect(strata.compare(RATIO, arms[0], arms[1], ASKED))
    assert found.method == "post-stratified t"
    assert found.standard_error is not None


@pytest.mark.parametrize(
    ("stratum", "reason"),
    [
        (Aggregate(), "a stratum has no value"),
        (arm([1.0]), "a stratum has one unit"),
        (Aggregate(units=Moments(9, float("nan"), 1.0)), "not finite"),
        (clustered([[1.0], [2.0]]), "several users"),
        (Aggregate(units=Moments(4, 1e152, 1e307)), "too large"),
    ],
)
def test_a_poor_stratum_says_why(stratum: Aggregate, reason: str) -> None:
    """An arm without a unit in a stratum has no effect, rather than one of other units."""
    poor: Strata = {**ARMS[0], ("0",): stratum}
    for one, two in ((poor, ARMS[1]), (ARMS[1], poor)):
        found = strata.compare(MEAN, one, two, ASKED)
        assert isinstance(found, NotEnough)
        assert reason in found.reason


def test_strata_that_do_not_vary_are_no_evidence() -> None:
    """Constants within strata have no spread; nor has nobody."""
    constant: Strata = {(str(level),): arm([float(level) + 0.1] * 20) for level in range(3)}
    assert isinstance(strata.compare(MEAN, constant, constant, ASKED), NotEnough)
    assert isinstance(strata.compare(MEAN, {}, {}, ASKED), NotEnough)
