"""Linear Thompson sampling and LinUCB, as policies that learn from a log.

Responsible for: running ``router.bandit.ridge`` over the rows of a log.
Does not know: how the router publishes and scores the same models.
"""

import numpy as np
from msgspec import Struct

from router.bandit.ridge import Ridge, draw, mix, posterior, shares_won, upper_bounds
from router.policy.learner import Rows
from router.policy.log import Floats, Log


class LinearThompson(Struct, frozen=True):
    """Thompson sampling with a linear model of each arm.

    Attributes:
        draws: Draws of the coefficients that each state publishes.
        floor: Least probability of each arm.
        ridge: What the belief that features do not matter weighs, in observations.
    """

    draws: int = 128
    floor: float = 0.01
    ridge: float = 1.0

    def fresh(self, log: Log) -> Ridge:
        """Return empty sums."""
        return Ridge.empty(len(log.arms), log.context.shape[1])

    def learn(self, knows: Ridge, rows: Rows) -> Ridge:
        """Add rows to the sums."""
        return knows.add(rows.arm, rows.reward, rows.context)

    def choose(self, knows: Ridge, context: Floats, rng: np.random.Generator) -> Floats:
        """Return the shares of draws won, mixed with the floor; all arms alike before the first reward."""
        if not knows.counts.all():
            return np.full((len(context), len(knows.counts)), 1 / len(knows.counts))
        drawn = draw(posterior(knows, self.ridge), self.draws, rng)
        return mix(shares_won(drawn, context), self.floor)


class LinUcb(Struct, frozen=True):
    """The arm with the largest upper bound by a linear model.

    Attributes:
        alpha: Standard errors that a bound lies above the estimate, in units of the reward.
        floor: Least probability of each arm.
        ridge: As of ``LinearThompson``.
    """

    alpha: float = 1.0
    floor: float = 0.01
    ridge: float = 1.0

    def fresh(self, log: Log) -> Ridge:
        """Return empty sums."""
        return Ridge.empty(len(log.arms), log.context.shape[1])

    def learn(self, knows: Ridge, rows: Rows) -> Ridge:
        """Add rows to the sums."""
        return knows.add(rows.arm, rows.reward, rows.context)

    def choose(self, knows: Ridge, context: Floats, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - the seam's
        """Return 1 for the best bound, mixed with the floor; all arms alike before the first reward."""
        arms = len(knows.counts)
        if not knows.counts.all():
            return np.full((len(context), arms), 1 / arms)
        best = upper_bounds(posterior(knows, self.ridge), context, self.alpha).argmax(axis=1)
        return mix(np.eye(arms)[best], self.floor)
