"""One-sided tests of a share at any time: exact under any looking, and bounds that agree with them."""

from math import comb, exp, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.guardrail.likelihood import bound, log_e


@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_the_mean_of_the_e_value_is_one_at_the_value_itself(n: int, p: float) -> None:
    """Over all outcomes of n trials, exactly: it is a martingale there."""
    mean = sum(comb(n, x) * p**x * (1 - p) ** (n - x) * exp(log_e(x, n, p, "above")) for x in range(n + 1))
    assert mean == pytest.approx(1, rel=1e-6)


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.001, 0.999))
def test_both_sides_are_the_same_coin(x: int, more: int, p: float) -> None:
    """Successes above are failures below."""
    n = x + more
    assert log_e(x, n, p, "below") == pytest.approx(log_e(n - x, n, 1 - p, "above"))


def test_looking_as_often_as_one_likes_errs_seldom_enough() -> None:
    """Of 400 sequences at the value itself, looked at all the time: at most 5 % and 3 standard errors at alpha 5 %."""
    generator = np.random.default_rng(7)
    wrong = 0
    for _ in range(400):
        x = np.cumsum(generator.random(2000) < 0.05)
        wrong += any(log_e(float(x[n - 1]), float(n), 0.05, "above") >= log(20) for n in range(5, 2001, 15))
    assert wrong / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.5, 12))
def test_a_bound_is_where_the_evidence_is_enough(x: int, more: int, enough: float) -> None:
    """Below the lower bound every value is excluded, above it none; the estimate never is."""
    n = x + more
    low, high = bound(x, n, enough, "above"), bound(x, n, enough, "below")
    if low is not None:
        assert 0 < low <= x / n
        assert log_e(x, n, low * 0.999, "above") >= enough > log_e(x, n, min(low * 1.001, x / n), "above")
    if high is not None:
        assert x / n <= high < 1
        assert log_e(x, n, high + (1 - high) * 0.001, "below") >= enough


def test_extremes_are_nothing_special() -> None:
    """Nothing counted, nobody, everybody, a thousand million, and values of 0 and 1."""
    assert log_e(0, 0, 0.5, "above") == 0
    assert bound(0, 0, 4.6, "above") is None
    assert bound(0, 1000, 4.6, "above") is None
    assert bound(0, 1000, 4.6, "below") == pytest.approx(0.0059, abs=2e-4)
    assert bound(3, 3, 4.6, "above") == pytest.approx(0.13, abs=0.01)
    assert bound(1e6, 1e9, 4.6, "above") == pytest.approx(0.001, rel=0.02)
    assert log_e(1, 5, 0.0, "above") == inf
    assert log_e(0, 5, 0.0, "above") == 0
    assert log_e(5, 5, 1.0, "above") == 0
