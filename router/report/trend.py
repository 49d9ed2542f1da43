"""How an effect goes with time: novelty and learning.

Responsible for: a straight line through effects by day, with the interval of its slope.
Does not know: what a slope means for a decision.

By *day of the first exposure* effects are of different units, so their variances are known and independent: weighted
least squares, weights 1/v, slope variance 1/sum of w (t - t_mean)^2. By *tenure* (days since the first exposure) the
same units are seen again and again, so the variance is taken from the scatter around the line, and Student's t with the
points less two has the interval; it is never taken for less than the known variances give. A novelty effect wears off
(the slope against the effect), a learning effect grows (Hohnhold, O'Brien and Tang, KDD 2015; Sadeghi et al. 2022).

Rules: pure; at least ``LEAST`` days. A description at 95 %, corrected for nothing: it warns, and decides nothing.
"""

from collections.abc import Sequence
from math import fsum, sqrt
from typing import Final, Literal, NamedTuple

from scipy.special import ndtri, stdtrit

from router.analysis.aggregates import Moments
from router.analysis.estimate import NotEnough
from router.inference.effect import Interval
from router.report.report import Slope

LEAST: Final = 4
LEVEL: Final = 0.95
LEAST_UNITS: Final = 30


class Point(NamedTuple):
    """The effect of one day: the day, its value, its variance."""

    day: float
    value: float
    variance: float


def slope(against: Literal["day", "tenure"], points: Sequence[Point]) -> Slope | NotEnough:
    """Return the slope of effects.

    Args:
        against: What the days are.
        points: Effects by day; those without variance are left out.
    """
    kept = [point for point in points if 0 < point.variance < float("inf")]
    if len(kept) < LEAST:
        return NotEnough(f"{len(kept)} days have an effect; {LEAST} are needed for a slope", len(kept))
    # Divided by the smallest, weights are at most 1, however small variances are.
    least = min(point.variance for point in kept)
    weights = [least / point.variance for point in kept]
    whole = fsum(weights)
    centre = fsum(w * point.day for w, point in zip(weights, kept, strict=True)) / whole
    spread = fsum(w * (point.day - centre) ** 2 for w, point in zip(weights, kept, strict=True))
    if not spread:
        return NotEnough("all effects are of one day", len(kept))
    middle = fsum(w * point.value for w, point in zip(weights, kept, strict=True)) / whole
    value = fsum(w * (point.day - centre) * point.value for w, point in zip(weights, kept, strict=True)) / spread
    scale, reach = 1.0, float(ndtri(0.5 + LEVEL / 2))
    if against == "tenure":
        left = fsum((point.value - middle - value * (point.day - centre)) ** 2 / point.variance for point in kept)
        scale, reach = max(1.0, left / (len(kept) - 2)), float(stdtrit(len(kept) - 2, 0.5 + LEVEL / 2))
    reach *= sqrt(scale * least / spread)
    return Slope(against=against, value=value, interval=Interval(value - reach, value + reach), points=len(kept))


def point(day: float, treatment: Moments, control: Moments, *, ratio: bool) -> Point | None:
    """Return the effect of one day from the sums of both arms; None with too few units, or without any spread.

    Args:
        day: The day.
        treatment: Sums over the arm's units.
        control: Sums over control's.
        ratio: Whether it is y over x rather than y per unit.
    """
    arms = [_mean(sums, ratio=ratio) for sums in (treatment, control)]
    one, other = arms
    if one is None or other is None or one[1] + other[1] <= 0:
        return None
    return Point(day, one[0] - other[0], one[1] + other[1])


def _mean(sums: Moments, *, ratio: bool) -> tuple[float, float] | None:
    """Return a mean, or a ratio, and its variance."""
    if sums.n < LEAST_UNITS or (ratio and not sums.x):
        return None
    if not ratio:
        return sums.y / sums.n, max(0.0, sums.yy - sums.y * sums.y / sums.n) / (sums.n - 1) / sums.n
    value = sums.y / sums.x
    residual = max(0.0, sums.yy - 2 * value * sums.xy + value * value * sums.xx) / (sums.n - 1) / sums.n
    return value, residual / (sums.x / sums.n) ** 2
