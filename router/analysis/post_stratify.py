"""Estimates of one arm as if every arm had the same mix of strata.

Responsible for: the post-stratified estimate of a metric from its aggregates within strata, with its standard error.
Does not know: how units came to their strata; other arms but for how many units each stratum has.

With W_h the share of stratum h among the units of *all* arms, and n_h, ybar_h, s_h^2 of one arm's units in it (Holt and
Smith 1979; Miratrix, Sekhon and Yu 2013)

    ybar_ps = sum over h of W_h ybar_h,        var(ybar_ps) = sum over h of W_h^2 s_h^2 / n_h

For a ratio, numerator and denominator are post-stratified each and divided, and s_h^2 is that of the residuals y - R x
over the squared denominator.

Rules: pure. Strata are those of a unit's first exposure. An arm without any unit in a stratum has no estimate, rather
than one of other units.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

from router.analysis.aggregates import Aggregate, Cell, Moments, Place
from router.analysis.estimate import Estimate, NotEnough
from router.config.schema import Metric


def post_stratified(metric: Metric, levels: Sequence[tuple[Aggregate, int]]) -> Estimate | NotEnough:
    """Return what a metric is in one arm, weighted by strata.

    Args:
        metric: The metric.
        levels: For each stratum: what is known of the arm there, and the units of all arms there that have a value.
    """
    present = [(known, units) for known, units in levels if units]
    n = sum(known.units.n for known, _ in present)
    if metric.kind == "quantile":
        return NotEnough("not for quantiles", n)
    if any(known.clusters is not None for known, _ in present):
        return NotEnough("units hold several users, who may be of several strata", n)
    if not present or any(known.units.n == 0 for known, _ in present):
        return NotEnough("a stratum has no value", n)
    whole = sum(units for _, units in present)
    ratio = metric.kind == "ratio"
    parts = [(units / whole, known.units) for known, units in present]
    y = sum(weight * sums.y / sums.n for weight, sums in parts)
    x = sum(weight * sums.x / sums.n for weight, sums in parts) if ratio else 1.0
    if x == 0:
        return NotEnough("its denominator is 0", n)
    value = y / x
    variance = [_variance(sums, value if ratio else 0.0) for _, sums in parts]
    if None in variance:
        return Estimate(value, None, n)
    spread = sum(
        weight * weight * (found or 0.0) / sums.n for (weight, sums), found in zip(parts, variance, strict=True)
    )
    return Estimate(value, sqrt(spread) / abs(x), n)


def by_arm(metric: Metric, cells: Mapping[Place, Cell], strata: tuple[str, ...]) -> dict[str, Estimate | NotEnough]:
    """Return the post-stratified estimate of each arm in one phase.

    Args:
        metric: The metric.
        cells: The cells of one phase.
        strata: Names of the strata, all together one slicing.
    """
    found = {place: cell.metrics[metric.name] for place, cell in cells.items() if place.slicing == strata}
    sizes: dict[tuple[str, ...], int] = {}
    for place, known in found.items():
        sizes[place.values] = sizes.get(place.values, 0) + known.units.n
    arms = dict.fromkeys(place.arm for place in sorted(found))
    known_of = {(place.arm, place.values): known for place, known in found.items()}
    return {
        arm: post_stratified(metric, [(known_of.get((arm, level), Aggregate()), size) for level, size in sizes.items()])
        for arm in arms
    }


def _variance(sums: Moments, ratio: float) -> float | None:
    """Return the variance of y - ratio x between units; None of one unit."""
    if sums.n < 2:
        return None
    mean = (sums.y - ratio * sums.x) / sums.n
    squares = sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx
    return max(0.0, squares - sums.n * mean * mean) / (sums.n - 1)
