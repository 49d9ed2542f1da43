"""Successive elimination: equal shares for the arms that may still be the best.

Responsible for: which arms these are.
Does not know: floors, which may keep an arm that is out at a little.

Even-Dar, Mannor and Mansour, Action Elimination and Stopping Conditions for the Multi-Armed Bandit and Reinforcement
Learning Problems (JMLR 2006), section 3.1: with k arms and rewards between 0 and 1 the mean after n observations is
within sqrt(ln(c k n^2 / delta) / n) of the truth, c = 5, for all arms and all n at once with a probability of at least
1 - delta; an arm whose upper bound is below the largest lower bound is out. Where all arms have the same n, this is the
paper's "difference at least 2 alpha_n". The best arm is ever out with a probability of at most delta, however often one
looks. It presumes that rewards do not drift: there is no half-life with it.
"""

from math import inf, log, sqrt
from typing import Annotated, Final

from msgspec import Meta, Struct
from numpy.random import Generator

from router.bandit.earned import Earned, Sums

_C: Final = 5.0  # the paper asks for more than 4


class SuccessiveElimination(Struct, frozen=True, kw_only=True):
    """All arms that may be the best get the same."""

    delta: Annotated[float, Meta(gt=0, lt=1)] = 0.05

    def shares(self, earned: Earned, rng: Generator) -> dict[str, float]:  # noqa: ARG002 - nothing is drawn
        """Return equal shares for the arms that are in, 0 for the others.

        Raises:
            ValueError: If there are no arms.
        """
        if not earned.arms:
            raise ValueError("there are no arms")
        bounds = {arm: self._bounds(rewards, len(earned.arms)) for arm, rewards in earned.arms.items()}
        most = max(low for low, _ in bounds.values())
        inside = [arm for arm, (_, high) in bounds.items() if high >= most]
        return {arm: 1 / len(inside) if arm in inside else 0.0 for arm in bounds}

    def _bounds(self, rewards: Sums, arms: int) -> tuple[float, float]:
        mean, n = rewards.mean, rewards.weight
        if mean is None or n < 1:
            return -inf, inf
        radius = sqrt(log(_C * arms * n * n / self.delta) / n)
        return mean - radius, mean + radius
