"""Differences of means and of ratios by Student's t, with relative effects by Fieller's theorem.

Responsible for: Welch's and the pooled t, the delta method for ratios, cluster-robust variances.
Does not know: which metric takes which method (``fixed``), covariates (``adjusted``), counts of 0 and 1
(``proportions``).

Rules: pure. Arms are independent, and so are the units, or clusters, within them. Relabelling the arms negates the
effect exactly. A spread that is 0, or too small to survive the rounding of sums, is ``NotEnough``: whatever is divided
by it says nothing.
"""

from math import isfinite, sqrt
from sys import float_info
from typing import Final

from msgspec import Struct
from scipy.special import stdtr, stdtrit

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.config.schema import Metric
from router.inference.effect import Asked, Effect, Interval, Relative

FEWEST_UNITS: Final = 2
"""A spread takes two units; the t distribution answers for few of them only as far as values are near normal."""

FEWEST_PAIRS: Final = 10
"""Units of a ratio: below, the linearisation of the delta method is off by more than the t distribution pays for."""

FEWEST_CLUSTERS: Final = 4
"""Clusters of an arm: below, the t distribution has so few degrees of freedom that no interval is of use."""

LARGEST: Final = 1e300
"""Variance of an estimate beyond which sums of two would leave the range of floating point."""

FEW: Final = 30
"""Units from which on the central limit theorem is believed without a remark."""

FEW_CLUSTERS: Final = 40
"""Clusters (both arms) from which on robust variances are believed without a remark: Cameron and Miller 2015."""


class Arm(Struct, frozen=True):
    """An arm's estimate and how far it may be off.

    Attributes:
        estimate: The estimate.
        variance: Of the estimate: its standard error squared.
        degrees: Degrees of freedom of that variance.
    """

    estimate: Estimate
    variance: float
    degrees: float


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare two arms by Welch's t: of means over units, of ratios by the delta method, over clusters if there are.

    Args:
        metric: The metric; no quantile.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the interval.
    """
    one, two = arm(metric, treatment), arm(metric, control)
    if isinstance(one, NotEnough):
        return NotEnough(f"treatment: {one.reason}", one.n)
    if isinstance(two, NotEnough):
        return NotEnough(f"control: {two.reason}", two.n)
    total = one.variance + two.variance
    if total <= 0:
        return constant(one.estimate, two.estimate)
    degrees = satterthwaite((one.variance / total, two.variance / total), (one.degrees, two.degrees))
    clustered = treatment.clusters is not None
    method = "cluster-robust t" if clustered else "delta method" if metric.kind == "ratio" else "Welch's t"
    return by_t(one, two, degrees, asked, (method, remarks(metric, treatment, control)))


def pooled(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare two means by Student's t with one variance for both arms: for few units whose spread cannot differ.

    Args:
        metric: A mean, count or proportion over independent units.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the interval.

    Raises:
        ValueError: If the metric is a ratio or a quantile, or units are clustered.
    """
    if metric.kind in ("ratio", "quantile") or treatment.clusters is not None or control.clusters is not None:
        raise ValueError("a pooled variance is for means over independent units")
    one, two = arm(metric, treatment), arm(metric, control)
    if isinstance(one, NotEnough) or isinstance(two, NotEnough):
        return compare(metric, treatment, control, asked)
    units = treatment.units.n, control.units.n
    degrees = float(sum(units) - 2)
    variance = sum(side.variance * n * (n - 1) for side, n in zip((one, two), units, strict=True)) / degrees
    if variance / max(units) <= 0:
        return constant(one.estimate, two.estimate)
    one, two = (Arm(side.estimate, variance / n, degrees) for side, n in zip((one, two), units, strict=True))
    named = ("pooled t", remarks(metric, treatment, control))
    return by_t(one, two, degrees, asked, named)


def arm(metric: Metric, known: Aggregate) -> Arm | NotEnough:
    """Return an arm's estimate with its variance.

    Args:
        metric: The metric; no quantile.
        known: What is known of the arm.
    """
    sums = known.units if known.clusters is None else known.clusters
    if not finite(known.units) or not finite(sums):
        return NotEnough("its sums are not finite", known.units.n)
    found = estimate(metric, known)
    if isinstance(found, NotEnough):
        return found
    pairs = metric.kind == "ratio" or known.clusters is not None
    least, what = FEWEST_UNITS, "units"
    if known.clusters is not None:
        least, what = FEWEST_CLUSTERS, "clusters"
    elif pairs:
        least = FEWEST_PAIRS
    if sums.n < least:
        return NotEnough(f"{sums.n} {what}, and it takes {least}", known.units.n)
    squares = scatter(sums, found.value if pairs else None)
    if squares is None:
        return NotEnough("its sums contradict each other", known.units.n)
    scale = sums.x / sums.n if pairs else 1.0
    error = sqrt(squares / (sums.n - 1) / sums.n) / abs(scale)
    variance = error * error
    if not variance < LARGEST or (squares > 0) != (variance > 0):
        return NotEnough("its values are too large, or too small, to be squared", known.units.n)
    return Arm(found, variance, sums.n - 1.0)


