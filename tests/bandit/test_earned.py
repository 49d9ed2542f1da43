"""Sums of rewards: they merge, age, and are turned into rewards of which more is better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bandit.earned import Earned, Sums, even

VALUES = st.lists(st.floats(-100, 100), max_size=8)


def sums(values: list[float]) -> Sums:
    """Add values up."""
    return Sums(len(values), float(len(values)), math.fsum(values), math.fsum(value * value for value in values))


def close(one: Sums, other: Sums) -> bool:
    """Say whether sums are the same but for rounding."""
    return one.count == other.count and all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=1e-9, abs_tol=1e-6)
        for name in ("weight", "total", "squares")
    )


@given(VALUES, VALUES, VALUES)
def test_sums_merge_in_any_order(one: list[float], two: list[float], three: list[float]) -> None:
    """Parts in any order are the whole, and nothing adds nothing."""
    left = sums(one).merge(sums(two)).merge(sums(three))
    assert close(left, sums(three).merge(sums(one).merge(sums(two))))
    assert close(left, sums([*one, *two, *three]))
    assert left.merge(Sums()) == left


@given(VALUES, VALUES, st.floats(0, 50), st.floats(0, 50))
def test_what_was_added_up_ages_as_its_parts_do(one: list[float], two: list[float], first: float, more: float) -> None:
    """Sums that are kept and age step by step are those that are computed anew."""
    step = sums(one).aged(first, 10.0).merge(sums(two)).aged(more, 10.0)
    whole = sums(one).aged(first + more, 10.0).merge(sums(two).aged(more, 10.0))
    assert close(step, whole)


def test_an_observation_counts_half_after_its_half_life() -> None:
    """Weight, total and squares are halved; how many there were is not."""
    assert sums([2.0, 4.0]).aged(10.0, 10.0) == Sums(2, 1.0, 3.0, 10.0)
    assert sums([2.0]).aged(10.0, None) == sums([2.0])
    assert sums([2.0]).aged(-5.0, 10.0) == sums([2.0])


@given(VALUES)
def test_a_range_is_turned_round_when_less_is_better(values: list[float]) -> None:
    """A value becomes its share of the way from the worst to the best."""
    assert close(sums(values).scaled(100.0, -100.0), sums([(100.0 - value) / 200.0 for value in values]))


def test_mean_and_spread_are_those_of_the_values() -> None:
    """A mean is of what there is; without observations there is none, and a spread is never below 0."""
    assert (sums([1.0, 3.0]).mean, sums([1.0, 3.0]).spread) == (2.0, 2.0)
    assert (Sums().mean, Sums().spread) == (None, 0.0)
    assert sums([0.1] * 3).spread >= 0


@pytest.mark.parametrize("wrong", [(1, math.nan), (1, math.inf), (-1, 0.0), (1, -1.0)])
def test_what_are_no_sums_is_refused(wrong: tuple[int, float]) -> None:
    """Infinite, missing and negative ones are a caller's mistake."""
    with pytest.raises(ValueError, match=r"not below 0|finite"):
        Sums(wrong[0], wrong[1])


def test_a_range_without_width_and_no_arms_are_refused() -> None:
    """Nothing is divided by 0."""
    with pytest.raises(ValueError, match="no width"):
        Sums().scaled(1.0, 1.0)
    with pytest.raises(ValueError, match="no arms"):
        even({})


def test_an_arm_that_is_not_known_has_earned_nothing() -> None:
    """A new arm begins with empty sums."""
    assert Earned({"a": sums([1.0])}, bounded=True).of(("a", "b")).arms["b"] == Sums()
