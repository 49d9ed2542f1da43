"""The mixture sequential probability ratio test: a normal mixture over effects, against one effect.

Responsible for: its likelihood ratio, the always-valid p-value and interval that follow, and what it is tuned to.
Does not know: metrics, arms; how a difference and its variance were estimated.

A difference d, of variance V now, is near normal, and d/V has independent increments in the information 1/V (of two
arms with any interleaving: Jennison and Turnbull 2000, chapter 11). With a normal mixture over effects, variance tau^2,

    Lambda(d0) = sqrt(V / (V + tau^2)) exp(tau^2 (d - d0)^2 / (2 V (V + tau^2)))

is a martingale under d0 (Robbins 1970; Johari, Koomen, Pekelis and Walsh, Operations Research 2022, with V = 2 s^2/n
of two normal arms of n units each, and V = (p_t(1 - p_t) + p_c(1 - p_c))/n of proportions by the central limit
theorem). By Ville's inequality it ever exceeds 1/alpha with a probability of at most alpha, so 1/Lambda is a p-value at
any time, and the effects with Lambda(d0) < 1/alpha are an interval at any time:

    d +- k sqrt(V),     k^2 = (1 + kappa)/kappa (2 ln(1/alpha) + ln(1 + kappa)),     kappa = tau^2/V

Rules: pure. What a mixture is tuned to is chosen before data come, and changes widths alone, never validity.
"""

from collections.abc import Iterable
from math import exp, inf, log, log1p, sqrt
from sys import float_info
from typing import Final

from scipy.special import lambertw, ndtri

from router.inference.effect import Interval

POWER: Final = 0.8
"""Power of the test at a fixed size that the mixture is tuned beside."""
_SQUARED: Final = 1e-150


def log_ratio(difference: float, variance: float, tau2: float) -> float:
    """Return ln Lambda of no difference.

    Args:
        difference: The estimate, less the effect that is tested.
        variance: Of the estimate, above 0.
        tau2: Variance of the mixture, above 0.

    Raises:
        ValueError: If a variance is not above 0.
    """
    _positive(variance, tau2)
    kappa = tau2 / variance
    return 0.5 * (kappa / (1 + kappa) * difference * (difference / variance) - log1p(kappa))


def p_value(log_e: float) -> float:
    """Return the p-value of a martingale's value, 1/e: at most 1, and never the 0 that it underflows to.

    It is valid at any time, and so is the smallest of the past (``running``).

    Args:
        log_e: Logarithm of the value.
    """
    return min(1.0, max(exp(-max(log_e, 0.0)), float_info.min))


def running(looks: Iterable[float | None]) -> float:
    """Return the p-value after several looks: the smallest so far; 1 when none had one.

    Args:
        looks: p-values in any order; None where there was not enough data.
    """
    return min((p for p in looks if p is not None), default=1.0)


def critical(kappa: float, alpha: float) -> float:
    """Return how many standard errors an always-valid interval reaches: k.

    Args:
        kappa: tau^2 over the variance of the estimate now, above 0.
        alpha: Share of intervals that ever miss.

    Raises:
        ValueError: If kappa is not above 0, or alpha no share.
    """
    _positive(kappa)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    # A minute kappa makes k infinite, which callers see as an interval without ends.
    ratio = 1 + 1 / kappa
    return sqrt(ratio * (log1p(kappa) - 2 * log(alpha))) if ratio < float_info.max else inf


def interval(difference: float, variance: float, tau2: float, alpha: float) -> Interval:
    """Return the effects that are not rejected.

    Args:
        difference: The estimate.
        variance: Of the estimate, above 0.
        tau2: Variance of the mixture, above 0.
        alpha: Share of intervals that ever miss.

    Raises:
        ValueError: If a variance is not above 0, or alpha no share.
    """
    _positive(variance, tau2)
    kappa = tau2 / variance
    reach = critical(kappa, alpha) * sqrt(variance) if kappa > 0 else inf
    return Interval(difference - reach, difference + reach) if reach < inf else Interval(None, None)


def best_kappa(alpha: float) -> float:
    """Return the kappa at which k is smallest: -W(-alpha^2/e) - 1, W being the lower branch of Lambert's function.

    Divided by a number of observations it is the rho^2 that makes the sequence tightest there (Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas, arXiv 2103.06476; their approximation is -2 ln alpha + ln(1 - 2 ln alpha)).

    Args:
        alpha: Share of intervals that ever miss.

    Raises:
        ValueError: If alpha is no share.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    if alpha > _SQUARED:
        return float(-lambertw(-alpha * alpha * exp(-1), k=-1).real) - 1
    kappa = -2 * log(alpha)
    for _ in range(20):  # the same equation, kappa = 2 ln(1/alpha) + ln(1 + kappa), where alpha^2 would be 0
        kappa = -2 * log(alpha) + log1p(kappa)
    return kappa


def tau2_for(mde: float, alpha: float) -> float:
    """Return the mixture's variance for an effect that matters.

    The sequence is tightest where a test at a fixed size would have 80 % power for that effect: there V is
    (mde / (z_{1-alpha/2} + z_{0.8}))^2. Variances cancel, so tau depends on no data; at alpha = 0.05 it is 1.02 mde.

    Args:
        mde: The effect, absolute, above 0.
        alpha: Share of intervals that ever miss.
    """
    _positive(mde)
    error = mde / float(ndtri(POWER) - ndtri(alpha / 2))
    return best_kappa(alpha) * (error * error)


def _positive(*values: float) -> None:
    for value in values:
        if not 0 < value < inf:
            raise ValueError(f"a variance is above 0 and finite, not {value}")
