"""Quantiles of two arms from their sketches, by intervals of ranks.

Responsible for: intervals of quantiles and of their difference, over independent values and over exchanges of units.
Does not know: means; where a sketch comes from.

The share of values at or below a quantile is a proportion; ranks as many standard errors below and above q n enclose
the quantile (order-statistic interval). Of independent values, ranks are binomial. Exchanges of one unit are not
independent: their variance q (1 - q) / n is multiplied by the design effect, which is how much larger the variance of
the share at or below a common threshold is, by the delta method over units (``Aggregate.below``), than that of as many
independent exchanges (outer interval of Deng, Knoblich and Lu 2018). Both arms' limits combine to those of the
difference, and their logarithms to those of the ratio, by the method of variance estimates recovery (Zou and Donner
2008); p is the level at which they first touch no difference.

Rules: pure. Limits are the outer bounds of the sketch's buckets, so that its accuracy (1 %) is within the interval, and
quantiles of one bucket differ by nothing. Ranks beyond the values that there are make no interval: ``NotEnough``.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import ceil, exp, floor, hypot, isfinite, log, sqrt
from typing import Final

from msgspec import Struct
from scipy.special import bdtrik, ndtr, ndtri
from scipy.stats import quantile_test

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.analysis.sketch import bounds
from router.config.schema import Metric
from router.inference.difference import FEWEST_PAIRS, finite, p_of, scatter
from router.inference.effect import Asked, Effect, Interval, Relative

FARTHEST: Final = 38.0
"""Standard errors beyond which tails of the normal distribution are 0 in floating point."""


class Ranked(Struct, frozen=True):
    """A distribution whose ranks are looked up.

    Attributes:
        buckets: Its buckets, in order of their values.
        reached: Number of values in them and all before.
        q: The quantile.
        error: Standard error of the share of values at or below the quantile.
        estimate: Of the quantile.
        independent: Whether values are, so that ranks are binomial; otherwise they are taken as normal.
    """

    buckets: tuple[int, ...]
    reached: tuple[int, ...]
    q: float
    error: float
    estimate: Estimate
    independent: bool

    def limits(self, reach: float) -> tuple[float | None, float | None]:
        """Return the interval whose ranks are so many standard errors away; None beyond the values that there are."""
        total = self.reached[-1]
        if self.independent:
            tail = float(ndtr(-reach))
            low, high = _rank(tail, total, self.q), total + 1 - _rank(tail, total, 1 - self.q)
        else:
            low = floor((self.q - reach * self.error) * total)
            high = ceil((self.q + reach * self.error) * total) + 1
        return (
            bounds(self._at(low))[0] if low >= 1 else None,
            bounds(self._at(high))[1] if high <= total else None,
        )

    def _at(self, rank: int) -> int:
        """Return the bucket of the value of a rank, by bisection."""
        low, high = 0, len(self.reached) - 1
        while low < high:
            half = (low + high) // 2
            if self.reached[half] >= rank:
                high = half
            else:
                low = half + 1
        return self.buckets[low]


def _rank(tail: float, total: int, q: float) -> int:
    """Return the largest rank whose value is above the q quantile with a probability of at most ``tail``."""
    found = float(bdtrik(tail, total, q))
    return max(0, ceil(found)) if isfinite(found) else 0


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare a quantile of two arms.

    Args:
        metric: A quantile.
        treatment: What is known of the arm; of exchanges, with ``below``.
        control: What is known of control.
        asked: Level of the interval.
    """
    one, two = ranked(metric, treatment), ranked(metric, control)
    if isinstance(one, NotEnough):
        return NotEnough(f"treatment: {one.reason}", one.n)
    if isinstance(two, NotEnough):
        return NotEnough(f"control: {two.reason}", two.n)
    reach = -float(ndtri(asked.alpha / 2))
    found = _difference(one, two, reach)
    if isinstance(found, NotEnough):
        return found
    value = one.estimate.value - two.estimate.value
    return Effect(
        value=value,
        interval=Interval(*found),
        level=1 - asked.alpha,
        relative=_relative(one, two, reach),
        p=p_of(float(ndtr(-_touches(one, two)))),
        standard_error=None,
        treatment=one.estimate,
        control=two.estimate,
        method="quantiles by ranks",
        basis="fixed horizon",
        notes=_notes(metric, treatment, control),
    )


def interval(metric: Metric, known: Aggregate, asked: Asked) -> Interval | NotEnough:
    """Return the interval of one arm's quantile."""
    found = ranked(metric, known)
    if isinstance(found, NotEnough):
        return found
    low, high = found.limits(-float(ndtri(asked.alpha / 2)))
    if low is None or high is None:
        return NotEnough(f"too few values beyond the {found.q:g} quantile for an interval", found.estimate.n)
    return Interval(low, high)


def ranked(metric: Metric, known: Aggregate) -> Ranked | NotEnough:
    """Return an arm's distribution, with the standard error of its ranks."""
    found = estimate(metric, known)
    if isinstance(found, NotEnough):
        return found
    assert known.sketch is not None  # noqa: S101 - there is an estimate
    assert metric.q is not None  # noqa: S101 - the same
    inflation = _design_effect(metric, known, found.n)
    if isinstance(inflation, NotEnough):
        return inflation
    buckets = tuple(sorted(known.sketch.counts))
    reached = tuple(accumulate(known.sketch.counts[bucket] for bucket in buckets))
    error = sqrt(inflation * metric.q * (1 - metric.q) / reached[-1])
    return Ranked(buckets, reached, metric.q, error, found, independent=known.below is None)


