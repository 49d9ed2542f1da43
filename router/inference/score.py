"""Score intervals for differences and ratios of two proportions: what the pooled z-test does not reject.

Responsible for: Mee's interval (1984) for p1 - p2 and Koopman's (1984) for p1 / p2. Both invert the score test, which
is the pooled z-test where nothing differs; so p-value, absolute and relative interval always agree about 0.
Does not know: metrics, or which counts are too small for it.

The standard error at a supposed difference (or ratio) is taken at the likeliest pair of proportions that differ by it:
a cubic for differences (Farrington and Manning 1990), a quadratic for ratios. statsmodels inverts the same test with a
root search that fails or gives wrong bounds where a count is 0 or n, hence own code.

Rules: pure; counts with 0 <= x <= n and n > 0.
"""

from collections.abc import Callable
from math import acos, copysign, cos, exp, log, pi, sqrt

from scipy.optimize import brentq

Count = tuple[int, int]
"""Successes, and trials."""


def difference(one: Count, two: Count, reach: float) -> tuple[float, float]:
    """Return the interval of p1 - p2.

    Args:
        one: Successes and trials of the first.
        two: Those of the second.
        reach: Quantile of the normal distribution, such as 1.96.
    """
    found = one[0] / one[1] - two[0] / two[1]

    def beyond(sign: float) -> Callable[[float], float]:
        return lambda supposed: sign * (found - supposed) - reach * sqrt(_spread(one, two, supposed))

    # Where what was found has no spread, all or nobody, the next difference has.
    low = -1.0 if found <= -1 else _root(beyond(1.0), -1.0, found - 1e-12)
    high = 1.0 if found >= 1 else _root(beyond(-1.0), found + 1e-12, 1.0)
    return low, high


def ratio(one: Count, two: Count, reach: float) -> tuple[float, float]:
    """Return the interval of p1 / p2.

    Args:
        one: Successes and trials of the first.
        two: Those of the second; at least one success.
        reach: Quantile of the normal distribution.
    """
    share, base = one[0] / one[1], two[0] / two[1]

    def beyond(sign: float) -> Callable[[float], float]:
        def distance(logarithm: float) -> float:
            supposed = exp(logarithm)
            return sign * (share - supposed * base) - reach * sqrt(_spread_of_ratio(one, two, supposed))

        return distance

    # No ratio of counts is further from 1 than the trials are many.
    edge = log(one[1]) + log(two[1]) + 2 * log(1 + reach) + 10
    middle = -edge if share == 0 else log(share / base)
    low = 0.0 if share == 0 else exp(_root(beyond(1.0), -edge, middle - 1e-12))
    return low, exp(_root(beyond(-1.0), middle + 1e-12, edge))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function changes its sign; the end where it is 0, or nearest to it, when it does not."""
    left, right = function(low), function(high)
    if left * right >= 0:
        return low if abs(left) < abs(right) else high
    return float(brentq(function, low, high, xtol=1e-15, rtol=1e-12))


def _spread(one: Count, two: Count, supposed: float) -> float:
    """Return the variance of p1 - p2 at the likeliest p1 and p2 that differ by what is supposed."""
    share, base = one[0] / one[1], two[0] / two[1]
    odds = two[1] / one[1]
    a = 1 + odds
    b = -(1 + odds + share + odds * base + supposed * (odds + 2))
    c = supposed * supposed + supposed * (2 * share + odds + 1) + share + odds * base
    d = -share * supposed * (1 + supposed)
    first = _likeliest((a, b, c, d), max(0.0, supposed), min(1.0, 1 + supposed))
    second = min(1.0, max(0.0, first - supposed))
    return first * (1 - first) / one[1] + second * (1 - second) / two[1]


def _likeliest(cubic: tuple[float, float, float, float], low: float, high: float) -> float:
    """Return the root of a likelihood equation, by Cardano's formula and two of Newton's steps for its lost digits."""
    a, b, c, d = cubic
    v = b * b * b / (27 * a * a * a) - b * c / (6 * a * a) + d / (2 * a)
    u = copysign(sqrt(max(0.0, b * b / (9 * a * a) - c / (3 * a))), v)
    cube = u * u * u
    turn = (pi + acos(min(1.0, max(-1.0, v / cube)))) / 3 if cube else pi / 2
    root = min(high, max(low, 2 * u * cos(turn) - b / (3 * a)))
    for _ in range(2):
        slope = (3 * a * root + 2 * b) * root + c
        if slope == 0:
            break
        root = min(high, max(low, root - (((a * root + b) * root + c) * root + d) / slope))
    return root


def _spread_of_ratio(one: Count, two: Count, supposed: float) -> float:
    """Return the variance of p1 - supposed p2 at the likeliest p1 and p2 of that ratio."""
    a = (one[1] + two[1]) * supposed
    b = one[1] * supposed + one[0] + two[1] + two[0] * supposed
    c = one[0] + two[0]
    base = min(1.0, 2 * c / (b + sqrt(max(0.0, b * b - 4 * a * c))))
    share = min(1.0, supposed * base)
    return share * (1 - share) / one[1] + supposed * supposed * base * (1 - base) / two[1]
