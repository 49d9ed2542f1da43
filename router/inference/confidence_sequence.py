"""Asymptotic confidence sequences: intervals of means, ratios and their differences that hold at any time.

Responsible for: their width, what they are tuned to, from how much data on they are believed, absolute and relative
effects by them, with a covariate or without.
Does not know: how means and their variances come from sums (``difference``), what CUPED is made of (``adjusted``).

A sequence is the interval of the mixture SPRT with the variance estimated (Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas, arXiv 2103.06476, Theorem 2.2): for a mean of n observations with standard deviation s

    s sqrt(2 (n rho^2 + 1)/(n^2 rho^2) ln(sqrt(n rho^2 + 1)/alpha))

which is ``mixture.critical`` standard errors with kappa = n rho^2. It is asymptotic: strong approximation makes the
sums near a Brownian motion, so it holds from a *burn-in* on, and its error is small where a normal interval's would be.
rho is best at a number of observations; with an effect that matters tau is given instead (``mixture.tau2_for``).

A relative effect r is tested as (treatment - control) - r |control| = 0, whose variance is known for each r, so the
interval is Fieller's (1954) with k in the place of the normal quantile: it holds 0 where the absolute one does.

Rules: pure. Before the burn-in, and without spread, there is ``NotEnough``. k is taken from the normal distribution to
the t distribution of the smaller arm by equal tails, which matters where clusters are few; so is what p is made of.
The variance is the larger of two estimates (``careful_variance``), which keeps skewed values of unequal arms at their
level: 20 % of sequences went wrong without it, see the error budget in docs/statistics.md.
"""

from math import isfinite, sqrt
from typing import Final

from msgspec import Struct, structs
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import Estimate, NotEnough
from router.config.schema import Metric
from router.inference import adjusted, difference
from router.inference.effect import Asked, Effect, Interval
from router.inference.mixture import best_kappa, critical, log_ratio, p_value, tau2_for

BURN_IN_UNITS: Final = 100
"""Units of an arm before which nothing is said."""

BURN_IN_CLUSTERS: Final = 30
"""Clusters of an arm before which nothing is said."""

TUNED_UNITS: Final = 5000.0
"""Units of both arms that a sequence is tightest for where no effect that matters is given: GrowthBook's default."""

TUNED_CLUSTERS: Final = 200.0
"""The same for clusters."""

_FURTHEST: Final = 30.0


class Contrast(Struct, frozen=True):
    """A difference between two arms, with what its relative form needs.

    Attributes:
        value: The difference.
        variance: Of it.
        of_base: Variance of control's estimate.
        both: Covariance of the difference and control's estimate.
    """

    value: float
    variance: float
    of_base: float
    both: float


def rho2(tuned: float, alpha: float) -> float:
    """Return the rho^2 that makes a sequence tightest at a number of observations.

    Args:
        tuned: The number, above 0.
        alpha: Share of intervals that ever miss.
    """
    if not 0 < tuned < float("inf"):
        raise ValueError(f"a sequence is tuned to a number of observations, not {tuned}")
    return best_kappa(alpha) / tuned


def half_width(deviation: float, n: int, rho2: float, alpha: float) -> float:
    """Return how far a mean's sequence reaches to each side.

    Args:
        deviation: Standard deviation of the observations.
        n: Observations, at least 1.
        rho2: What it is tuned to.
        alpha: Share of intervals that ever miss.
    """
    return deviation * critical(n * rho2, alpha) / sqrt(n)


class Around(Struct, frozen=True):
    """A number's interval and test at any time.

    Attributes:
        interval: Where it lies.
        p: p-value of it being 0.
    """

    interval: Interval
    p: float


