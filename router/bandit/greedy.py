"""Epsilon-greedy: the arm with the best mean, and a share at random.

Responsible for: the shares.
Does not know: how sure a mean is.

Sutton and Barto, Reinforcement Learning (2nd ed. 2018), section 2.2: the greedy arm with probability 1 - epsilon, any
arm alike with probability epsilon, so each of n arms has at least epsilon / n.
"""

from math import inf
from typing import Annotated

from msgspec import Meta, Struct
from numpy.random import Generator

from router.bandit.confidence import leading
from router.bandit.earned import Earned


class EpsilonGreedy(Struct, frozen=True, kw_only=True):
    """The best mean so far, but for a constant share."""

    epsilon: Annotated[float, Meta(ge=0, le=1)] = 0.1

    def shares(self, earned: Earned, rng: Generator) -> dict[str, float]:  # noqa: ARG002 - nothing is drawn
        """Return the share of each arm; arms without observations come first."""
        means = {arm: inf if rewards.mean is None else rewards.mean for arm, rewards in earned.arms.items()}
        each = self.epsilon / len(means) if means else 0.0
        return {arm: (1 - self.epsilon) * share + each for arm, share in leading(means).items()}
