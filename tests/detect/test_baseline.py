"""What a stream is like: laws, references and hostile values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from router.detect.baseline import MEMORY, Baseline, measured, normal_score
from router.detect.share import Usual


@pytest.mark.parametrize("degrees", [10, 30, 59, 500])
@pytest.mark.parametrize("t", [-4.0, -1.0, 0.0, 0.5, 2.0, 3.0])
def test_the_normal_score_of_a_t_value_is_that_of_its_probability(t: float, degrees: int) -> None:
    """Wallace's approximation agrees with scipy's distributions to 0.02."""
    assert normal_score(t, degrees) == pytest.approx(stats.norm.ppf(stats.t.cdf(t, degrees)), abs=0.02)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_mean_and_deviation_are_those_of_the_points(values: list[float]) -> None:
    """Nothing is lost by adding up one at a time, as long as no point is far out."""
    baseline = Baseline()
    for value in values:
        off = abs(value - baseline.mean)
        if baseline.count >= 3 and off > 4 * baseline.deviation > 0:
            return
        baseline = baseline.learn(value)
    assert baseline.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert baseline.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-3)


def test_scores_of_a_stream_in_control_are_standard_normal_from_the_first_on() -> None:
    """Mean and spread are estimated from the stream itself, and still no score is too wide (20,000 of them)."""
    generator = np.random.default_rng(7)
    scores = []
    for _ in range(400):
        baseline = Baseline()
        for value in 50 + 9 * generator.standard_normal(60):
            score = baseline.score(float(value))
            if score is not None and baseline.count >= 10:
                scores.append(score)
            baseline = baseline.learn(float(value))
    assert np.mean(scores) == pytest.approx(0, abs=0.03)
    assert np.std(scores) == pytest.approx(1, abs=0.04)


def test_the_correlation_of_a_correlated_stream_is_found_and_taken_out() -> None:
    """Residuals of an AR(1) stream are neither correlated nor wider than one."""
    generator = np.random.default_rng(8)
    baseline, value, scores = Baseline(), 0.0, []
    for noise in generator.standard_normal(4000):
        value = 0.8 * value + float(noise)
        score = baseline.score(value)
        if score is not None and baseline.count > 200:
            scores.append(score)
        baseline = baseline.learn(value)
    assert baseline.correlation == pytest.approx(0.8, abs=0.03)
    assert np.std(scores) == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 0.05


def test_a_constant_stream_has_no_unit_until_it_is_one_no_more() -> None:
    """Of the first other value nothing can be said; the second is far out."""
    baseline = Baseline()
    for _ in range(100):
        baseline = baseline.learn(0.3)
    assert baseline.score(0.3) is None
    assert baseline.score(0.4) is None
    after = baseline.learn(0.4).seen(None)
    score = after.score(0.4)
    assert score is not None
    assert score > 5


def test_what_is_no_number_is_no_measurement() -> None:
    """Neither nan nor infinity nor a number whose square is none gets in."""
    assert [measured(each) for each in (None, float("nan"), float("inf"), float("-inf"), 1e300)] == [None] * 5
    assert measured(-3.5) == -3.5


def test_what_is_remembered_is_bounded() -> None:
    """After its memory a baseline follows a level that moved, and its numbers stay finite."""
    baseline = Baseline(count=MEMORY, mean=0.0, squares=float(MEMORY), last=0.0)
    for _ in range(3 * MEMORY):
        baseline = baseline.learn(3.0)
    assert baseline.count == MEMORY
    assert 2.5 < baseline.mean <= 3.0


@pytest.mark.parametrize("before", [(0, 5000), (5, 5000), (3, 40), (4000, 5000)])
@pytest.mark.parametrize("now", [(0, 100), (1, 100), (4, 100), (90, 100), (100, 100)])
def test_the_score_of_a_share_is_that_of_its_mid_p_value(before: tuple[int, int], now: tuple[int, int]) -> None:
    """Counts are compared as the hypergeometric distribution has it, exactly where they are few."""
    failures, exchanges = now
    score = Usual(*before).score(failures, exchanges)
    total = failures + before[0]
    law = stats.hypergeom(exchanges + before[1], total, exchanges)
    expected = -stats.norm.ppf(min(max(law.sf(failures) + law.pmf(failures) / 2, 1e-16), 1 - 1e-16))
    assert score is not None
    exact = min(8.0, max(-8.0, expected))
    assert score == pytest.approx(exact, abs=0.02 if abs(exact) < 5 else 1.0)


def test_nothing_can_be_said_of_a_share_without_exchanges() -> None:
    """Neither before nor now."""
    assert Usual().score(1, 10) is None
    assert Usual(1, 100).score(0, 0) is None
