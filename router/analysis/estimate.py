"""Aggregates to estimates: a value with its standard error, or why there is none.

Responsible for: means, ratios and quantiles of one arm, with standard errors that know that exchanges of one unit, and
users of one cluster, are not independent.
Does not know: other arms; nothing here compares, tests or decides.

Rules: pure. Too little data is ``NotEnough``, never 0, nan or an exception. A standard error is that of a mean
(s/sqrt(n)), or of a ratio of means by the delta method (Deng, Knoblich and Lu, KDD 2018, section 3), over clusters
where units hold several users.
"""

from math import sqrt

from msgspec import Struct

from router.analysis.aggregates import Aggregate, Moments
from router.config.schema import Metric


class Estimate(Struct, frozen=True, tag="estimate"):
    """What a metric is in one cell.

    Attributes:
        value: The estimate, in the metric's own unit; seconds for durations.
        standard_error: Of the value; None where it takes more than sums (quantiles), or there is one unit.
        n: Units that it is made of; for a quantile of exchanges, exchanges.
    """

    value: float
    standard_error: float | None
    n: int


class NotEnough(Struct, frozen=True, tag="not_enough_data"):
    """That a metric cannot be said in one cell.

    Attributes:
        reason: Why, for a person.
        n: Units, or exchanges, that there are.
    """

    reason: str
    n: int


def estimate(metric: Metric, known: Aggregate) -> Estimate | NotEnough:
    """Return what a metric is in a cell.

    Args:
        metric: The metric.
        known: What is known of it there.
    """
    if metric.kind == "quantile":
        return _quantile(metric, known)
    sums = known.units
    if sums.n == 0:
        return NotEnough(_nobody(known), 0)
    if metric.kind == "ratio":
        return _ratio(known.clusters or sums, sums.n)
    if known.clusters is not None:
        return _ratio(known.clusters, sums.n)
    return Estimate(sums.y / sums.n, _standard_error(sums), sums.n)


def _nobody(known: Aggregate) -> str:
    if known.immature:
        return "no unit's window is over yet"
    return "no unit has a value" if known.missing else "no units"


def _quantile(metric: Metric, known: Aggregate) -> Estimate | NotEnough:
    total = 0 if known.sketch is None else known.sketch.total
    value = None if known.sketch is None or metric.q is None else known.sketch.quantile(metric.q)
    return NotEnough(_nobody(known), total) if value is None else Estimate(value, None, total)


def _standard_error(sums: Moments) -> float | None:
    if sums.n < 2:
        return None
    variance = max(0.0, sums.yy - sums.y * sums.y / sums.n) / (sums.n - 1)
    return sqrt(variance / sums.n)


def _ratio(sums: Moments, n: int) -> Estimate | NotEnough:
    """Return sum over sum, of independent pairs."""
    if sums.x == 0:
        return NotEnough("its denominator is 0", n)
    ratio = sums.y / sums.x
    if sums.n < 2:
        return Estimate(ratio, None, n)
    # The variance of y - ratio x, whose mean is 0 by the definition of the ratio, over the squared mean of x.
    residual = sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx
    mean = sums.x / sums.n
    return Estimate(ratio, sqrt(max(0.0, residual) / (sums.n - 1) / sums.n) / abs(mean), n)
