"""Logged decisions, as columns: what was taken, with which probability, in which context, and what it earned.

Responsible for: ``Log``, and that its columns are of one length and hold numbers.
Does not know: where the rows come from, whether the propensities are true (``propensity``), any policy.

Rules: frozen; columns are read and never written. One row is one observation: a unit's first exposure in a phase, with
the reward that its window gave. Rows of one cluster are not independent (a user with several periods), so whatever is
said of uncertainty goes by clusters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Observations in order of their time.

    Attributes:
        arms: Names of the arms.
        arm: Place in ``arms`` of what was taken; shape (n,).
        propensity: Probability with which it was taken; shape (n,).
        reward: What it earned; shape (n,).
        time: When it was taken, unix seconds, ascending; shape (n,).
        known: When the reward was known, unix seconds; shape (n,).
        cluster: Number of the cluster, 0 … g - 1; shape (n,).
        context: Features, the first of which is 1; shape (n, d).
        attributes: Each row's attributes as text, for rules; empty when nobody asks.
        sign: -1 where less reward is better (errors, cost), so that policies that learn want less of it.
    """

    arms: tuple[str, ...]
    arm: Ints
    propensity: Floats
    reward: Floats
    time: Floats
    known: Floats
    cluster: Ints
    context: Floats
    attributes: tuple[Mapping[str, str], ...] = ()
    sign: Literal[-1, 1] = 1

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together.

        Raises:
            ValueError: If lengths differ, an arm has no name, a reward or a feature is no finite number, or times
                descend.
        """
        n = len(self.arm)
        columns = (self.propensity, self.reward, self.time, self.known, self.cluster, self.context)
        if any(len(column) != n for column in columns) or (self.attributes and len(self.attributes) != n):
            raise ValueError(f"the columns of a log are of one length; there are {n} arms")
        if self.context.ndim != 2 or self.context.shape[1] < 1:
            raise ValueError("the context of a log has a row for each observation, and 1 as its first feature")
        if n and not (self.arm.min() >= 0 and self.arm.max() < len(self.arms)):
            raise ValueError(f"the arms of a log are numbers from 0 to {len(self.arms) - 1}")
        if not (np.isfinite(self.reward).all() and np.isfinite(self.context).all()):
            raise ValueError("rewards and features are finite numbers; leave out what has none")
        if n > 1 and (np.diff(self.time) < 0).any():
            raise ValueError("the observations of a log are in order of their time")

    @property
    def n(self) -> int:
        """Number of observations."""
        return len(self.arm)

    @property
    def clusters(self) -> int:
        """Number of clusters that have an observation."""
        return len(np.unique(self.cluster))

    def place(self, arm: str) -> int:
        """Return the place of an arm.

        Raises:
            ValueError: If there is none of that name.
        """
        if arm not in self.arms:
            raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(self.arms)}")
        return self.arms.index(arm)


def bare_context(n: int) -> Floats:
    """Return the context of observations of which nothing is known: the 1 alone; shape (n, 1)."""
    return np.ones((n, 1))
