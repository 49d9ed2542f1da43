"""Effects as if both arms had the same mix of strata (post-stratification).

Responsible for: the difference of two post-stratified estimates, with its interval.
Does not know: how units came to their strata; the estimate of one arm (``router.analysis.post_stratify``).

    effect = sum over h of W_h (y_th - y_ch),        var = sum over h of W_h^2 (s_th^2 / n_th + s_ch^2 / n_ch)

with W_h the share of stratum h among the units of all arms (Miratrix, Sekhon and Yu 2013). The variance is that given
how many units of each stratum came to each arm, which is what there is to condition on.

Rules: pure. Strata are those of a unit's first exposure. An arm without a unit in a stratum, or with one that has no
spread to it, is ``NotEnough``: merge strata rather than leave units out.
"""

from collections.abc import Mapping
from math import sqrt
from sys import float_info

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import Estimate, NotEnough
from router.analysis.post_stratify import post_stratified
from router.config.schema import Metric
from router.inference.difference import LARGEST, Arm, by_t, constant, finite, remarks
from router.inference.effect import Asked, Effect

Level = tuple[str, ...]
"""The values that make a stratum."""


def compare(
    metric: Metric,
    treatment: Mapping[Level, Aggregate],
    control: Mapping[Level, Aggregate],
    asked: Asked,
    sizes: Mapping[Level, int] | None = None,
) -> Effect | NotEnough:
    """Compare two arms within strata.

    Args:
        metric: The metric; no quantile.
        treatment: Stratum to what is known of the arm there.
        control: Stratum to what is known of control there.
        asked: Level of the interval.
        sizes: Stratum to the units of all arms there that have a value; None where these two arms are all.
    """
    if sizes is None:
        # In one order whichever arm is named first, so that relabelling negates exactly.
        levels = sorted({*treatment, *control})
        sizes = {level: sum(side[level].units.n for side in (treatment, control) if level in side) for level in levels}
    one, two = _arm(metric, treatment, sizes), _arm(metric, control, sizes)
    if isinstance(one, NotEnough):
        return NotEnough(f"treatment: {one.reason}", one.n)
    if isinstance(two, NotEnough):
        return NotEnough(f"control: {two.reason}", two.n)
    total = one.variance + two.variance
    if total <= 0:
        return constant(one.estimate, two.estimate)
    degrees = 1 / (_term(one, total) + _term(two, total))
    pooled = [_together(levels) for levels in (treatment, control)]
    notes = (f"Within {len(sizes)} strata.", *remarks(metric, pooled[0], pooled[1]))
    return by_t(one, two, degrees, asked, ("post-stratified t", notes))


def _term(side: Arm, total: float) -> float:
    return (side.variance / total) * (side.variance / total) / side.degrees if side.variance else 0.0


def _together(levels: Mapping[Level, Aggregate]) -> Aggregate:
    out = Aggregate()
    for known in levels.values():
        out = out.merge(known)
    return out


def _arm(metric: Metric, levels: Mapping[Level, Aggregate], sizes: Mapping[Level, int]) -> Arm | NotEnough:
    parts = [(levels.get(level, Aggregate()), size) for level, size in sizes.items()]
    n = sum(known.units.n for known, _ in parts)
    if not all(finite(known.units) for known, _ in parts):
        return NotEnough("its sums are not finite", n)
    found = post_stratified(metric, parts)
    if isinstance(found, NotEnough):
        return found
    whole = sum(sizes.values())
    ratio = found.value if metric.kind == "ratio" else 0.0
    present = [(size / whole, known.units) for known, size in parts if size]
    if any(sums.n < 2 for _, sums in present):
        return NotEnough("a stratum has one unit", n)
    scale = sum(weight * sums.x / sums.n for weight, sums in present) if metric.kind == "ratio" else 1.0
    errors = [weight * sqrt(_spread(sums, ratio) / sums.n) / abs(scale) for weight, sums in present]
    terms = [error * error for error in errors]
    variance = sum(terms)
    if not variance < LARGEST or any(error and not term for error, term in zip(errors, terms, strict=True)):
        return NotEnough("its values are too large, or too small, to be squared", n)
    if variance == 0:
        return Arm(found, 0.0, 1.0)
    shares = [term / variance for term in terms]
    degrees = 1 / sum(share * share / (sums.n - 1) for share, (_, sums) in zip(shares, present, strict=True))
    return Arm(Estimate(found.value, sqrt(variance), found.n), variance, degrees)


def _spread(sums: Moments, ratio: float) -> float:
    """Return the variance of y - ratio x between units; 0 where rounding leaves nothing of it."""
    mean = (sums.y - ratio * sums.x) / sums.n
    squares = sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx - sums.n * mean * mean
    size = sums.yy + 2 * abs(ratio * sums.xy) + ratio * ratio * sums.xx
    return squares / (sums.n - 1) if squares > 16 * sqrt(sums.n) * float_info.epsilon * size else 0.0
