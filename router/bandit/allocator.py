"""The seam of allocators, and the built-in ones by name.

Responsible for: what an allocator is asked, and which class ``use`` stands for.
Does not know: the configuration's other keys; when allocators are asked (``router.control``).

An allocator is a frozen struct whose fields are its options, with one method; it sees the arms that run, and says how
the units that are not spoken for by the floor and by control's share go to them.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from numpy.random import Generator

from router.bandit.confidence import KlUcb, Ucb
from router.bandit.earned import Earned
from router.bandit.elimination import SuccessiveElimination
from router.bandit.greedy import EpsilonGreedy
from router.bandit.thompson import Thompson, TopTwoThompson


class Allocator(Protocol):
    """From what arms have earned to their shares."""

    def shares(self, earned: Earned, rng: Generator) -> Mapping[str, float]:
        """Return the share of each arm.

        Args:
            earned: Rewards of the arms; at least one arm.
            rng: For an allocator that draws; seeded anew for each tick, so that a tick can be computed again.

        Returns:
            A number that is not below 0 for each arm; they add up to 1.
        """
        ...


BUILT_IN: Final[Mapping[str, type[Allocator]]] = {
    "thompson": Thompson,
    "top_two_thompson": TopTwoThompson,
    "ucb": Ucb,
    "kl_ucb": KlUcb,
    "epsilon_greedy": EpsilonGreedy,
    "successive_elimination": SuccessiveElimination,
}
"""Name in the configuration to class."""
