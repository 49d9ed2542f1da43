"""Thompson sampling, and its top-two form.

Responsible for: the shares of units that drawing from the posteriors would give each arm.
Does not know: draws; the shares are their expectation, computed by quadrature (``best``).

Thompson (1933) gives an arm the probability that it is the best. With these as weights, hashing units to arms is
Thompson sampling between two ticks, and the weight is the propensity.

Top-two Thompson sampling (Russo, Simple Bayesian Algorithms for Best Arm Identification, COLT 2016, section 4.3) gives
the leader of a draw a share of ``leader`` and draws until another leads for the rest: with a_i = P(arm i is best),

    share_i = a_i * (leader + (1 - leader) * sum over j != i of a_j / (1 - a_j))

which finds the best arm sooner, for it does not cease to look at the second.
"""

from typing import Annotated

from msgspec import Meta, Struct
from numpy.random import Generator

from router.bandit.best import best
from router.bandit.earned import Earned, even
from router.bandit.posterior import posteriors


class Thompson(Struct, frozen=True, kw_only=True):
    """Weights are the probabilities that arms are best."""

    def shares(self, earned: Earned, rng: Generator) -> dict[str, float]:  # noqa: ARG002 - quadrature draws nothing
        """Return the share of each arm; the same for all while nothing tells them apart."""
        found = posteriors(earned)
        return even(earned.arms) if found is None else best(found)


class TopTwoThompson(Struct, frozen=True, kw_only=True):
    """Thompson sampling that never ceases to compare the best with the second."""

    leader: Annotated[float, Meta(gt=0, lt=1)] = 0.5

    def shares(self, earned: Earned, rng: Generator) -> dict[str, float]:  # noqa: ARG002 - quadrature draws nothing
        """Return the share of each arm; the same for all while nothing tells them apart."""
        found = posteriors(earned)
        if found is None or len(earned.arms) == 1:
            return even(earned.arms)
        first = best(found)
        # 1 - a_j as the sum of the others: nothing is left of the difference when a_j is nearly 1.
        rest = {arm: sum(share for other, share in first.items() if other != arm) for arm in first}
        return {arm: self._share(arm, first, rest) for arm in first}

    def _share(self, arm: str, first: dict[str, float], rest: dict[str, float]) -> float:
        second = 0.0
        for other, share in first.items():
            if other != arm:
                # When one arm is best beyond any number, all others are equally its second.
                second += share * (first[arm] / rest[other] if rest[other] > 0 else 1 / (len(first) - 1))
        return self.leader * first[arm] + (1 - self.leader) * second
