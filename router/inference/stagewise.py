"""What a group-sequential test says after it stopped: p-value, interval and estimate by the stage-wise ordering.

Responsible for: the ordering of Tsiatis, Rosner and Mehta (1984): a boundary crossed earlier is more extreme, and at
the same look a larger z is.
Does not know: plans, metrics, why the test stopped.

Rules: pure. Means are those of z at the last look. Boundaries for futility do not bind, so they are no part of it.
"""

from collections.abc import Callable
from math import inf, log, sqrt
from typing import Final

from msgspec import Struct
from scipy.optimize import brentq
from scipy.special import logsumexp

from router.inference import crossing
from router.inference.mixture import p_value

_FARTHEST: Final = 300.0


class Walked(Struct, frozen=True):
    """The looks that a test took.

    Attributes:
        amounts: Information at each, increasing, in any unit.
        upper: Boundary at each; None where it could not stop. A two-sided test has the same below 0.
        z: The statistic at the last look.
        sides: 1 or 2.
    """

    amounts: tuple[float, ...]
    upper: tuple[float | None, ...]
    z: float
    sides: int


class Means(Struct, frozen=True):
    """What is said of the mean of z at the last look.

    Attributes:
        p: Of the mean 0, over the sides of the test.
        low: Lower confidence limit, at the rate of one side.
        middle: Median-unbiased estimate.
        high: Upper confidence limit, likewise.
    """

    p: float
    low: float
    middle: float
    high: float


def stagewise(walked: Walked, rate: float) -> Means | None:
    """Return what the ordering says.

    Args:
        walked: The looks that a test took, none of which stopped it before the last.
        rate: Alpha of one side.

    Returns:
        None where probabilities leave the range of floating point.
    """
    beyond = _beyond(walked)
    low, middle, high = (_mean_at(beyond, walked.z, *at) for at in ((log(rate), 1), (log(0.5), 1), (log(rate), -1)))
    if low is None or middle is None or high is None:
        return None
    up = beyond(0.0, 1)
    return Means(p_value(-up if walked.sides == 1 else -min(up, beyond(0.0, -1)) - log(2)), low, middle, high)


def _beyond(walked: Walked) -> Callable[[float, int], float]:
    """Return the function that gives the logarithm of the probability of as much or more, at a mean, to a side."""
    bounds = [inf if bound is None else bound for bound in walked.upper]
    looks = [crossing.Look(walked.amounts[0])]
    for bound, amount in zip(bounds[:-1], walked.amounts[1:], strict=True):
        looks.append(looks[-1].next(-bound if walked.sides == 2 else -inf, bound, amount))
    roots = [sqrt(amount / walked.amounts[-1]) for amount in walked.amounts]

    def beyond(mean: float, side: int) -> float:
        counted = bounds[:-1] if side > 0 or walked.sides == 2 else []
        tails = [
            look.log_tail(side * bound, mean * root, side)
            for look, bound, root in zip(looks, counted, roots, strict=False)
        ]
        return float(logsumexp([*tails, looks[-1].log_tail(walked.z, mean, side)]))

    return beyond


def _mean_at(beyond: Callable[[float, int], float], z: float, log_probability: float, side: int) -> float | None:
    """Return the mean at which what was seen has a probability."""

    def excess(mean: float) -> float:
        return beyond(mean, side) - log_probability

    reach = 4.0
    while reach < _FARTHEST:
        low, high = z - reach, z + reach
        if (excess(low) < 0) is not (excess(high) < 0):
            return float(brentq(excess, low, high, xtol=1e-10))
        reach *= 2
    return None