def _design_effect(metric: Metric, known: Aggregate, total: int) -> float | NotEnough:
    """Return how much larger variances are than those of independent values."""
    below = known.below
    if below is None:
        if metric.exchange is None and known.clusters is None:
            return 1.0
        return NotEnough("how values vary between units is not known", total)
    if not finite(below) or below.x <= 0:
        return NotEnough("its sums are not finite", total)
    if below.n < FEWEST_PAIRS:
        return NotEnough(f"{below.n} units, and it takes {FEWEST_PAIRS}", total)
    share = below.y / below.x
    if not 0 <= share <= 1:
        return NotEnough("its sums contradict each other", total)
    alone = share * (1 - share) / below.x
    squares = scatter(below, share)
    if squares is None or below.xx <= 0:
        return NotEnough("its sums contradict each other", total)
    mean = below.x / below.n
    if alone <= 0:
        # All values are on one side of the threshold: as if those of a unit were all equal (Kish's design effect).
        return below.xx / below.x
    error = sqrt(squares / (below.n - 1) / below.n) / mean
    found = error * error / alone
    return found if isfinite(found) else NotEnough("its sums are not finite", total)


def _difference(one: Ranked, two: Ranked, reach: float) -> tuple[float, float] | NotEnough:
    (l1, u1), (l2, u2) = one.limits(reach), two.limits(reach)
    if l1 is None or u1 is None or l2 is None or u2 is None:
        side = one if None in (l1, u1) else two
        return NotEnough(f"too few values beyond the {side.q:g} quantile for an interval", side.estimate.n)
    t, c = one.estimate.value, two.estimate.value
    low, high = t - c - hypot(t - l1, u2 - c), t - c + hypot(u1 - t, c - l2)
    if not (isfinite(low) and isfinite(high)):
        return NotEnough("its values are too large to be compared", one.estimate.n)
    return low, high


def _touches(one: Ranked, two: Ranked) -> float:
    """Return for how many standard errors the interval of the difference first holds 0."""
    low, high = 0.0, FARTHEST
    for _ in range(45):
        half = (low + high) / 2
        found = _difference(one, two, half)
        if isinstance(found, NotEnough) or found[0] <= 0 <= found[1]:
            high = half
        else:
            low = half
    return high if high > 1e-9 else 0.0


Limits = tuple[float | None, float | None]


def _relative(one: Ranked, two: Ranked, reach: float) -> Relative | NotEnough:
    """Return the ratio of two quantiles less 1; logarithms of limits combine as limits do."""
    t, c = one.estimate.value, two.estimate.value
    ends = [t, c, *one.limits(reach), *two.limits(reach)]
    sign = 1.0 if c > 0 else -1.0
    logs = [log(end * sign) for end in ends if end is not None and end * sign > 0]
    if len(logs) < len(ends):
        return NotEnough("control's value, or the arm's, cannot be told from 0", two.estimate.n)
    of_t, of_c, l1, u1, l2, u2 = logs
    if sign < 0:
        l1, u1, l2, u2 = u1, l1, u2, l2
    furthest = of_t - of_c + hypot(u1 - of_t, of_c - l2)
    if furthest > FARTHEST:
        return NotEnough("control's value cannot be told from 0", two.estimate.n)
    low, high = exp(of_t - of_c - hypot(of_t - l1, u2 - of_c)) - 1, exp(furthest) - 1
    found = Relative(t / c - 1, Interval(min(low, t / c - 1), max(high, t / c - 1)))
    return found if sign > 0 else Relative(1 - t / c, Interval(-high, -low))


def _notes(metric: Metric, treatment: Aggregate, control: Aggregate) -> tuple[str, ...]:
    if metric.exchange is None:
        return ()
    units: Sequence[Moments] = [known.below for known in (treatment, control) if known.below is not None]
    return (f"Exchanges of {sum(found.n for found in units)} units; those of a unit are not independent.",)


def of_values(values: Sequence[float], q: float, asked: Asked) -> Interval | NotEnough:
    """Return the interval of a quantile of independent values whose ends are order statistics, by ``scipy.stats``.

    Args:
        values: The values, in any order; all finite.
        q: The quantile, above 0 and below 1.
        asked: Level of the interval, which is exact: at least 1 - alpha for every distribution.

    Raises:
        ValueError: If a value is not finite, or q is no quantile.
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies above 0 and below 1, not at {q}")
    if not all(isfinite(value) for value in values):
        raise ValueError("values have to be finite")
    if len(values) < 2:
        return NotEnough("fewer than 2 values", len(values))
    found = quantile_test(values, p=q).confidence_interval(1 - asked.alpha)
    if not (isfinite(found.low) and isfinite(found.high)):
        return NotEnough(f"too few values beyond the {q:g} quantile for an interval", len(values))
    return Interval(float(found.low), float(found.high))
