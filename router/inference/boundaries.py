"""Boundaries of group-sequential tests.

Responsible for: at what values of the z-statistic a test stops for efficacy: with a spending function at any looks,
planned or as they came about, and the classical designs of O'Brien and Fleming, Pocock, and Wang and Tsiatis.
Does not know: futility (``futility``), what a design costs (``operating``), what the statistic is computed from.

Rules: information is a share of what was planned for, so that the last look is at 1 unless the plan was missed. A
two-sided level is split evenly; what is spent is cumulative and in total over both sides. A look that may spend nothing
has no boundary: None. Conventions are those of R's ldbounds, gsDesign and rpact.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, inf, log
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtri

from router.inference.crossing import Look
from router.inference.spending import Spending, log_difference

LOOKS_MAX: Final = 1000


class Level(Struct, frozen=True):
    """An error rate of the first kind.

    Attributes:
        alpha: Over both sides where there are two; each side has less than one half.
        sides: 1 or 2.
    """

    alpha: float = 0.05
    sides: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        """Refuse what is no level.

        Raises:
            ValueError: If alpha is out of range, or there are neither one nor two sides.
        """
        if self.sides not in (1, 2):
            raise ValueError(f"a test has 1 or 2 sides, not {self.sides}")
        if not 1e-300 < self.alpha < 0.5 * self.sides:
            most = 0.5 * self.sides
            raise ValueError(
                f"alpha of a test with sides: {self.sides} is above 0 and below {most:g}, not {self.alpha}"
            )

    @property
    def rate(self) -> float:
        """Alpha of one side."""
        return self.alpha / self.sides


class Boundaries(Struct, frozen=True, kw_only=True):
    """When to stop, look by look.

    Attributes:
        level: The error rate.
        information: Of each look, as a share of what was planned for.
        upper: The test rejects at or above this z; None where it cannot.
        lower: At or below this z: of a two-sided test it rejects in the other direction, of a one-sided one it stops
            for futility; None where it does not.
        alpha_spent: Probability of having rejected by then when there is no effect, over both sides.
        beta_spent: Probability of having stopped for futility by then when the effect is that planned for; None
            without futility.
        binding: Whether the level counts on stopping for futility; None without futility.
        drift: Effect planned for, as the mean of z at information 1; None without futility, whose boundaries depend
            on it.
    """

    level: Level
    information: tuple[float, ...]
    upper: tuple[float | None, ...]
    lower: tuple[float | None, ...]
    alpha_spent: tuple[float, ...]
    beta_spent: tuple[float, ...] | None = None
    binding: bool | None = None
    drift: float | None = None


def checked(information: Sequence[float]) -> tuple[float, ...]:
    """Return the information of looks.

    Raises:
        ValueError: If it is empty, not above 0, not increasing, or there are more than a thousand looks.
    """
    found = tuple(map(float, information))
    if not 1 <= len(found) <= LOOKS_MAX:
        raise ValueError(f"a design has 1 to {LOOKS_MAX} looks, not {len(found)}")
    if not all(0 < t < inf for t in found):
        raise ValueError("the information of a look is above 0 and finite")
    if any(not before * (1 + 1e-12) < after for before, after in pairwise(found)):
        raise ValueError("information has to increase from look to look")
    return found


def evenly(looks: int) -> tuple[float, ...]:
    """Return the information of looks at even distances.

    Raises:
        ValueError: If there are none, or more than a thousand.
    """
    if not 1 <= looks <= LOOKS_MAX:
        raise ValueError(f"a design has 1 to {LOOKS_MAX} looks, not {looks}")
    return tuple(look / looks for look in range(1, looks + 1))


def spending_boundaries(
    level: Level,
    spending: Spending,
    information: Sequence[float],
    *,
    earlier: Sequence[float | None] = (),
    last: bool = False,
) -> Boundaries:
    """Return boundaries by a spending function, at looks as planned or as they came about.

    A boundary depends on nothing that comes after its look, so that looks can be added without changing earlier ones.
    At an information of 1 or more all of alpha is due: the first such look gets the rest, with the correlations that
    the true information gives; a look after that gets nothing.

    Args:
        level: The error rate.
        spending: The spending function.
        information: Of each look, increasing.
        earlier: Boundaries that were used at the first looks, whatever a spending function would have said; what they
            spent is subtracted from what later looks may spend.
        last: Whether no look follows, so that the last one may spend what is left although its information is below 1.

    Raises:
        ValueError: If the information does not increase, or more boundaries are given than there are looks.
    """
    times = checked(information)
    if len(earlier) > len(times):
        raise ValueError("there are more earlier boundaries than looks")
    used: list[float] = []  # logarithms of what one side spent at each look
    upper: list[float] = []
    look = Look(times[0])
    for index, t in enumerate(times):
        due = log(level.rate) if last and index == len(times) - 1 else spending.log_spent(t, level.rate)
        if index < len(earlier):
            given = earlier[index]
            bound = inf if given is None else given
            used.append(look.log_tail(bound, 0.0))
        else:
            used.append(log_difference(due, float(logsumexp(used)) if used else -inf))
            bound = look.bound(used[-1], 0.0)
        upper.append(bound)
        if index + 1 < len(times):
            look = look.next(-bound if level.sides == 2 else -inf, bound, times[index + 1])
    return _made(level, times, upper, used)


def classical_boundaries(level: Level, information: Sequence[float], shape: float) -> Boundaries:
    """Return the boundaries C t^(shape - 1/2) of Wang and Tsiatis (1987), t as a share of the last information.

    Args:
        level: The error rate.
        information: Of each look, increasing.
        shape: 0 for O'Brien and Fleming (1979), 0.5 for Pocock (1977), or between.

    Raises:
        ValueError: If the information does not increase or the shape lies elsewhere.
    """
    if not 0 <= shape <= 0.5:
        raise ValueError(f"the shape of a classical design lies from 0 to 0.5, not at {shape}")
    times = checked(information)
    factors = (np.array(times) / times[-1]) ** (shape - 0.5)

    def spent(constant: float) -> list[float]:
        return log_tails(level, times, [float(constant * factor) for factor in factors])

    def excess(constant: float) -> float:
        return float(logsumexp(spent(constant))) - log(level.rate)

    lowest, highest = (-float(ndtri(level.rate / parts)) for parts in (1, len(times)))
    constant = lowest if len(times) == 1 else brentq(excess, lowest - 1e-6, highest + 1e-6, xtol=1e-12, rtol=1e-13)
    upper = [float(constant * factor) for factor in factors]
    return _made(level, times, upper, spent(constant))


def log_tails(level: Level, information: Sequence[float], upper: Sequence[float]) -> list[float]:
    """Return the logarithm of the probability that a test without an effect first rejects upwards, look by look."""
    look, found = Look(information[0]), []
    for index, bound in enumerate(upper):
        found.append(look.log_tail(bound, 0.0))
        if index + 1 < len(upper):
            look = look.next(-bound if level.sides == 2 else -inf, bound, information[index + 1])
    return found


def _made(level: Level, times: tuple[float, ...], upper: Sequence[float], used: Sequence[float]) -> Boundaries:
    tops = tuple(None if bound == inf else bound for bound in upper)
    return Boundaries(
        level=level,
        information=times,
        upper=tops,
        lower=tuple(None if level.sides == 1 or top is None else -top for top in tops),
        alpha_spent=cumulative(used, level.sides),
    )


def cumulative(logs: Sequence[float], sides: int = 1) -> tuple[float, ...]:
    """Return what was spent by each look, from the logarithms of what each look spent on one side."""
    return tuple(float(each) for each in sides * np.cumsum([exp(value) for value in logs]))
