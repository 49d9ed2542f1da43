"""UCB1 and KL-UCB: the arm that could be the best gets the next units.

Responsible for: the index of each arm, and the share that follows: all of it for the largest.
Does not know: exploration beyond the index: weights mix in the floor (``mix``), and that is the propensity.

Both are for rewards between 0 and 1. With t observations of all arms, n of an arm and their mean m:

- UCB1 (Auer, Cesa-Bianchi and Fischer, Finite-time Analysis of the Multiarmed Bandit Problem, 2002, figure 1):
  m + sqrt(2 ln t / n).
- KL-UCB (Garivier and Cappe, The KL-UCB Algorithm for Bounded Stochastic Bandits and Beyond, COLT 2011, with c = 0 as
  they recommend): the largest q with n kl(m, q) <= ln t, where kl is the divergence of Bernoulli distributions.

With a half-life, n and t are what age has left of the observations (discounted UCB, Garivier and Moulines 2011).
"""

from math import expm1, inf, log, sqrt

from msgspec import Struct
from numpy.random import Generator
from scipy.optimize import brentq
from scipy.special import kl_div

from router.bandit.earned import Earned, Sums


class Ucb(Struct, frozen=True, kw_only=True):
    """UCB1."""

    def shares(self, earned: Earned, rng: Generator) -> dict[str, float]:  # noqa: ARG002 - nothing is drawn
        """Return 1 for the arm with the largest index; several such arms share it."""
        return leading({arm: self.index(rewards, _whole(earned)) for arm, rewards in earned.arms.items()})

    @staticmethod
    def index(rewards: Sums, whole: float) -> float:
        """Return the index of an arm; infinite for one without observations.

        Args:
            rewards: Of the arm.
            whole: Observations of all arms.
        """
        mean = rewards.mean
        return inf if mean is None else mean + sqrt(2 * log(max(whole, 1.0)) / rewards.weight)


class KlUcb(Struct, frozen=True, kw_only=True):
    """KL-UCB."""

    def shares(self, earned: Earned, rng: Generator) -> dict[str, float]:  # noqa: ARG002 - nothing is drawn
        """Return 1 for the arm with the largest index; several such arms share it."""
        return leading({arm: self.index(rewards, _whole(earned)) for arm, rewards in earned.arms.items()})

    @staticmethod
    def index(rewards: Sums, whole: float) -> float:
        """Return the index of an arm, at most 1; infinite for one without observations.

        Args:
            rewards: Of the arm.
            whole: Observations of all arms.
        """
        if rewards.mean is None:
            return inf
        mean = min(max(rewards.mean, 0.0), 1.0)
        room = log(max(whole, 1.0)) / rewards.weight
        if mean == 0:
            return -expm1(-room)
        # At q = 1 the divergence is infinite, so the root lies before it, though perhaps nearer than a number can be.
        highest = 1 - 1e-16
        if mean >= highest or divergence(mean, highest) <= room:
            return 1.0
        return mean if room == 0 else float(brentq(lambda q: divergence(mean, q) - room, mean, highest, xtol=1e-15))


def divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of Bernoulli distributions, kl(p, q)."""
    return float(kl_div(p, q) + kl_div(1 - p, 1 - q))


def leading(indexes: dict[str, float]) -> dict[str, float]:
    """Return equal shares for the arms with the largest index, 0 for the others.

    Raises:
        ValueError: If there are no arms.
    """
    largest = max(indexes.values(), default=None)
    if largest is None:
        raise ValueError("there are no arms")
    first = [arm for arm, index in indexes.items() if index == largest]
    return {arm: 1 / len(first) if arm in first else 0.0 for arm in indexes}


def _whole(earned: Earned) -> float:
    return sum(rewards.weight for rewards in earned.arms.values())
