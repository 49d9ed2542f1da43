"""The probability that an arm is best, against closed forms, exact sums and other quadrature."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from router.bandit.best import best
from router.bandit.earned import Earned, Sums
from router.bandit.posterior import Beta, StudentT, beta, normal, posteriors


def exact(a: int, b: int, c: int, d: int) -> float:
    """Return P(Beta(a, b) > Beta(c, d)) for whole parameters: the sum by Miller, Formulas for Bayesian A/B testing."""
    return math.fsum(
        math.exp(special.betaln(c + i, b + d) - math.log(b + i) - special.betaln(1 + i, b) - special.betaln(c, d))
        for i in range(a)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [((3, 7), (5, 5)), ((1, 1), (1, 1)), ((40, 961), (50, 951)), ((2, 1), (400, 200)), ((9, 1), (1, 9))],
)
def test_two_arms_agree_with_the_finite_sum(one: tuple[int, int], other: tuple[int, int]) -> None:
    """For whole parameters the probability is a finite sum, to nine digits."""
    found = best({"a": Beta(*one), "b": Beta(*other)})
    assert found["a"] == pytest.approx(exact(*one, *other), abs=1e-9)
    assert found["a"] + found["b"] == pytest.approx(1.0, abs=1e-12)


def test_three_arms_of_most_different_widths_agree_with_adaptive_quadrature() -> None:
    """A million observations beside none and beside a few, as when an arm is new."""
    arms = {"old": Beta(100_001, 900_001), "new": Beta(1, 1), "young": Beta(6, 46)}
    found = best(arms)
    new = integrate.quad(
        lambda x: stats.beta.cdf(x, 100_001, 900_001) * stats.beta.cdf(x, 6, 46), 0, 1, points=[0.1, 0.2]
    )
    assert found["new"] == pytest.approx(new[0], abs=1e-8)
    assert sum(found.values()) == pytest.approx(1.0)


def test_students_posteriors_agree_with_a_seeded_simulation() -> None:
    """Half a million draws; a difference of 5 standard errors has a chance of one in a million for each arm."""
    arms = {"a": StudentT(0.0, 1.0, 5.0), "b": StudentT(0.3, 0.5, 50.0), "c": StudentT(-1.0, 3.0, 2.0)}
    rng = np.random.default_rng(5)
    draws = np.array([one.centre + one.scale * rng.standard_t(one.degrees, 500_000) for one in arms.values()])
    counts = np.bincount(draws.argmax(axis=0), minlength=3) / 500_000
    for share, counted in zip(best(arms).values(), counts, strict=True):
        assert abs(share - counted) < 5 * math.sqrt(0.25 / 500_000)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=5))
def test_shares_add_up_and_follow_their_arms(arms: list[tuple[float, float]]) -> None:
    """Whatever was observed, shares are shares; arms relabelled are the same shares relabelled; the same are alike."""
    known = {str(index): Beta(1 + gained, 1 + lost) for index, (gained, lost) in enumerate(arms)}
    found = best(known)
    assert math.isclose(sum(found.values()), 1.0)
    assert min(found.values()) >= 0
    turned = best(dict(reversed(known.items())))
    assert all(math.isclose(found[arm], turned[arm], rel_tol=1e-6, abs_tol=1e-9) for arm in known)


def test_the_quadrature_knows_its_error() -> None:
    """Before they are made to add up the probabilities do so to 1e-9 for two, four and ten arms."""
    rng = np.random.default_rng(1)
    for arms in (2, 4, 10):
        counts = rng.integers(1, 10_000, size=arms)
        gained = rng.binomial(counts, 0.1)
        known = {
            str(i): beta(Sums(int(n), float(n), float(s), float(s)))
            for i, (n, s) in enumerate(zip(counts, gained, strict=True))
        }
        assert sum(best(known).values()) == pytest.approx(1.0, abs=1e-9)


def test_no_arms_are_refused() -> None:
    """There is no best of none."""
    with pytest.raises(ValueError, match="no arms"):
        best({})


def test_a_normal_posterior_is_that_of_the_textbook() -> None:
    """The marginal of the mean is Student's t with the parameters of Gelman et al., section 3.3."""
    values = {"a": [1.0, 2.0, 4.0], "b": [0.0, 3.0]}
    known = {
        arm: Sums(len(each), float(len(each)), sum(each), sum(value * value for value in each))
        for arm, each in values.items()
    }
    found = normal(known)
    assert found is not None
    pooled = np.array([*values["a"], *values["b"]])
    k, a = 4.0, 2.5
    b = pooled.var() + np.var(values["a"]) * 3 / 2 + 3 * (np.mean(values["a"]) - pooled.mean()) ** 2 / (2 * k)
    assert found["a"].degrees == 2 * a
    assert found["a"].centre == pytest.approx((pooled.mean() + 7.0) / k)
    assert found["a"].scale == pytest.approx(math.sqrt(b / (a * k)))


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
@settings(max_examples=20, deadline=None)
def test_units_of_measure_make_no_difference(factor: float, shift: float) -> None:
    """Rewards in cents, or from another zero, give the same shares."""
    plain = {"a": [1.0, 2.0, 4.0, 2.5], "b": [0.0, 3.0, 3.5]}

    def shares(each: dict[str, list[float]]) -> dict[str, float]:
        found = normal(
            {arm: Sums(len(v), float(len(v)), math.fsum(v), math.fsum(x * x for x in v)) for arm, v in each.items()}
        )
        assert found is not None
        return best(found)

    moved = {arm: [factor * (value + shift / 100) for value in values] for arm, values in plain.items()}
    assert shares(moved)["a"] == pytest.approx(shares(plain)["a"], abs=1e-6)


def test_rewards_that_do_not_vary_say_nothing() -> None:
    """A constant metric, or none at all, has no posterior, rather than a probability of 0 or nan."""
    constant = {arm: Sums(3, 3.0, 0.3, 0.03) for arm in "ab"}
    assert posteriors(Earned(constant, bounded=False)) is None
    assert normal({"a": Sums(), "b": Sums()}) is None


def test_sums_that_rounding_took_out_of_bounds_make_a_distribution() -> None:
    """A total a hair above its number or below 0 is put back."""
    assert (beta(Sums(1, 1.0, 1.0 + 1e-15, 1.0)).beta, beta(Sums(1, 1.0, -1e-17, 0.0)).alpha) == (1.0, 1.0)
    assert Beta(1.0, 3.0).mean == 0.25
    assert StudentT(2.0, 1.0, 3.0).mean == 2.0