def scatter(sums: Moments, ratio: float | None = None) -> float | None:
    """Return the sum of squares around the mean, or of y - ratio x; 0 where rounding leaves nothing of it.

    Returns:
        None where the sums cannot be those of any values.
    """
    if ratio is None:
        squares, size = sums.yy - sums.y * (sums.y / sums.n), sums.yy
    else:
        squares = sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx
        size = sums.yy + 2 * abs(ratio * sums.xy) + ratio * ratio * sums.xx
    # Sums of n terms are off by about sqrt(n) roundings.
    lost = 16 * sqrt(sums.n) * float_info.epsilon * size
    if squares < -max(lost, 1e-9 * size):
        return None
    return squares if squares > lost else 0.0


def by_t(one: Arm, two: Arm, degrees: float, asked: Asked, named: tuple[str, tuple[str, ...]]) -> Effect | NotEnough:
    """Return the effect between two arms, given its degrees of freedom; ``named`` is method and notes."""
    value = one.estimate.value - two.estimate.value
    variance = one.variance + two.variance
    error = sqrt(variance)
    reach = -float(stdtrit(degrees, asked.alpha / 2))
    low, high = value - reach * error, value + reach * error
    if not (isfinite(low) and isfinite(high)):
        return too_large(one.estimate, two.estimate)
    return Effect(
        value=value,
        interval=Interval(low, high),
        level=1 - asked.alpha,
        relative=fieller(value, two.estimate, (variance, two.variance, -two.variance), reach),
        p=p_of(float(stdtr(degrees, -abs(value / error)))),
        standard_error=error,
        treatment=one.estimate,
        control=two.estimate,
        method=named[0],
        basis="fixed horizon",
        notes=named[1],
        degrees_of_freedom=degrees,
    )


def satterthwaite(shares: tuple[float, float], degrees: tuple[float, float]) -> float:
    """Return the degrees of freedom of a sum of variances: by their shares of it, so that nothing overflows."""
    return 1 / (shares[0] * shares[0] / degrees[0] + shares[1] * shares[1] / degrees[1])


def p_of(tail: float) -> float:
    """Return a two-sided p-value from one tail: at most 1, and never the 0 that a tail underflows to."""
    return min(1.0, max(2 * tail, float_info.min))


def fieller(
    value: float, control: Estimate, variances: tuple[float, float, float], reach: float
) -> Relative | NotEnough:
    """Return an effect relative to the absolute value of control, with Fieller's interval (1954).

    Its interval is all shares r for which value - r control is no further from 0 than ``reach`` standard errors, so it
    holds 0 if and only if that of the absolute effect does.

    Args:
        value: The effect.
        control: Control's estimate.
        variances: Of the effect, of control's estimate, and their covariance.
        reach: Quantile of the distribution that the absolute interval was made with.
    """
    base, square = control.value, reach * reach
    of_value, of_base, both = variances
    a = base * base - square * of_base
    if base == 0:
        return NotEnough("control's value is 0", control.n)
    if a <= 0:
        return NotEnough("control's value cannot be told from 0", control.n)
    b = value * base - square * both
    c = value * value - square * of_value
    root = sqrt(max(0.0, b * b - a * c))
    low, high = (b - root) / a, (b + root) / a
    if base < 0:
        low, high = -high, -low
    relative = value / abs(base)
    if not all(isfinite(number) for number in (low, high, relative)):
        return NotEnough("control's value is too close to 0", control.n)
    return Relative(relative, Interval(min(low, relative), max(high, relative)))


def finite(sums: Moments) -> bool:
    """Say whether all sums are numbers."""
    return all(isfinite(value) for value in (sums.y, sums.yy, sums.x, sums.xx, sums.xy))


def constant(one: Estimate, two: Estimate) -> NotEnough:
    """Return that values do not vary."""
    return NotEnough("its values do not vary, or by less than sums can tell", one.n + two.n)


def too_large(one: Estimate, two: Estimate) -> NotEnough:
    """Return that numbers leave the range of floating point."""
    return NotEnough("its values are too large, or too small, to be squared", one.n + two.n)


def remarks(metric: Metric, treatment: Aggregate, control: Aggregate) -> tuple[str, ...]:
    """Return what a reader has to know of a comparison of means or ratios."""
    notes: list[str] = []
    cap = treatment.cap if treatment.cap is not None else control.cap
    if cap is not None:
        notes.append(f"Values above {cap:g} counted as {cap:g}; the effect is on capped values.")
    if treatment.clusters is not None and control.clusters is not None:
        clusters = treatment.clusters.n + control.clusters.n
        if clusters < FEW_CLUSTERS:
            notes.append(f"{clusters} clusters in all: below {FEW_CLUSTERS}, intervals are approximate.")
        if metric.covariate is not None:
            notes.append("The covariate was not used: sums over clusters hold none.")
    elif min(treatment.units.n, control.units.n) < FEW:
        notes.append(f"Below {FEW} units in an arm this holds for values that are near normal.")
    return tuple(notes)
