"""Every built-in allocator: the contract of the seam, its own formula, and what it does at the edges."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.bandit.allocator import BUILT_IN, Allocator
from router.bandit.confidence import KlUcb, Ucb, divergence, leading
from router.bandit.earned import Earned, Sums
from router.bandit.elimination import SuccessiveElimination
from router.bandit.greedy import EpsilonGreedy
from router.bandit.mix import checked
from router.bandit.thompson import Thompson, TopTwoThompson

DATA: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "indexes.json").read_text())


def earned(*pairs: tuple[float, float]) -> Earned:
    """Make arms a, b, … with numbers of observations and of successes."""
    arms = {chr(97 + i): Sums(math.ceil(n), float(n), float(s), float(s)) for i, (n, s) in enumerate(pairs)}
    return Earned(arms, bounded=True)


def shares(allocator: Allocator, known: Earned) -> dict[str, float]:
    """Ask with a generator that is seeded."""
    return dict(allocator.shares(known, np.random.default_rng(0)))


COUNTS = st.tuples(st.integers(0, 10_000), st.floats(0, 1)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@pytest.mark.parametrize("name", BUILT_IN)
@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(COUNTS, min_size=1, max_size=4))
def test_shares_are_shares_and_follow_their_arms(name: str, pairs: list[tuple[float, float]]) -> None:
    """They are not below 0, add up to 1, are a function of the sums alone, and go with an arm, not with its place."""
    known = earned(*pairs)
    found = shares(BUILT_IN[name](), known)
    checked(found, known.arms)
    assert found == shares(BUILT_IN[name](), known)
    turned = shares(BUILT_IN[name](), Earned(dict(reversed(list(known.arms.items()))), bounded=True))
    assert all(math.isclose(found[arm], turned[arm], rel_tol=1e-6, abs_tol=1e-9) for arm in found)


@pytest.mark.parametrize("name", BUILT_IN)
def test_arms_that_are_alike_get_the_same(name: str) -> None:
    """Also before anything was observed."""
    for pair in ((0, 0), (100, 20)):
        assert shares(BUILT_IN[name](), earned(pair, pair)) == pytest.approx({"a": 0.5, "b": 0.5})


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_arm_that_is_better_beyond_doubt_gets_the_most(name: str) -> None:
    """After ten thousand observations each, 60 % beats 10 %; top-two keeps half for the second."""
    found = shares(BUILT_IN[name](), earned((10_000, 1_000), (10_000, 6_000)))
    assert found["b"] >= 0.5
    assert found["a"] == pytest.approx({"epsilon_greedy": 0.05, "top_two_thompson": 0.5}.get(name, 0.0))


@pytest.mark.parametrize("case", DATA["ucb1"], ids=lambda case: str(case["source"])[:20])
def test_ucb1_is_the_mean_and_its_radius(case: dict[str, float]) -> None:
    """The index is that of Auer et al. 2002, figure 1."""
    assert Ucb.index(Sums(1, case["n"], case["n"] * case["mean"], 0.0), case["t"]) == pytest.approx(case["index"])


@pytest.mark.parametrize("case", DATA["kl_ucb"], ids=lambda case: str(case["source"])[:20])
def test_kl_ucb_is_the_largest_mean_that_is_near_enough(case: dict[str, float]) -> None:
    """The index solves n kl(mean, q) = ln t, or is 1 where that has no root."""
    found = KlUcb.index(Sums(1, case["n"], case["n"] * case["mean"], 0.0), case["t"])
    assert found == pytest.approx(case["index"], rel=1e-9)


@given(st.floats(0.001, 0.999), st.floats(1, 1e6), st.floats(1, 1e7))
def test_kl_ucb_lies_between_the_mean_and_ucb1(mean: float, n: float, t: float) -> None:
    """By Pinsker's inequality kl is at least 2 (q - m)^2, so the index is at most half as far away as UCB1's."""
    known = Sums(1, n, n * mean, 0.0)
    index = KlUcb.index(known, t)
    assert mean - 1e-9 <= index <= min(1.0, mean + math.sqrt(math.log(max(t, 1)) / (2 * n)) + 1e-9)
    if index < 0.9999:  # nearer to 1 the divergence changes by more than a number can say
        assert n * divergence(mean, index) <= math.log(max(t, 1)) + 1e-6


def test_an_arm_nobody_has_tried_comes_first() -> None:
    """Its index is infinite; several of them share."""
    for allocator in (Ucb(), KlUcb(), EpsilonGreedy(epsilon=0.0)):
        assert shares(allocator, earned((10, 9), (0, 0), (0, 0))) == {"a": 0.0, "b": 0.5, "c": 0.5}


def test_epsilon_is_shared_by_all() -> None:
    """The best has the rest and its part of epsilon."""
    assert shares(EpsilonGreedy(epsilon=0.3), earned((9, 3), (9, 6), (9, 1))) == pytest.approx(
        {"a": 0.1, "b": 0.8, "c": 0.1}
    )


def test_top_two_is_the_formula_and_its_limit() -> None:
    """Against drawing pairs: the leader of a draw, or the first other leader of later draws."""
    known = earned((30, 10), (30, 14), (30, 12))
    rng = np.random.default_rng(3)
    draws = np.stack([rng.beta(1 + s.total, 1 + s.weight - s.total, (40, 20_000)) for s in known.arms.values()]).argmax(
        0
    )
    first = draws[0]
    # Draw after draw, until another leads; 39 draws without one have a chance of nothing.
    second = draws[1:][(draws[1:] != first).argmax(axis=0), np.arange(first.size)]
    played = np.where(rng.random(first.size) < 0.5, first, second)
    expected = np.bincount(played, minlength=3) / first.size
    assert list(shares(TopTwoThompson(), known).values()) == pytest.approx(
        list(expected), abs=0.018
    )  # 5 standard errors
    # Where one is best beyond any number, the formula is 0/0; its limit is half for the best and half for the others.
    certain = shares(TopTwoThompson(), earned((10**7, 10**6), (10**7, 9 * 10**6), (10**7, 10**6)))
    assert certain == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.25})


def test_elimination_keeps_what_may_be_best_and_drops_the_rest() -> None:
    """The radius is sqrt(ln(5 k n^2 / delta) / n): 0.115 for two arms of 1000 each at 5 %."""
    radius = math.sqrt(math.log(5 * 2 * 1000**2 / 0.05) / 1000)
    within, beyond = int(1000 * (0.5 - 2 * radius)) + 1, int(1000 * (0.5 - 2 * radius)) - 1
    assert shares(SuccessiveElimination(), earned((1000, 500), (1000, within))) == {"a": 0.5, "b": 0.5}
    assert shares(SuccessiveElimination(), earned((1000, 500), (1000, beyond))) == {"a": 1.0, "b": 0.0}


def test_successive_elimination_keeps_the_best_arm() -> None:
    """400 experiments looked at after every observation: the best is ever out in at most 5 % (bound 38, p < 1e-4)."""
    rng = np.random.default_rng(11)
    rewards = rng.random((400, 2, 600)) < np.array([0.55, 0.5])[None, :, None]
    n = np.arange(1, 601)
    means = rewards.cumsum(axis=2) / n
    radius = np.sqrt(np.log(5 * 2 * n**2 / 0.05) / n)
    ever_out = ((means[:, 0] + radius) < (means[:, 1] - radius)).any(axis=1)
    assert ever_out.sum() <= 38


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_arms_are_refused(name: str) -> None:
    """There is nothing to share among none."""
    with pytest.raises(ValueError, match="no arms"):
        shares(BUILT_IN[name](), Earned({}, bounded=True))


def test_rewards_that_do_not_vary_are_shared_alike() -> None:
    """A constant metric tells no arm from another."""
    constant = Earned({"a": Sums(3, 3.0, 6.0, 12.0), "b": Sums(2, 2.0, 4.0, 8.0)}, bounded=False)
    for allocator in (Thompson(), TopTwoThompson()):
        assert shares(allocator, constant) == {"a": 0.5, "b": 0.5}


def test_an_only_arm_has_everything() -> None:
    """Whatever the policy."""
    for name in BUILT_IN:
        assert shares(BUILT_IN[name](), earned((5, 2))) == pytest.approx({"a": 1.0})
    assert leading({"a": -1.0}) == {"a": 1.0}
