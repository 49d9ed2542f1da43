"""Sums of linear models: laws, and values that another way of computing them gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as Oracle

from router.bandit.ridge import Floats, Ints, Ridge, draw, mix, posterior, shares_won, upper_bounds


def sums(seed: int, n: int = 60, arms: int = 2, width: int = 3) -> tuple[Ridge, Ints, Floats, Floats]:
    """Return sums over random rows, and the rows."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, width - 1))])
    arm, reward = rng.integers(arms, size=n), rng.standard_normal(n)
    return Ridge.empty(arms, width).add(arm, reward, x), arm, reward, x


def test_coefficients_are_those_of_ridge_regression() -> None:
    """The same as scikit-learn's ridge without an intercept, of rewards less the mean over all arms."""
    known, arm, reward, x = sums(1)
    found = posterior(known, 2.0)
    for place in (0, 1):
        oracle = Oracle(alpha=2.0, fit_intercept=False).fit(x[arm == place], reward[arm == place] - reward.mean())
        assert found.coefficients[place] - [reward.mean(), 0, 0] == pytest.approx(oracle.coef_)


def test_a_shift_of_all_rewards_shifts_predictions_and_nothing_else() -> None:
    """Rewards in the thousands are no reason to believe less in an arm that was seen rarely."""
    _, arm, reward, x = sums(2)
    low = posterior(Ridge.empty(2, 3).add(arm, reward, x), 1.0)
    high = posterior(Ridge.empty(2, 3).add(arm, reward + 5000, x), 1.0)
    assert high.coefficients - low.coefficients == pytest.approx(np.tile([5000.0, 0.0, 0.0], (2, 1)), abs=1e-6)
    assert high.variance == pytest.approx(low.variance, rel=1e-6)


@given(st.integers(0, 1000), st.integers(0, 60))
def test_sums_of_parts_merge_to_the_whole_in_any_order(seed: int, cut: int) -> None:
    """Adding rows at once, in two parts either way, or merging two sums is the same."""
    whole, arm, reward, x = sums(seed)
    empty = Ridge.empty(2, 3)
    first, second = (empty.add(arm[part], reward[part], x[part]) for part in (slice(cut), slice(cut, None)))
    for merged in (first.merge(second), second.merge(first), first.add(arm[cut:], reward[cut:], x[cut:])):
        assert merged.matrix == pytest.approx(whole.matrix)
        assert merged.moment == pytest.approx(whole.moment)
        assert merged.squares == pytest.approx(whole.squares)


def test_draws_have_the_covariance_of_the_coefficients() -> None:
    """The covariance of many draws is the residual variance times the inverse of A."""
    found = posterior(sums(3)[0], 1.0)
    drawn = draw(found, 40_000, np.random.default_rng(4))
    for place in (0, 1):
        expected = found.variance * found.inverse[place]
        assert np.cov(drawn[:, place].T) == pytest.approx(expected, abs=0.05 * np.abs(expected).max())
        assert drawn[:, place].mean(axis=0) == pytest.approx(found.coefficients[place], abs=0.01)


def test_the_bound_of_linucb_is_its_formula() -> None:
    """θ·x + a √(xᵀ A⁻¹ x), computed for one context at a time."""
    found = posterior(sums(5)[0], 1.0)
    x = np.array([1.0, 0.3, -2.0])
    expected = [found.coefficients[place] @ x + 1.5 * np.sqrt(x @ found.inverse[place] @ x) for place in range(2)]
    assert upper_bounds(found, x[None, :], 1.5)[0] == pytest.approx(expected)


def test_shares_won_count_draws() -> None:
    """Of two draws, one for each arm, each arm wins half, and sums are 1 with a floor mixed in."""
    drawn = np.array([[[1.0], [0.0]], [[0.0], [1.0]], [[0.0], [2.0]], [[0.0], [3.0]]])
    shares = shares_won(drawn, np.ones((1, 1)))
    assert shares.tolist() == [[0.25, 0.75]]
    assert [[pytest.approx(0.1 + 0.8 * 0.25), pytest.approx(0.1 + 0.8 * 0.75)]] == mix(shares, 0.1).tolist()


def test_mistakes_are_refused() -> None:
    """A ridge of 0, a decay above 1, and floors of more than everything."""
    with pytest.raises(ValueError, match="above 0"):
        posterior(Ridge.empty(2, 1), 0.0)
    with pytest.raises(ValueError, match="decay"):
        Ridge.empty(2, 1).decay(1.5)
    with pytest.raises(ValueError, match="3 arms cannot each have"):
        mix(np.full((1, 3), 1 / 3), 0.4)


def test_nothing_known_is_the_same_for_all_arms() -> None:
    """Without an observation every coefficient is 0 and every number finite."""
    found = posterior(Ridge.empty(3, 2), 1.0)
    assert not found.coefficients.any()
    assert np.isfinite(found.inverse).all()
    assert found.variance == 1.0


def test_numbers_that_hardly_vary_far_from_zero_are_no_breakdown() -> None:
    """Where rounding leaves a matrix that is no covariance, the belief that features do not matter holds it up."""
    sums_ = Ridge.empty(1, 2)
    matrix = np.array([[[1.0, 1.0], [1.0, 1.0 - 1e-3]]])
    found = posterior(Ridge(matrix, sums_.moment, sums_.squares), 1e-9)
    assert np.isfinite(found.inverse).all()
    assert np.linalg.eigvalsh(found.inverse[0]).min() > 0
