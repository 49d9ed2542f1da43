"""Two proportions of independent units: the pooled z-test with score intervals, and Fisher's test for small counts.

Responsible for: proportions, retention and funnels, whose values are 0 and 1.
Does not know: clusters (``difference``), covariates (``adjusted``), priors (``bayes``).

Rules: pure. From ``FEWEST_EXPECTED`` expected successes and failures on in each arm, p is that of the pooled z-test and
the intervals are Mee's and Koopman's (``score``). Below, p is Fisher's and the intervals combine the exact ones of both
arms (Clopper and Pearson 1934; Zou and Donner 2008), which makes them wide; they hold 0 whenever Fisher's test does not
reject. Nobody, or everybody, in both arms is ``NotEnough``.
"""

from math import isfinite, sqrt
from typing import Final

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import Estimate, NotEnough
from router.inference.difference import p_of
from router.inference.effect import Asked, Effect, Interval, Relative
from router.inference.score import Count, difference, ratio

FEWEST_EXPECTED: Final = 5
"""Cochran's rule (1954): expected numbers below 5 make the normal approximation of counts doubtful."""

SMALL = "Fewer than 5 successes or failures are expected in an arm: Fisher's exact p, and intervals that are wide."


def compare(treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare two proportions of independent units.

    Args:
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the interval.
    """
    one, two = count(treatment), count(control)
    if isinstance(one, NotEnough):
        return NotEnough(f"treatment: {one.reason}", one.n)
    if isinstance(two, NotEnough):
        return NotEnough(f"control: {two.reason}", two.n)
    return of_counts(one, two, asked)


def count(known: Aggregate) -> Count | NotEnough:
    """Return successes and units of an arm."""
    sums = known.units
    if sums.n == 0:
        return NotEnough("no unit's window is over yet" if known.immature else "no units", 0)
    # NaN is neither.
    if not 0 <= sums.y <= sums.n or abs(sums.y - round(sums.y)) > 1e-6:
        return NotEnough("its sum is no number of units", sums.n)
    return round(sums.y), sums.n


def of_counts(one: Count, two: Count, asked: Asked) -> Effect | NotEnough:
    """Compare successes out of trials: the treatment's ``one`` with control's ``two``, each of at least one trial."""
    successes, trials = one[0] + two[0], one[1] + two[1]
    if successes in (0, trials):
        return NotEnough("nobody in both arms" if successes == 0 else "everybody in both arms", trials)
    small = min(one[1], two[1]) * (min(successes, trials - successes) / trials) < FEWEST_EXPECTED
    shares = [x / n for x, n in (one, two)]
    pooled = successes / trials
    null_error = sqrt(pooled * (1 - pooled) * (1 / one[1] + 1 / two[1]))
    value = shares[0] - shares[1]
    tail = fisher(*sorted((one, two))) / 2 if small else float(ndtr(-abs(value / null_error)))
    p = p_of(tail)
    claimed = not small or p <= asked.alpha
    arms = [Estimate(share, _error(share, n), n) for share, (_, n) in zip(shares, (one, two), strict=True)]
    return Effect(
        value=value,
        interval=_with_zero(Interval(*_either_way(one, two, asked, small=small)), claimed=claimed),
        level=1 - asked.alpha,
        relative=_relative(one, two, asked, small=small, claimed=claimed),
        p=p,
        standard_error=sqrt(sum(share * (1 - share) / n for share, (_, n) in zip(shares, (one, two), strict=True))),
        treatment=arms[0],
        control=arms[1],
        method="Fisher's exact test" if small else "z-test of two proportions",
        basis="fixed horizon",
        notes=(SMALL,) if small else (),
    )


def fisher(one: Count, two: Count) -> float:
    """Return the two-sided p of Fisher's exact test: of all tables with these margins, those that are no likelier.

    Written out, from ratios of neighbouring probabilities, since ``scipy.stats.fisher_exact`` takes seconds where an
    arm is a hundred million units; there are at most as many tables as units in the smaller arm, or successes.

    Args:
        one: Successes and trials of one arm.
        two: Those of the other.
    """
    successes, trials = one[0] + two[0], one[1] + two[1]
    lowest, highest = max(0, one[1] + successes - trials), min(one[1], successes)
    x = np.arange(lowest, highest, dtype=float)
    up = np.log(successes - x) + np.log(one[1] - x)
    down = np.log(x + 1) + np.log(trials - successes - one[1] + x + 1)
    logs = np.concatenate([[0.0], np.cumsum(up - down)])
    shares = np.exp(logs - logs.max())
    # Tables that are equally likely differ by rounding; the tolerance is that of R and scipy.
    return float(shares[shares <= shares[one[0] - lowest] * (1 + 1e-7)].sum() / shares.sum())


def clopper_pearson(counted: Count, alpha: float) -> tuple[float, float]:
    """Return the exact interval of a proportion, from quantiles of the beta distribution."""
    x, n = counted
    low = 0.0 if x == 0 else float(betaincinv(x, n - x + 1, alpha / 2))
    high = 1.0 if x == n else float(betaincinv(x + 1, n - x, 1 - alpha / 2))
    return low, high


def _error(share: float, n: int) -> float | None:
    return sqrt(share * (1 - share) / (n - 1)) if n > 1 else None


def _either_way(one: Count, two: Count, asked: Asked, *, small: bool) -> tuple[float, float]:
    """Return the interval of the difference, from the arms in one order, so that relabelling negates it exactly."""
    first, second = sorted((one, two), reverse=True)
    if small:
        low, high = _combined(first, second, asked.alpha)
    else:
        low, high = difference(first, second, -float(ndtri(asked.alpha / 2)))
    if one == two:
        return -high, high
    return (low, high) if one == first else (-high, -low)


def _combined(one: Count, two: Count, alpha: float) -> tuple[float, float]:
    """Return an interval of p1 - p2 from those of p1 and p2 (method of variance estimates recovery)."""
    (l1, u1), (l2, u2) = clopper_pearson(one, alpha), clopper_pearson(two, alpha)
    p1, p2 = one[0] / one[1], two[0] / two[1]
    low = p1 - p2 - sqrt((p1 - l1) * (p1 - l1) + (u2 - p2) * (u2 - p2))
    high = p1 - p2 + sqrt((u1 - p1) * (u1 - p1) + (p2 - l2) * (p2 - l2))
    return max(-1.0, low), min(1.0, high)


def _with_zero(found: Interval, *, claimed: bool) -> Interval:
    """Return an interval that claims no difference where its test does not: of a unit or two, limits combined may."""
    if claimed:
        return found
    return Interval(
        None if found.low is None else min(0.0, found.low), None if found.high is None else max(0.0, found.high)
    )


def _relative(one: Count, two: Count, asked: Asked, *, small: bool, claimed: bool) -> Relative | NotEnough:
    if two[0] == 0:
        return NotEnough("control's value is 0", two[1])
    value = (one[0] / one[1]) / (two[0] / two[1]) - 1
    if not small:
        low, high = ratio(one, two, -float(ndtri(asked.alpha / 2)))
        return Relative(value, Interval(low - 1, high - 1))
    (l1, u1), (l2, u2) = clopper_pearson(one, asked.alpha), clopper_pearson(two, asked.alpha)
    p1, p2 = one[0] / one[1], two[0] / two[1]
    product = p1 * p2
    # Donner and Zou (2012), the lower limit in the form that bears u2 = 2 p2.
    low, divisor = 0.0, l2 * (2 * p2 - l2)
    above: float | None = None
    if l1 > 0:
        root = sqrt(max(0.0, product * product - l1 * u2 * (2 * p1 - l1) * (2 * p2 - u2)))
        low = l1 * (2 * p1 - l1) / (product + root)
    if divisor > 0:
        root = sqrt(max(0.0, product * product - u1 * l2 * (2 * p1 - u1) * (2 * p2 - l2)))
        found = (product + root) / divisor
        above = found - 1 if isfinite(found) else None
    return Relative(value, _with_zero(Interval(low - 1, above), claimed=claimed))
