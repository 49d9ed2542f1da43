"""Differences adjusted by what was known before the exposure (CUPED).

Responsible for: the effect with a covariate, beside the effect without it.
Does not know: where covariates come from, tests without one.

With theta chosen to make the variance of the difference least, as it is estimated from both arms,

    effect = (y_t - y_c) - theta (x_t - x_c),        var = sum over arms of s^2(y - theta x) / n

(Deng, Xu, Kohavi and Walker 2013). theta is (c_t/n_t + c_c/n_c) / (v_t/n_t + v_c/n_c), c being an arm's covariance of
y and x and v its variance of x: equal to the pooled regression for equal arms, better for unequal ones (Lin 2013). The
relative effect divides by control's *unadjusted* mean, with the covariance of the adjusted difference and that mean;
taking both as independent, or dividing by an adjusted mean, under-covers.

Rules: pure. A covariate that does not vary, or that explains everything, is not used, and a note says so.
"""

from math import isfinite, sqrt
from typing import Final

from msgspec import Struct, structs
from scipy.special import stdtr, stdtrit

from router.analysis.aggregates import Aggregate, Moments
from router.config.schema import Metric
from router.inference.difference import fieller, finite, p_of, remarks, satterthwaite
from router.inference.effect import Asked, Effect, Interval

FURTHEST: Final = 1e150
"""What an adjustment may be at most; sums of real values have none whose square is infinite."""

WEAK: Final = 0.1
"""Correlation below which a covariate takes away less than 1 % of the variance."""


class Spread(Struct, frozen=True):
    """Variances of an arm's means, and their covariance.

    Attributes:
        y: Variance of the metric's mean.
        x: Variance of the covariate's mean.
        both: Their covariance.
        mean_x: The covariate's mean.
    """

    y: float
    x: float
    both: float
    mean_x: float


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, unadjusted: Effect, asked: Asked) -> Effect:
    """Return the adjusted effect; the unadjusted one with a note where the covariate is of no use.

    Args:
        metric: A mean, count, proportion or retention with a covariate, over independent units.
        treatment: What is known of the arm.
        control: What is known of control.
        unadjusted: The same comparison without the covariate.
        asked: Level of the interval.
    """
    one, two = spread(treatment.units), spread(control.units)
    if one is None or two is None or one.x + two.x <= 0:
        return _without(unadjusted, "The covariate was not used: it does not vary.")
    theta = (one.both + two.both) / (one.x + two.x)
    parts = [side.y - 2 * theta * side.both + theta * theta * side.x for side in (one, two)]
    whole = one.y + two.y
    variance = parts[0] + parts[1]
    shift = theta * (one.mean_x - two.mean_x)
    if not (isfinite(variance) and abs(shift) < FURTHEST) or variance <= 1e-9 * whole:
        return _without(unadjusted, "The covariate was not used: it leaves no variance.")
    rho = sqrt(max(0.0, 1 - variance / whole))
    shares = max(0.0, parts[0]) / variance, max(0.0, parts[1]) / variance
    degrees = satterthwaite(shares, (treatment.units.n - 1, control.units.n - 1))
    value = unadjusted.value - shift
    # Of the adjusted difference and control's unadjusted mean.
    together = -(two.y - theta * two.both)
    notes = remarks(metric, treatment, control)
    if rho < WEAK:
        notes += (f"The covariate's correlation is {rho:.2f}: it takes away next to no variance.",)
    found = _effect(unadjusted, value, (variance, two.y, together), degrees, asked)
    return structs.replace(found, notes=notes)


def spread(sums: Moments) -> Spread | None:
    """Return the variances of an arm's means; None of fewer than two units, or of sums that are not finite."""
    if sums.n < 2 or not finite(sums):
        return None
    scale = 1 / (sums.n - 1) / sums.n
    mean_y, mean_x = sums.y / sums.n, sums.x / sums.n
    x = sums.xx - sums.x * mean_x
    # Rounding of sums: see difference.scatter.
    if x <= 4e-15 * sqrt(sums.n) * sums.xx:
        x = 0.0
    both = 0.0 if x == 0 else sums.xy - sums.x * mean_y
    return Spread(max(0.0, sums.yy - sums.y * mean_y) * scale, x * scale, both * scale, mean_x)


def _without(unadjusted: Effect, note: str) -> Effect:
    return structs.replace(unadjusted, notes=(*unadjusted.notes, note))


def _effect(
    unadjusted: Effect, value: float, variances: tuple[float, float, float], degrees: float, asked: Asked
) -> Effect:
    error = sqrt(variances[0])
    reach = -float(stdtrit(degrees, asked.alpha / 2))
    return structs.replace(
        unadjusted,
        value=value,
        interval=Interval(value - reach * error, value + reach * error),
        relative=fieller(value, unadjusted.control, variances, reach),
        p=p_of(float(stdtr(degrees, -abs(value / error)))),
        standard_error=error,
        method="CUPED",
        degrees_of_freedom=degrees,
        unadjusted=unadjusted,
    )
