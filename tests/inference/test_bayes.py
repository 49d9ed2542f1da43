"""Bayesian answers: exact formulas, laws, and priors that fit."""

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from scipy.special import betaln

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.metric import Covariate
from router.config.schema import Metric
from router.inference import bayes, fixed
from router.inference.effect import Asked, Effect
from tests.inference.arms import MEAN, PROPORTION, RATIO, arm, ends, successes

ASKED = Asked()
COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
DOWN = structs.replace(PROPORTION, goal="down")


def posterior(found: bayes.Posterior | NotEnough) -> bayes.Posterior:
    """Return a posterior that there is."""
    assert isinstance(found, bayes.Posterior), found
    return found


def exact(one: tuple[int, int], two: tuple[int, int]) -> float:
    """Return P(p1 > p2) of uniform priors: a finite sum, the parameters being whole numbers (E. Miller, 2014)."""
    failures = one[1] - one[0] + 1
    others = two[0] + 1, two[1] - two[0] + 1
    logs = (
        betaln(others[0] + i, failures + others[1]) - np.log(failures + i) - betaln(1 + i, failures) - betaln(*others)
        for i in range(one[0] + 1)
    )
    return float(sum(exp(value) for value in logs))


@settings(max_examples=40)
@given(COUNTS, COUNTS)
def test_the_chance_to_win_is_the_exact_one(one: tuple[int, int], two: tuple[int, int]) -> None:
    """To five digits that of the finite sum; both arms' chances add up, and the losses differ by the mean effect."""
    there, back = (
        posterior(bayes.beside(PROPORTION, successes(*a), successes(*b), ASKED)) for a, b in ((one, two), (two, one))
    )
    assert there.chance_to_win == pytest.approx(exact(one, two), abs=1e-5)
    assert there.chance_to_win + back.chance_to_win == pytest.approx(1)
    means = [(x + 1) / (n + 2) for x, n in (one, two)]
    assert there.expected_loss_of_control - there.expected_loss == pytest.approx(means[0] - means[1], abs=2e-6)
    assert ends(there.interval)[0] == -ends(back.interval)[1]


def test_down_is_better_where_the_goal_says_so() -> None:
    """The chances are the other arm's, the interval stays that of treatment less control."""
    up, down = (
        posterior(bayes.beside(metric, successes(120, 1000), successes(100, 1000), ASKED))
        for metric in (PROPORTION, DOWN)
    )
    assert up.chance_to_win == pytest.approx(1 - down.chance_to_win)
    assert up.expected_loss == down.expected_loss_of_control
    assert up.interval == down.interval


def test_effects_are_normal_around_their_estimate() -> None:
    """With a flat prior one tail of the test; losses as drawn; a prior pulls towards its mean."""
    random = np.random.default_rng(1)
    one, two = arm(random.normal(10.3, 2, 400)), arm(random.normal(10, 2, 400))
    found = fixed.compare(MEAN, one, two, ASKED)
    assert isinstance(found, Effect)
    flat = posterior(bayes.beside(MEAN, one, two, ASKED))
    drawn = random.normal(found.value, found.standard_error or 0.0, 200_000)
    assert found.p is not None
    assert flat.chance_to_win == pytest.approx(1 - found.p / 2, abs=2e-3)
    assert flat.expected_loss == pytest.approx(np.maximum(-drawn, 0).mean(), rel=0.05)
    assert flat.expected_loss_of_control == pytest.approx(np.maximum(drawn, 0).mean(), rel=0.05)
    pulled = posterior(bayes.beside(MEAN, one, two, ASKED, bayes.Normal(0.0, found.standard_error or 1.0)))
    assert sum(ends(pulled.interval)) / 2 == pytest.approx(found.value / 2)


@pytest.mark.parametrize("goal", ["up", "down"])
def test_chances_to_be_best_add_up(goal: str) -> None:
    """Of two arms they are the chance to win; equal arms share alike; one arm is the best of one."""
    metric = structs.replace(PROPORTION, goal=goal)
    one, two = successes(120, 1000), successes(100, 1000)
    found = bayes.best(metric, {"a": one, "b": two})
    assert not isinstance(found, NotEnough)
    assert found["a"] == pytest.approx(posterior(bayes.beside(metric, one, two, ASKED)).chance_to_win)
    assert bayes.best(metric, dict.fromkeys("abc", one)) == pytest.approx(dict.fromkeys("abc", 1 / 3), abs=1e-5)
    assert bayes.best(metric, {"a": one}) == {"a": 1.0}
    random = np.random.default_rng(2)
    arms = {str(shift): arm(random.normal(shift, 1, 50)) for shift in (0.0, 0.1, 0.2)}
    chances = bayes.best(structs.replace(MEAN, goal=goal), arms)
    assert not isinstance(chances, NotEnough)
    assert sum(chances.values()) == pytest.approx(1)


def test_large_samples_are_no_trouble() -> None:
    """A hundred million units, and counts of 0, have finite answers."""
    for one, two in (((10**6, 10**8), (10**6 + 3000, 10**8)), ((0, 10**8), (1, 10)), ((10**8, 10**8), (0, 10**8))):
        found = posterior(bayes.beside(PROPORTION, successes(*one), successes(*two), ASKED))
        assert 0 <= found.chance_to_win <= 1
        assert min(found.expected_loss, found.expected_loss_of_control) >= 0
        low, high = ends(found.interval)
        assert -1 <= low <= high <= 1


def test_what_has_no_posterior_says_why() -> None:
    """Empty arms, constants and quantiles."""
    quantile = Metric(name="q", kind="quantile", outcome="o", q=0.5, goal="up")
    constant = arm([2.0] * 30, [1.0] * 30)
    for metric, poor in (
        (PROPORTION, Aggregate()),
        (MEAN, Aggregate()),
        (MEAN, constant),
        (RATIO, constant),
        (quantile, Aggregate()),
    ):
        assert isinstance(bayes.beside(metric, poor, poor, ASKED), NotEnough)
        assert isinstance(bayes.best(metric, {"a": poor, "b": poor}), NotEnough)
    without = structs.replace(MEAN, covariate=Covariate(outcome="o", before=60))
    found = fixed.compare(without, arm([1.0, 2.0, 3.0]), arm([1.0, 2.0, 4.0]), ASKED)
    assert isinstance(found, Effect)
    assert isinstance(bayes.of_effect(structs.replace(found, standard_error=None), "up", ASKED), NotEnough)


def test_priors_that_do_not_fit_are_refused() -> None:
    """A Normal of a proportion, a Beta of a mean, and parameters that make no distribution."""
    with pytest.raises(ValueError, match="Beta"):
        bayes.beside(PROPORTION, successes(1, 10), successes(1, 10), ASKED, bayes.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="Normal"):
        bayes.beside(MEAN, arm([1.0, 2.0]), arm([1.0, 3.0]), ASKED, bayes.Beta())
    with pytest.raises(ValueError, match="above 0"):
        bayes.Beta(0.0, 1.0)
    with pytest.raises(ValueError, match="above 0"):
        bayes.Normal(0.0, 0.0)
