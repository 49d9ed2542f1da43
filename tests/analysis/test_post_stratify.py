"""Estimates weighted by strata: the textbook's, and a reason where there is none."""

from math import sqrt
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analysis.aggregates import Aggregate, Cell, Moments, Place
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.analysis.post_stratify import by_arm, post_stratified
from tests.analysis.test_estimate import MEAN, PAIRS, QUANTILE, RATIO, sums

STRATA = st.lists(st.tuples(PAIRS, st.integers(0, 40)), min_size=1, max_size=4)
TWO = Aggregate(units=Moments(2, 2.0, 2.0))
CLUSTERED = Aggregate(units=Moments(2, 2.0, 2.0), clusters=Moments(1, 2.0, 4.0, 2.0, 4.0, 4.0))


@given(STRATA)
def test_a_mean_is_weighted_by_the_units_of_all_arms(strata: list[tuple[list[tuple[float, float]], int]]) -> None:
    """Each stratum counts with its share among all units, whatever this arm's mix; so does its variance."""
    levels = [(Aggregate(units=sums(pairs)), len(pairs) + others) for pairs, others in strata]
    found = post_stratified(MEAN, levels)
    whole = sum(size for _, size in levels)
    shares = [size / whole for _, size in levels]
    values = [[y for y, _ in pairs] for pairs, _ in strata]
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(sum(share * fmean(ys) for share, ys in zip(shares, values, strict=True)))
    spread = sum(share**2 * variance(ys) / len(ys) for share, ys in zip(shares, values, strict=True))
    assert found.standard_error == pytest.approx(sqrt(spread), abs=1e-6)


@given(PAIRS)
def test_one_stratum_changes_nothing(pairs: list[tuple[float, float]]) -> None:
    """With a single stratum the plain estimate and its standard error come out, for means and ratios alike."""
    known = Aggregate(units=sums(pairs))
    for metric in (MEAN, RATIO):
        found, plain = post_stratified(metric, [(known, len(pairs))]), estimate(metric, known)
        assert isinstance(found, Estimate)
        assert isinstance(plain, Estimate)
        assert found.value == pytest.approx(plain.value)
        assert found.standard_error == pytest.approx(plain.standard_error, abs=1e-6)


def test_an_imbalance_of_strata_is_undone() -> None:
    """Two arms with equal values within strata are equal, however the strata fell."""

    def cell(units: int, each: float) -> Cell:
        return Cell(units=units, metrics={"m": Aggregate(units=Moments(units, units * each, units * each * each))})

    cells = {
        Place(1, 1, arm, ("tier",), (tier,)): cell(units, value)
        for arm, tier, units, value in [
            ("a", "gold", 90, 10.0),
            ("a", "iron", 10, 1.0),
            ("b", "gold", 10, 10.0),
            ("b", "iron", 90, 1.0),
        ]
    }
    found = by_arm(MEAN, cells, ("tier",))
    assert [each.value for each in found.values() if isinstance(each, Estimate)] == pytest.approx([5.5, 5.5])


@pytest.mark.parametrize(
    ("metric", "levels", "reason"),
    [
        (QUANTILE, [(TWO, 4)], "quantiles"),
        (MEAN, [(TWO, 4), (Aggregate(), 3)], "a stratum has no value"),
        (MEAN, [], "a stratum has no value"),
        (
            MEAN,
            [(CLUSTERED, 4)],
            "several users",
        ),
        (RATIO, [(TWO, 4)], "denominator"),
    ],
)
def test_where_there_is_none_there_is_a_reason(
    metric: object, levels: list[tuple[Aggregate, int]], reason: str
) -> None:
    """Never 0, nan or the estimate of other units."""
    found = post_stratified(metric, levels)  # type: ignore[arg-type]
    assert isinstance(found, NotEnough)
    assert reason in found.reason


def test_one_unit_has_no_standard_error() -> None:
    """A stratum of a single unit says nothing about spread."""
    found = post_stratified(MEAN, [(Aggregate(units=Moments(1, 3.0, 9.0)), 2), (TWO, 2)])
    assert found == Estimate(2.0, None, 3)