def around(value: float, standard_error: float, n: int, asked: Asked) -> Around | NotEnough:
    """Return the interval at any time of any estimate that is near normal, such as a weighted sum of effects.

    Args:
        value: The estimate.
        standard_error: Of it, at least 0.
        n: Independent units behind it, of both arms.
        asked: Level of the interval; ``mde`` is what it is tuned to, in the estimate's unit.
    """
    if n < 2 * BURN_IN_UNITS:
        return NotEnough(f"{n} units, and a sequential test begins at {BURN_IN_UNITS} in each arm", n)
    if standard_error == 0:
        return NotEnough("its values do not vary, or by less than sums can tell", n)
    if not (isfinite(value) and 0 < standard_error * standard_error < float("inf")):
        return NotEnough("its values are too large to be squared", n)
    kappa = _kappa(standard_error**2, n, asked, clustered=False)
    reach = critical(kappa, asked.alpha) * standard_error
    p = p_value(log_ratio(value / standard_error, 1.0, kappa))
    if not (isfinite(value - reach) and isfinite(value + reach)):
        return NotEnough("its values are too large to be squared", n)
    return Around(Interval(value - reach, value + reach), p)


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare two arms at any time: means and ratios, over units or over clusters.

    Args:
        metric: The metric; no quantile.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the intervals; ``mde`` is what they are tuned to.
    """
    early = _burning_in(treatment, control)
    if early is not None:
        return early
    one, two = difference.arm(metric, treatment), difference.arm(metric, control)
    if isinstance(one, NotEnough):
        return NotEnough(f"treatment: {one.reason}", one.n)
    if isinstance(two, NotEnough):
        return NotEnough(f"control: {two.reason}", two.n)
    arms = one.estimate, two.estimate
    counts = _observations(treatment), _observations(control)
    variance = careful_variance((one.variance, two.variance), counts)
    plain = Contrast(one.estimate.value - two.estimate.value, variance, two.variance, -two.variance)
    found = concluded(plain, arms, counts, asked, clustered=treatment.clusters is not None)
    if isinstance(found, NotEnough):
        return found
    found = structs.replace(found, notes=found.notes + difference.remarks(metric, treatment, control))
    if metric.covariate is None or metric.kind == "ratio" or treatment.clusters is not None:
        return found
    return _with_covariate(treatment, control, found, asked)


def careful_variance(variances: tuple[float, float], worth: tuple[float, float]) -> float:
    """Return the variance of a difference: that of both arms' own spreads, or of their common one if that is larger.

    Where few units have most of the sum, as in revenue, a small arm that has not met them yet has too low a mean *and*
    too small a spread, and looks sure of it. The common spread does not fall for that, nor the own one for the
    opposite. The two are equal for arms of equal size, and for equal spreads.

    Args:
        variances: Of the arms' estimates.
        worth: Observations of each, or what their weights are worth.
    """
    ratio = worth[0] / worth[1]
    return max(variances[0] + variances[1], variances[0] * ratio + variances[1] / ratio)


def concluded(
    contrast: Contrast, arms: tuple[Estimate, Estimate], counts: tuple[int, int], asked: Asked, *, clustered: bool
) -> Effect | NotEnough:
    """Return the effect, at any time, of a difference whose variance is known.

    Args:
        contrast: The difference.
        arms: The estimates of the arm and of control.
        counts: Independent observations of the arm and of control, at least 2 each.
        asked: Level of the intervals, and the effect that matters.
        clustered: Whether observations are clusters.
    """
    value, variance = contrast.value, contrast.variance
    if variance == 0:
        return difference.constant(*arms)
    if not isfinite(variance):
        return difference.too_large(*arms)
    kappa = _kappa(variance, sum(counts), asked, clustered=clustered)
    degrees = min(counts) - 1.0
    error = sqrt(variance)
    reach = _reach(critical(kappa, asked.alpha), degrees)
    low, high = value - reach * error, value + reach * error
    if not (isfinite(low) and isfinite(high)):
        return difference.too_large(*arms)
    score = _normal(abs(value) / error, degrees)
    variances = variance, contrast.of_base, contrast.both
    return Effect(
        value=value,
        interval=Interval(low, high),
        level=1 - asked.alpha,
        relative=difference.fieller(value, arms[1], variances, reach),
        p=p_value(log_ratio(score, 1.0, kappa)),
        standard_error=error,
        treatment=arms[0],
        control=arms[1],
        method="asymptotic confidence sequence",
        basis="always valid",
    )


def _with_covariate(treatment: Aggregate, control: Aggregate, plain: Effect, asked: Asked) -> Effect:
    """Return the effect with CUPED; that without, and why, where the covariate is of no use."""
    one, two = adjusted.spread(treatment.units), adjusted.spread(control.units)
    if one is None or two is None or one.x + two.x <= 0:
        return structs.replace(plain, notes=(*plain.notes, "The covariate was not used: it does not vary."))
    theta = (one.both + two.both) / (one.x + two.x)
    counts = treatment.units.n, control.units.n
    own = [max(0.0, side.y - 2 * theta * side.both + theta * theta * side.x) for side in (one, two)]
    variance = careful_variance((own[0], own[1]), counts)
    if not isfinite(variance) or sum(own) <= 1e-9 * (one.y + two.y):
        return structs.replace(plain, notes=(*plain.notes, "The covariate was not used: it leaves no variance."))
    value = plain.value - theta * (one.mean_x - two.mean_x)
    contrast = Contrast(value, variance, two.y, theta * two.both - two.y)
    found = concluded(contrast, (plain.treatment, plain.control), counts, asked, clustered=False)
    if isinstance(found, NotEnough):
        return plain
    named = "asymptotic confidence sequence with CUPED"
    return structs.replace(found, method=named, notes=plain.notes, unadjusted=plain)


def _burning_in(treatment: Aggregate, control: Aggregate) -> NotEnough | None:
    """Return why it is too early, if it is."""
    if (treatment.clusters is None) != (control.clusters is None):
        raise ValueError("one arm is known over clusters and the other is not")
    clustered = treatment.clusters is not None
    least, what = (BURN_IN_CLUSTERS, "clusters") if clustered else (BURN_IN_UNITS, "units")
    for name, known in (("treatment", treatment), ("control", control)):
        if _observations(known) < least:
            said = f"{name}: {_observations(known)} {what}, and a sequential test begins at {least}"
            return NotEnough(said, known.units.n)
    return None


def _observations(known: Aggregate) -> int:
    """Return how many independent observations an arm has."""
    return known.units.n if known.clusters is None else known.clusters.n


def _kappa(variance: float, n: int, asked: Asked, *, clustered: bool) -> float:
    if asked.mde is None:
        kappa = n * rho2(TUNED_CLUSTERS if clustered else TUNED_UNITS, asked.alpha)
    else:
        kappa = tau2_for(asked.mde, asked.alpha) / variance
    # Effects beyond all proportion to the data would leave the range of floating point; they say nothing either way.
    return min(max(kappa, 1e-9), 1e18)


def _reach(normal: float, degrees: float) -> float:
    """Return the quantile of Student's t whose tail is that of a normal one; in proportion beyond 30 errors."""
    held = min(normal, _FURTHEST)
    return -float(stdtrit(degrees, ndtr(-held))) * normal / held


def _normal(score: float, degrees: float) -> float:
    """Return the normal quantile whose tail is that of one of Student's t, above 0."""
    tail = float(stdtr(degrees, -score))
    return -float(ndtri(tail)) if tail > 0 else score
