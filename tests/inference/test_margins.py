"""Questions about margins: verdicts read intervals, p-values are those of the textbook tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind

from router.analysis.estimate import NotEnough
from router.inference import fixed
from router.inference.effect import Asked, Effect, Interval, Relative
from router.inference.margins import Judged, Margin, by_inversion, equivalent, non_inferior, superior
from tests.inference.arms import MEAN, PROPORTION, arm, successes

RANDOM = np.random.default_rng(3)
ONE, TWO = RANDOM.normal(10.2, 1, 80), RANDOM.normal(10, 1.5, 70)


def effect(asked: Asked = Asked(0.1)) -> Effect:  # noqa: B008 - frozen
    """Return the effect of the two samples."""
    found = fixed.compare(MEAN, arm(ONE), arm(TWO), asked)
    assert isinstance(found, Effect)
    return found


def judged(found: Judged | NotEnough) -> Judged:
    """Return a judgement that there is."""
    assert isinstance(found, Judged)
    return found


def test_one_sided_p_values_are_those_of_shifted_t_tests() -> None:
    """Non-inferiority and superiority by a margin shift one arm; with a goal of down, the other way."""
    for margin, found, shift, side in (
        (0.5, non_inferior(effect(), Margin(0.5), "up"), 0.5, "greater"),
        (0.1, superior(effect(), Margin(0.1), "up"), -0.1, "greater"),
        (0.5, non_inferior(effect(), Margin(0.5), "down"), -0.5, "less"),
        (0.1, superior(effect(), Margin(0.1), "down"), 0.1, "less"),
    ):
        expected = stats.ttest_ind(ONE + shift, TWO, equal_var=False, alternative=side).pvalue
        assert judged(found).p == pytest.approx(expected), margin


def test_equivalence_takes_the_larger_p() -> None:
    """TOST is statsmodels' with unequal variances, and passes when the interval at 1 - 2 alpha is within."""
    for margin in (0.2, 0.6, 1.0):
        expected, lower, upper = ttost_ind(ONE, TWO, -margin, margin, usevar="unequal")
        found = judged(equivalent(effect(), Margin(margin)))
        assert found.p == pytest.approx(expected)
        assert found.p == pytest.approx(max(lower[1], upper[1]))
        assert (found.verdict == "pass") == (expected < 0.05)


@given(st.floats(-2, 2), st.floats(0.01, 2), st.floats(0, 2), st.sampled_from(["up", "down"]))
def test_verdicts_exclude_each_other(value: float, width: float, margin: float, goal: str) -> None:
    """What fails non-inferiority is not superior; relabelled with the other goal it is the same question."""
    found = structs.replace(effect(), value=value, interval=Interval(value - width, value + width))
    mirrored = structs.replace(effect(), value=-value, interval=Interval(-value - width, -value + width))
    other = "down" if goal == "up" else "up"
    lower, upper = (judged(ask(found, Margin(margin), goal)) for ask in (non_inferior, superior))  # type: ignore[arg-type]
    assert judged(non_inferior(mirrored, Margin(margin), other)).verdict == lower.verdict  # type: ignore[arg-type]
    assert not (lower.verdict == "fail" and upper.verdict == "pass")
    if upper.verdict == "pass":
        assert lower.verdict == "pass"


def test_an_unbounded_side_passes_nothing() -> None:
    """An interval without an end is never beyond a margin there."""
    found = structs.replace(effect(), interval=Interval(None, 0.1))
    assert judged(non_inferior(found, Margin(0.2), "up")).verdict == "inconclusive"
    assert judged(non_inferior(found, Margin(0.2), "down")).verdict == "pass"


def test_relative_margins_read_the_relative_interval() -> None:
    """A ratio of 2 is a margin of 100 %; without a relative effect there is no answer."""
    found = effect()
    assert isinstance(found.relative, Relative)
    assert judged(non_inferior(found, Margin(1.0, relative=True), "down")).verdict == "pass"
    assert judged(non_inferior(found, Margin(0.0001, relative=True), "down")).verdict != "pass"
    without = structs.replace(found, relative=NotEnough("control's value is 0", 7))
    assert non_inferior(without, Margin(1.0, relative=True), "down") == NotEnough("control's value is 0", 7)


def test_inversion_gives_the_p_of_any_method() -> None:
    """Of means it is the t-test's; of proportions without a margin, half of the z-test's two-sided p."""
    by_t = judged(by_inversion(effect, Margin(0.5), "up", "non-inferior"))
    assert by_t.p == pytest.approx(judged(non_inferior(effect(), Margin(0.5), "up")).p, rel=1e-6)
    arms = successes(130, 1000), successes(100, 1000)
    plain = fixed.compare(PROPORTION, *arms, Asked())
    assert isinstance(plain, Effect)
    assert plain.p is not None
    for goal, expected in (("up", plain.p / 2), ("down", 1 - plain.p / 2)):
        found = by_inversion(
            lambda asked: fixed.compare(PROPORTION, *arms, asked),
            Margin(0.0),
            goal,  # type: ignore[arg-type]
            "superior",
        )
        assert judged(found).p == pytest.approx(expected, rel=1e-6)


def test_inversion_knows_when_there_is_no_effect() -> None:
    """What cannot be said stays so."""
    nothing = NotEnough("no units", 0)
    assert by_inversion(lambda _: nothing, Margin(1.0), "up", "equivalent") == nothing


def test_inversion_of_what_is_on_the_line_is_a_half() -> None:
    """And there is no p where narrower intervals cannot be had, or relative effects."""
    found = effect()
    exact = by_inversion(effect, Margin(abs(found.value)), "up" if found.value > 0 else "down", "superior")
    assert judged(exact).p == 0.5
    fails = judged(
        by_inversion(lambda asked: found if asked.alpha < 0.9 else NotEnough("", 0), Margin(1.0), "up", "superior")
    )
    assert fails.p is None
    without = structs.replace(found, relative=NotEnough("control's value is 0", 7))
    assert by_inversion(lambda _: without, Margin(1.0, relative=True), "up", "superior") == without.relative


def test_margins_that_are_no_distance_are_refused() -> None:
    """Negative, infinite and, of equivalence, empty margins are mistakes."""
    for value in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="a margin"):
            Margin(value)
    with pytest.raises(ValueError, match="equivalent"):
        equivalent(effect(), Margin(0.0))
