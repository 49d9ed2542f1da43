"""Boundaries for stopping for futility, by spending the error rate of the second kind.

Responsible for: lower boundaries of a one-sided test, binding or not, and the effect at which it has its power.
Does not know: what a design costs (``operating``).

Rules: the boundaries spend beta as the efficacy boundaries spend alpha, under the effect planned for; that effect is
the one at which both meet at the last look (Pampallona, Tsiatis and Kim 2001; Anderson and Clark 2010). Non-binding:
the efficacy boundaries are those without futility, so that the level holds whether or not anybody stops. Binding: they
count on it and are lower.
"""

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

from msgspec import Struct
from scipy.optimize import brentq
from scipy.special import ndtri

from router.inference.boundaries import Boundaries, checked, cumulative
from router.inference.crossing import Look
from router.inference.spending import Spending

_LARGEST_DRIFT = 80.0


class Futility(Struct, frozen=True):
    """How to stop for futility.

    Attributes:
        power: 1 - beta, above alpha and below 1.
        spending: How beta is spent.
        binding: Whether the level counts on stopping.
    """

    power: float = 0.8
    spending: Spending = Spending()
    binding: bool = False


class _Walk(NamedTuple):
    lower: list[float]
    upper: list[float]
    excess: float  # logarithm of the probability of ending below, less that of what of beta is left


def with_futility(efficacy: Boundaries, futility: Futility, spending: Spending | None) -> Boundaries:
    """Return a one-sided design with boundaries for futility.

    Args:
        efficacy: The design without them.
        futility: How to stop.
        spending: The spending function of ``efficacy``; None when it is a classical design, which can only have
            boundaries that do not bind.

    Raises:
        ValueError: If the test has two sides, the power is not above alpha, or there is no such design.
    """
    level, times = efficacy.level, checked(efficacy.information)
    if level.sides != 1:
        raise ValueError("boundaries for futility are those of a one-sided test")
    if not level.alpha < futility.power < 1:
        raise ValueError(f"power lies above alpha and below 1, not at {futility.power}")
    if futility.binding and spending is None:
        raise ValueError("binding futility takes a spending function; a classical design has none")
    beta = futility.spending.increments(times, 1 - futility.power)
    alpha = None
    if futility.binding and spending is not None:
        whole = efficacy.alpha_spent[-1] > level.alpha * (1 - 1e-9)
        alpha = spending.increments(times, level.rate, last=whole)
    fixed = [inf if bound is None else bound for bound in efficacy.upper]

    def walk(drift: float) -> _Walk:
        return _walk(times, drift, beta, (alpha, fixed))

    lowest = -float(ndtri(level.rate)) + float(ndtri(futility.power))
    lowest /= sqrt(times[-1])
    low, high = 0.5 * lowest, 1.1 * lowest
    while walk(high).excess > 0:
        low, high = high, 1.2 * high
        if high > _LARGEST_DRIFT / sqrt(times[-1]):
            raise ValueError("no effect gives this design that power; spend less at first")
    drift = float(brentq(lambda value: walk(value).excess, low, high, xtol=1e-12, rtol=1e-13))
    found = walk(drift)
    if len(found.lower) < len(times) or abs(found.excess) > 1e-6:
        raise ValueError(
            "the boundaries for futility meet those for efficacy before the last look; spend less at first"
        )
    lower = [*found.lower[:-1], found.upper[-1]]
    return Boundaries(
        level=level,
        information=times,
        upper=tuple(None if bound == inf else bound for bound in found.upper),
        lower=tuple(None if bound == -inf else bound for bound in lower),
        alpha_spent=cumulative(alpha) if alpha is not None else efficacy.alpha_spent,
        beta_spent=cumulative(beta),
        binding=futility.binding,
        drift=drift,
    )


def _walk(
    times: Sequence[float], drift: float, beta: Sequence[float], upper: tuple[Sequence[float] | None, Sequence[float]]
) -> _Walk:
    """Go through the looks at one drift; an excess of minus infinity says that the drift is too large."""
    alpha, fixed = upper
    lows: list[float] = []
    highs: list[float] = []
    look = Look(times[0])
    for index, t in enumerate(times):
        mean = drift * t**0.5
        if alpha is not None and look.log_tail(-inf, 0.0) <= alpha[index]:
            break
        high = fixed[index] if alpha is None else look.bound(alpha[index], 0.0)
        highs.append(high)
        if index == len(times) - 1:
            below = look.log_tail(high, mean, side=-1)
            return _Walk([*lows, high], highs, below - beta[-1])
        if beta[index] > -inf and look.log_tail(high, mean, side=-1) <= beta[index]:
            break
        low = look.bound(beta[index], mean, side=-1)
        lows.append(low)
        look = look.next(low, high, times[index + 1])
    return _Walk(lows, highs, -1e3)
