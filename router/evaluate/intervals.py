"""Intervals of the numbers of an offline check.

Responsible for: shares (Wilson), means (t), quantiles (order statistics), and anything else by resampling units.
Does not know: what is measured.

Requests of one unit are not independent. With units, a share's Wilson interval is that of an effective number of
requests, n divided by the design effect of its variance between units (Korn and Graubard 1998; at least the number of
units, at most n), a mean's is cluster-robust, and resampling takes whole units (cluster bootstrap, Field and Welsh
2007).

Rules: pure; a generator is given. Where all of a sample is the same no interval has no width: a share's never does, and
resampling says so instead.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import statsmodels.api as sm
from scipy.stats import quantile_test
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from router.evaluate.sides import Bools, Floats, Ints

DRAWS: Final = 1000
MOST_WORK: Final = 40_000_000
"""Rows times draws: larger samples are drawn less often, at least ``LEAST_DRAWS`` times."""
LEAST_DRAWS: Final = 200
FEWEST: Final = 20
"""Units below which nothing is resampled: percentiles of so few are too narrow (Efron and Tibshirani 1993, 14.3)."""

Ends = tuple[float, float]


def share(right: Bools, units: Ints | None, alpha: float) -> Ends:
    """Return the interval of a share, by Wilson's score.

    Args:
        right: Whether it is so, for each request.
        units: Unit of each; None where they are independent.
        alpha: One less the level.
    """
    n = len(right)
    effective = n if units is None else n / _design_effect(right.astype(float), units)
    low, high = proportion_confint(float(right.mean()) * effective, effective, alpha=alpha, method="wilson")
    return float(low), float(high)


def mean(values: Floats, units: Ints | None, alpha: float) -> Ends | None:
    """Return the interval of a mean by Student's t, robust to units; None with fewer than two of them, or no spread."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    if units is None:
        low, high = DescrStatsW(values).tconfint_mean(alpha=alpha)
        return float(low), float(high)
    if len(np.unique(units)) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": units}, use_t=True)
        low, high = fitted.conf_int(alpha=alpha)[0]
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def quantile(values: Floats, q: float, alpha: float) -> Ends | None:
    """Return the order statistics that enclose a quantile; None with too few values beyond it."""
    if len(values) < 2:
        return None
    found = quantile_test(values, p=q).confidence_interval(1 - alpha)
    return (float(found.low), float(found.high)) if np.isfinite([found.low, found.high]).all() else None


def draw(
    statistics: Sequence[Callable[[Floats], float]],
    units: Ints,
    generator: np.random.Generator,
) -> Floats:
    """Compute statistics of resampled units.

    Args:
        statistics: Functions of how often each request counts.
        units: Unit of each request, from 0 without gaps.
        generator: Draws.

    Returns:
        A row for each draw, a column for each statistic; NaN where it is not defined.
    """
    count = int(units.max()) + 1 if len(units) else 0
    draws = int(min(DRAWS, max(LEAST_DRAWS, MOST_WORK // max(1, len(units)))))
    found = np.empty((draws, len(statistics)))
    for row in range(draws):
        times = np.bincount(generator.integers(0, count, size=count), minlength=count).astype(float)
        weights = times[units]
        found[row] = [statistic(weights) for statistic in statistics]
    return found


def percentiles(drawn: Floats, alpha: float) -> Ends | None:
    """Return the percentile interval; None where draws are not defined, or are all the same."""
    if not np.isfinite(drawn).all() or np.ptp(drawn) == 0:
        return None
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _design_effect(values: Floats, units: Ints) -> float:
    """Return how much larger the variance of a share is than that of as many independent requests, 1 at least.

    Where all are the same there is nothing to estimate it from: as if those of a unit were all equal (Kish).
    """
    n, p = len(values), float(values.mean())
    sizes = np.bincount(units).astype(float)
    sizes = sizes[sizes > 0]
    kish = float((sizes**2).sum() / n)
    if p in (0.0, 1.0) or len(sizes) < 2:
        return max(1.0, kish)
    residuals = np.bincount(units, weights=values - p)
    count = len(sizes)
    variance = float((residuals**2).sum()) * count / (count - 1) / n**2
    return max(1.0, variance / (p * (1 - p) / n))
