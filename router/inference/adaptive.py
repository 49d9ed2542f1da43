"""Two arms compared at any time although shares depended on what was seen: the one way to read a bandit's effects.

Responsible for: effects from sums in which each unit weighs as its arm was unlikely.
Does not know: allocators; how propensities came about, but that they are those that units were drawn with.

A bandit gives units to the arm that looks better, so an arm's plain mean is biased: it is drawn more after luck, and
left alone after none. Weighted by w = 1/propensity, w (value - mean) is a martingale difference of the true mean,
whatever the shares depended on, and so are sums of it. With S(m) = sum of w value - m w and Q(m) = sum of its squares,

    estimate = sum of w value / sum of w,       variance = Q(estimate) / (sum of w)^2

and the difference of two arms, whose martingales never move at once, has both variances. Its confidence sequence is the
normal mixture with the variance that there really was (Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, "Anytime-
valid off-policy inference for contextual bandits", 2022, for the weighting; Waudby-Smith et al., arXiv 2103.06476,
section 2.5, for variances that change with time). It is asymptotic, and takes weights that are bounded: a floor.

Rules: pure. A unit whose propensity is not known makes ``NotEnough``: leaving it out would choose units.
"""

from math import isfinite
from typing import Final

from msgspec import structs

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import Estimate, NotEnough
from router.config.schema import Metric
from router.inference.always_valid import CHANGING
from router.inference.confidence_sequence import BURN_IN_CLUSTERS, BURN_IN_UNITS, Contrast, careful_variance, concluded
from router.inference.difference import finite, scatter
from router.inference.effect import Asked, Effect

FEWEST_WORTH: Final = 50.0
"""Units of equal weight that an arm's units are worth (Kish 1965) before anything is said."""

METHOD: Final = "propensity-weighted confidence sequence"


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare two arms of an experiment whose shares changed with what was seen.

    Args:
        metric: The metric; no quantile.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the intervals; ``mde`` is what they are tuned to.
    """
    if metric.kind == "quantile":
        return NotEnough("there are no propensity-weighted quantiles", treatment.units.n + control.units.n)
    arms: list[Estimate] = []
    counts: list[int] = []
    for name, known in (("treatment", treatment), ("control", control)):
        found = weighed(known)
        if isinstance(found, NotEnough):
            return NotEnough(f"{name}: {found.reason}", found.n)
        arms.append(found)
        counts.append(0 if known.weighted is None else known.weighted.n)
    one, two = (0.0 if arm.standard_error is None else arm.standard_error**2 for arm in arms)
    variance = careful_variance((one, two), (_worth(treatment.weighted), _worth(control.weighted)))
    contrast = Contrast(arms[0].value - arms[1].value, variance, two, -two)
    clustered = treatment.clusters is not None
    effect = concluded(contrast, (arms[0], arms[1]), (counts[0], counts[1]), asked, clustered=clustered)
    if isinstance(effect, NotEnough):
        return effect
    notes: tuple[str, ...] = ("Units weigh 1/propensity, since their shares depended on what was seen.",)
    if metric.covariate is not None:
        notes += ("The covariate was not used: weighted sums hold none.",)
    return structs.replace(effect, method=METHOD, notes=notes)


def weighed(known: Aggregate) -> Estimate | NotEnough:
    """Return an arm's estimate by weighted sums.

    Args:
        known: What is known of the arm.
    """
    units, sums = known.units.n, known.weighted
    if known.provisional:
        return NotEnough(CHANGING, units)
    if units == 0:
        return NotEnough("no unit is mature yet" if known.immature else "no units", 0)
    counted = units if known.clusters is None else known.clusters.n
    if sums is None or sums.n < counted:
        without = counted - (0 if sums is None else sums.n)
        return NotEnough(f"{without} of {counted} have no propensity, so shares are not known", units)
    least, what = (BURN_IN_UNITS, "units") if known.clusters is None else (BURN_IN_CLUSTERS, "clusters")
    if sums.n < least:
        return NotEnough(f"{sums.n} {what}, and a sequential test begins at {least}", units)
    return _estimate(sums, units, clustered=known.clusters is not None)


def _estimate(sums: Moments, units: int, *, clustered: bool) -> Estimate | NotEnough:
    if not finite(sums) or not (sums.xx > 0 and sums.x != 0):
        return NotEnough("its weighted sums are not finite, or its denominator is 0", units)
    worth = _worth(sums)
    if worth < min(FEWEST_WORTH, BURN_IN_CLUSTERS if clustered else FEWEST_WORTH):
        said = f"its weights are so unequal that it is worth {worth:.1f} units, and it takes {FEWEST_WORTH:g}"
        return NotEnough(said, units)
    mean = sums.y / sums.x
    squares = scatter(sums, mean)
    if squares is None:
        return NotEnough("its sums contradict each other", units)
    # n/(n - 1): the estimate itself takes one degree of freedom.
    variance = squares / sums.x / sums.x * (sums.n / (sums.n - 1))
    if not (isfinite(mean) and isfinite(variance)):
        return NotEnough("its values are too large to be squared", units)
    return Estimate(mean, variance**0.5, units)


def _worth(sums: Moments | None) -> float:
    """Return how many observations of equal weight the weights are worth."""
    return 1.0 if sums is None else sums.x * (sums.x / sums.xx)
