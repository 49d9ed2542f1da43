"""Group-sequential monitoring: boundaries at real information, looks that count, verdicts, intervals, error rates.

The simulation is seeded. Its false-alarm budget: the count of wrong verdicts is held to the number that a binomial
variable of the promised probability exceeds once in a million times.
"""

from math import inf, nan, sqrt
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import binom, multivariate_normal, norm

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.inference.boundaries import Level, evenly, spending_boundaries
from router.inference.effect import Asked, Interval
from router.inference.fixed import compare
from router.inference.futility import Futility, with_futility
from router.inference.monitor import Look, Plan, Verdict, bounds, judge, look_at, not_due
from router.inference.spending import Spending
from router.inference.stagewise import Walked, stagewise
from tests.inference.sums import arm, metric


def _plan(**given: Any) -> Plan:
    return Plan(**{"goal": "up", "information": evenly(5), **given})


def _at(shares: tuple[float, ...], *zs: float) -> list[Look]:
    """Return looks with given z, each standard error being that of its share."""
    return [Look(share, z / sqrt(share), 1 / sqrt(share)) for share, z in zip(shares, zs, strict=True)]


def _decisions(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [verdict.decision for verdict in verdicts]


@pytest.mark.parametrize("sides", [1, 2])
def test_boundaries_at_planned_looks_are_those_of_the_design(sides: Any) -> None:
    """At every look, with every look before it."""
    plan = _plan(level=Level(0.025 * sides, sides))
    design = spending_boundaries(plan.level, plan.spending, plan.information)
    verdicts = judge(plan, _at(plan.information, 0, 0, 0, 0, 0))
    assert [verdict.upper for verdict in verdicts] == pytest.approx(design.upper)
    assert [verdict.alpha_spent for verdict in verdicts] == pytest.approx(design.alpha_spent)
    assert _decisions(verdicts) == ["continue"] * 4 + ["inconclusive"]


def test_boundaries_are_those_of_the_information_that_there_was() -> None:
    """At shares other than planned, and with more data than planned at the end."""
    plan = _plan(information=(0.3, 0.6, 1.0))
    shares = (0.35, 0.71, 1.08)
    verdicts = judge(plan, _at(shares, 0, 0, 0))
    design = spending_boundaries(plan.level, plan.spending, shares)
    assert [verdict.upper for verdict in verdicts] == pytest.approx(design.upper)


def test_an_earlier_look_is_not_changed_by_later_ones() -> None:
    """Its verdict is the same whatever follows."""
    looks = _at((0.2, 0.44, 0.6, 0.83, 1.0), 0.1, 1.0, 1.5, 1.9, 2.2)
    whole = judge(_plan(), looks)
    assert all(judge(_plan(), looks[:count]) == whole[:count] for count in range(1, 6))


def test_spending_is_by_share_and_correlation_by_information() -> None:
    """Half of the time with a tenth of the units: what is spent is by time, and looks are less alike than by time."""
    plan = _plan(information=(0.5, 1.0), level=Level(0.025, 1))
    looks = [Look(0.5, 0.0, 1.0, 100.0), Look(1.0, 0.0, 0.3, 1000.0)]
    first, last = judge(plan, looks)
    assert first.alpha_spent == pytest.approx(
        spending_boundaries(plan.level, plan.spending, plan.information).alpha_spent[0]
    )
    assert first.upper is not None
    assert last.upper is not None
    joint = multivariate_normal([0, 0], [[1, sqrt(0.1)], [sqrt(0.1), 1]])
    rejected = norm.sf(first.upper) + norm.cdf(first.upper) - joint.cdf([first.upper, last.upper])
    assert rejected == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize(
    ("goal", "z", "expected"),
    [("up", 5.0, "efficacy"), ("up", -5.0, "harm"), ("down", 5.0, "harm"), ("down", -5.0, "efficacy")],
)
def test_better_and_worse_are_by_the_goal(goal: Any, z: float, expected: str) -> None:
    """Less of what should be less is better."""
    assert _decisions(judge(_plan(goal=goal), _at((0.4,), z))) == [expected]


def test_moments_between_looks_are_ignored() -> None:
    """They say when the next look is, and do not change what counts."""
    plan = _plan()
    verdicts = judge(plan, _at((0.1, 0.2, 0.3, 0.4), 9.0, 1.0, 9.0, 1.0))
    assert _decisions(verdicts) == ["ignored", "continue", "ignored", "continue"]
    assert verdicts[0].reason == "the next look is at 20.0% of the data, and there are 10.0%"
    assert verdicts[2].repeated == Interval(None, None)
    assert verdicts[3] == judge(plan, _at((0.2, 0.4), 1.0, 1.0))[1]


def test_nothing_counts_after_the_test_stopped() -> None:
    """What crosses no boundary later does not take a verdict back."""
    verdicts = judge(_plan(), _at((0.6, 0.8), 4.0, 0.0))
    assert _decisions(verdicts) == ["efficacy", "ignored"]
    assert verdicts[1].reason == "the test ended at look 1"


def test_nothing_counts_after_the_last_look_or_without_more_information() -> None:
    """Each with its reason."""
    whole = judge(_plan(), _at((1.0, 1.2), 0.5, 9.0))
    assert _decisions(whole) == ["inconclusive", "ignored"]
    taken = [Look(0.2, 0.0, 1.0, 50.0)]
    assert not_due(_plan(), taken, Look(0.4, 0.0, 1.0, 50.0)) == "no information was added since the look before"
    assert not_due(_plan(), taken, Look(0.4, 0.0, 1.0, 60.0)) is None
    assert not_due(_plan(), [Look(1.0, 0.0, 1.0)], Look(1.1, 0.0, 1.0)) == "all planned looks were taken"


def test_a_test_that_ends_early_spends_what_is_left() -> None:
    """The last boundary is that of a look at all data, as correlated as the data there are."""
    plan = _plan(information=(0.5, 1.0), level=Level(0.05, 2))
    looks = _at((0.5, 0.8), 0.0, 2.0)
    last = judge(plan, looks, ended=True)[-1]
    design = spending_boundaries(plan.level, plan.spending, (0.5, 0.8), last=True)
    assert last.upper == pytest.approx(design.upper[-1])
    assert last.alpha_spent == pytest.approx(0.05)
    assert last.decision == ("efficacy" if last.upper is not None and last.upper <= 2.0 else "inconclusive")
    assert _decisions(judge(plan, looks)) == ["continue", "ignored"]


def test_futility_is_that_of_the_design() -> None:
    """At planned looks; it does not bind, so the boundary for efficacy is the same without it."""
    level, futility = Level(0.025, 1), Futility(0.9, Spending("obrien_fleming"))
    plan = _plan(level=level, futility=futility, information=(0.3, 0.6, 1.0))
    design = with_futility(spending_boundaries(level, plan.spending, plan.information), futility, plan.spending)
    verdicts = judge(plan, _at(plan.information, 1.5, 1.5, 1.5))
    assert [verdict.lower for verdict in verdicts[:2]] == pytest.approx(design.lower[:2])
    without = judge(_plan(level=level, information=(0.3, 0.6, 1.0)), _at(plan.information, 1.5, 1.5, 1.5))
    assert [verdict.upper for verdict in verdicts] == [verdict.upper for verdict in without]
    assert _decisions(judge(plan, _at((0.3, 0.6), 1.5, 0.0))) == ["continue", "futility"]


def test_repeated_intervals_reach_as_far_as_the_boundary() -> None:
    """One side of a one-sided test has no bound; a look that may spend nothing has no interval."""
    two = judge(_plan(), _at((0.4,), 1.0))[0]
    assert two.upper is not None
    assert two.repeated.high == pytest.approx((1.0 + two.upper) / sqrt(0.4))
    one = judge(_plan(level=Level(0.025, 1), goal="down"), _at((0.4,), 1.0))[0]
    assert one.upper is not None
    assert one.repeated.low is None
    assert one.repeated.high == pytest.approx((1.0 + one.upper) / sqrt(0.4))


def test_after_one_look_the_ordering_is_that_of_a_z_test() -> None:
    """p, estimate and interval of a fixed horizon."""
    found = judge(_plan(information=(1.0,)), _at((1.0,), 1.2))[0].adjusted
    assert found is not None
    assert found.p == pytest.approx(2 * norm.sf(1.2))
    assert found.estimate == pytest.approx(1.2, abs=1e-6)
    assert found.interval.low == pytest.approx(1.2 - norm.isf(0.025), abs=1e-6)
    assert found.interval.high == pytest.approx(1.2 + norm.isf(0.025), abs=1e-6)


@pytest.mark.parametrize("z", [0.5, 2.3, 4.0])
def test_p_after_two_looks_is_the_probability_of_more_extreme_ends(z: float) -> None:
    """By the bivariate normal distribution: the upper boundary at the first look, or as much at the second."""
    found = stagewise(Walked((0.5, 1.0), (2.8, 1.98), z, 1), 0.025)
    assert found is not None
    joint = multivariate_normal([0, 0], [[1, sqrt(0.5)], [sqrt(0.5), 1]])
    assert found.p == pytest.approx(norm.sf(2.8) + norm.cdf(2.8) - joint.cdf([2.8, z]), abs=1e-6)
    assert found.low < found.middle < found.high


def test_the_interval_after_stopping_agrees_with_the_verdict() -> None:
    """It leaves 0 out exactly when a boundary was crossed."""
    plan = _plan(information=(0.5, 1.0))
    for z in (1.9, 2.05, -2.5, 0.0):
        verdict = judge(plan, _at((0.5, 1.0), 0.3, z))[-1]
        assert verdict.adjusted is not None
        assert verdict.adjusted.interval.holds(0) is (verdict.decision == "inconclusive")
        assert (verdict.adjusted.p > 0.05) is (verdict.decision == "inconclusive")


def test_a_look_is_made_of_a_fixed_horizon_effect() -> None:
    """Whose standard error it takes; what has none is no look."""
    random = np.random.default_rng(1)
    effect = compare(metric("mean"), arm(random.normal(1, 1, 100)), arm(random.normal(1, 1, 100)), Asked())
    found = look_at(effect, 0.5, 200.0)
    assert isinstance(found, Look)
    assert found.amount == 200.0
    refused = look_at(compare(metric("mean"), Aggregate(), Aggregate(), Asked()), 0.5)
    assert isinstance(refused, NotEnough)


def test_what_is_printed_is_json() -> None:
    """However extreme: without infinities."""
    encoded = msgspec.json.encode(judge(_plan(), _at((1e-6, 0.2), 0.0, 1e6)))
    assert b"Infinity" not in encoded
    assert b"NaN" not in encoded


@pytest.mark.parametrize(
    "bad", [(0.0, 1.0, 1.0), (0.5, nan, 1.0), (0.5, 1.0, 0.0), (0.5, 1.0, inf), (inf, 1.0, 1.0), (0.5, 1.0, 1.0, 0.0)]
)
def test_what_is_no_look_is_refused(bad: tuple[float, ...]) -> None:
    """By its numbers."""
    with pytest.raises(ValueError, match="no look has a value"):
        Look(*bad)


def test_what_is_no_plan_is_refused() -> None:
    """A last look before all data, futility that binds, or of a two-sided test."""
    with pytest.raises(ValueError, match="the last look is at all data"):
        _plan(information=(0.5, 0.9))
    with pytest.raises(ValueError, match="does not bind"):
        _plan(futility=Futility())
    with pytest.raises(ValueError, match="does not bind"):
        _plan(level=Level(0.025, 1), futility=Futility(binding=True))


def test_it_is_wrong_no_more_often_than_promised_at_unequal_looks() -> None:
    """Of 20,000 tests without an effect, at five looks that came late by chance: at most 5 %."""
    random = np.random.default_rng(2)
    shares, plan, wrong = (0.23, 0.41, 0.66, 0.8, 1.04), _plan(), 0
    found = bounds(plan, [Look(share, 0.0, 1.0) for share in shares])
    upper = np.array([inf if bound is None else bound for bound in found.upper])
    steps = random.normal(size=(20_000, 5)) * np.sqrt(np.diff((0, *shares)))
    wrong = int((np.abs(steps.cumsum(axis=1) / np.sqrt(shares)) >= upper).any(axis=1).sum())
    assert binom.ppf(1e-6, 20_000, 0.05) <= wrong <= binom.ppf(1 - 1e-6, 20_000, 0.05)
