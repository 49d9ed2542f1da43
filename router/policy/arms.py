"""The router's allocators, as policies that learn from a log.

Responsible for: running an allocator of ``router.bandit`` over the rows of a log, with a floor.
Does not know: what an allocator computes.
"""

import numpy as np
from msgspec import Struct

from router.bandit.allocator import Allocator
from router.bandit.earned import Earned, Sums
from router.bandit.mix import Terms, weigh
from router.policy.learner import Rows
from router.policy.log import Floats, Log


class Known(Struct, frozen=True):
    """What was seen.

    Attributes:
        earned: What arms have earned.
        shift: Added to rewards: 1 where less is better and they come as -1 … 0, for an allocator asks for 0 … 1.
    """

    earned: Earned
    shift: float


class Arms(Struct, frozen=True):
    """An allocator that is asked at every tick.

    Attributes:
        allocator: The allocator.
        bounded: Whether rewards lie between 0 and 1.
        floor: Least probability of each arm.
    """

    allocator: Allocator
    bounded: bool
    floor: float = 0.01

    def fresh(self, log: Log) -> Known:
        """Return that nothing was earned.

        Raises:
            ValueError: If rewards should lie between 0 and 1, and do not.
        """
        if self.bounded and log.n and not (log.reward.min() >= 0 and log.reward.max() <= 1):
            raise ValueError(
                f"this policy is for rewards between 0 and 1; they are {log.reward.min():g} to {log.reward.max():g}"
            )
        earned = Earned({name: Sums() for name in log.arms}, self.bounded)
        return Known(earned, 1.0 if self.bounded and log.sign < 0 else 0.0)

    def learn(self, knows: Known, rows: Rows) -> Known:
        """Add rows to what arms have earned."""
        arms = dict(knows.earned.arms)
        for place, name in enumerate(arms):
            reward = rows.reward[rows.arm == place] + knows.shift
            n = len(reward)
            arms[name] = arms[name].merge(Sums(n, float(n), float(reward.sum()), float((reward * reward).sum())))
        return Known(Earned(arms, knows.earned.bounded), knows.shift)

    def choose(self, knows: Known, context: Floats, rng: np.random.Generator) -> Floats:
        """Return the allocator's weights, the same in every context."""
        earned = knows.earned
        terms = Terms(control=next(iter(earned.arms)), floor=self.floor)
        weights = weigh(lambda asked: self.allocator.shares(asked, rng), earned, terms)
        return np.tile([weights[name] for name in earned.arms], (len(context), 1))
