"""Aggregates to estimates: a value with its standard error, or why there is none.

Responsible for: means, ratios and quantiles of one arm, with standard errors that know that exchanges of one unit, and
users of one cluster, are not independent.
Does not know: other arms; nothing here compares, tests or decides.

Rules: pure. Too little data is ``NotEnough``, never 0, nan or an exception. A standard error is that of a mean
(s/sqrt(n)), or of a ratio of means by the delta method (Deng, Knoblich and Lu, KDD 2018, section 3), over clusters
where units hold several users. That of a quantile is the width of its 95 % interval of ranks over 2 x 1.96, the ranks
being as much further apart as the share of exchanges below a threshold varies more between units than between
independent exchanges (the outer interval of section 4 there).
"""

from math import isfinite, sqrt
from typing import Final

from msgspec import Struct

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.sketch import Sketch
from router.config.schema import Metric

Z: Final = 1.959963984540054
"""97.5th percentile of the standard normal distribution."""


class Estimate(Struct, frozen=True, tag="estimate"):
    """What a metric is in one cell.

    Attributes:
        value: The estimate, in the metric's own unit; seconds for durations.
        standard_error: Of the value; None where there is one unit, or a quantile with too few values beyond it.
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
    return _finite(Estimate(sums.y / sums.n, _standard_error(sums), sums.n))


def _finite(found: Estimate) -> Estimate | NotEnough:
    """Return an estimate without what floating point cannot hold."""
    if not isfinite(found.value):
        return NotEnough("its sums are not finite", found.n)
    error = found.standard_error
    return found if error is None or isfinite(error) else Estimate(found.value, None, found.n)


def _nobody(known: Aggregate) -> str:
    if known.immature:
        return "no unit's window is over yet"
    return "no unit has a value" if known.missing else "no units"


def covariate(known: Aggregate) -> Estimate | NotEnough:
    """Return the mean of a metric's covariate: what units were like before their exposure.

    Arms must not differ in it; where they do, they were different to begin with.

    Args:
        known: What is known of a metric that has a covariate.
    """
    sums = known.units
    if sums.n == 0:
        return NotEnough(_nobody(known), 0)
    if known.clusters is not None:
        return NotEnough("units hold several users, whose covariates are not kept by unit", sums.n)
    return _finite(Estimate(sums.x / sums.n, _standard_error(Moments(sums.n, sums.x, sums.xx)), sums.n))


def _quantile(metric: Metric, known: Aggregate) -> Estimate | NotEnough:
    sketch, q = known.sketch, metric.q
    if sketch is None or q is None or not sketch.total:
        return NotEnough(_nobody(known), 0)
    value = sketch.quantile(q)
    assert value is not None  # noqa: S101 - it has values
    return Estimate(value, _quantile_error(sketch, q, known), sketch.total)


def _quantile_error(sketch: Sketch, q: float, known: Aggregate) -> float | None:
    """Return the standard error of a quantile; None where its interval reaches beyond the values that there are."""
    effect = design_effect(known)
    if effect is None:
        return None
    reach = Z * sqrt(effect * q * (1 - q) / sketch.total)
    rank = 1 / sketch.total
    if q - reach < rank or q + reach > 1 - rank:
        return None
    low, high = sketch.level(q - reach), sketch.level(q + reach)
    return None if low is None or high is None else (high - low) / (2 * Z)


def design_effect(known: Aggregate) -> float | None:
    """Return how much more the share of exchanges below the threshold varies than that of independent ones would.

    It is 1 for a quantile over independent observations.

    Args:
        known: What is known of a quantile.

    Returns:
        None when it cannot be said: of one unit, of clusters without counts, where all or none are below.
    """
    if known.below is None:
        return 1.0 if known.clusters is None and known.units.n > 1 else None
    share = _ratio(known.below, known.below.n)
    if isinstance(share, NotEnough) or share.standard_error is None or not 0 < share.value < 1:
        return None
    return share.standard_error**2 * known.below.x / (share.value * (1 - share.value))


def _standard_error(sums: Moments) -> float | None:
    if sums.n < 2:
        return None
    variance = max(0.0, sums.yy - sums.y * sums.y / sums.n) / (sums.n - 1)
    return sqrt(variance / sums.n)


def _ratio(sums: Moments, n: int) -> Estimate | NotEnough:
    """Return sum over sum, of independent pairs."""
    if sums.x == 0 or sums.x / max(1, sums.n) == 0:
        return NotEnough("its denominator is 0", n)
    ratio = sums.y / sums.x
    if sums.n < 2:
        return _finite(Estimate(ratio, None, n))
    # The variance of y - ratio x, whose mean is 0 by the definition of the ratio, over the squared mean of x.
    residual = sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx
    mean = sums.x / sums.n
    # In this order max() keeps a missing number, which is then told as such.
    error = sqrt(max(residual, 0.0) / (sums.n - 1) / sums.n) / abs(mean)
    return _finite(Estimate(ratio, error, n))
