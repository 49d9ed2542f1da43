"""Quantiles at any time, from bands around distribution functions that hold at all times at once.

Responsible for: intervals of a quantile in one arm and of its difference between two, from sketches; a band around a
whole distribution function.
Does not know: how sketches were filled.

If x is the q-quantile, the number of observations at or below it, ties at x split at random, is binomial with chance q.
So ``e_process``'s martingale of chance q is one for the true x, and the x that it does not reject are a confidence
sequence for the quantile, exact for any distribution (Howard and Ramdas, Bernoulli 2022). The product of two arms'
martingales gives a joint region, and from it come the difference, the ratio and p, as for proportions. Of a bucket only
its bounds are known, so x in it may have had anything from the count below it to the count up to it: intervals keep
whole buckets, and are exact for the values, not for buckets' middles.

Exchanges of one unit are not independent. There the evidence is that of a normal mixture of the clustered z-score of
the share at or below x, with the design effect that the unit-level sums at the pooled threshold have (``below``): it
is asymptotic, and takes a burn-in.

Rules: pure. A side on which the band does not close has no bound.
"""

from math import exp, inf, isfinite, log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln

from router.analysis.aggregates import GAMMA, OFFSET, Aggregate, Moments, Sketch
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.config.schema import Metric
from router.inference.confidence_sequence import BURN_IN_CLUSTERS, BURN_IN_UNITS, TUNED_UNITS
from router.inference.difference import finite, scatter
from router.inference.e_process import best_pair
from router.inference.effect import Asked, Effect, Interval, Relative
from router.inference.mixture import p_value

Floats = npt.NDArray[np.float64]

LEAST_BEYOND: Final = 10.0
"""Independent exchanges that are expected beyond a quantile, on its rarer side, before anything is said."""

_NEVER_NEGATIVE: Final = ("failed", "duration", "first_byte")
_A: Final = 0.85
_LARGEST: Final = 709.78  # the logarithm of the largest number


class Arm(Struct, frozen=True):
    """The counts of an arm, and how much they are worth.

    Attributes:
        buckets: Occupied buckets, in order of their values.
        reached: Values up to the end of each.
        design: Variance of the share below a value, over that of independent values; None where they are independent
            and the count is exactly binomial.
    """

    buckets: tuple[int, ...]
    reached: tuple[int, ...]
    design: float | None = None

    @property
    def n(self) -> int:
        """Number of values."""
        return self.reached[-1]

    def evidence(self, low: Floats, high: Floats, q: float, alpha: float) -> Floats:
        """Return ln M of a quantile that has at least ``low`` and at most ``high`` values below it, easiest first.

        Args:
            low: Counts.
            high: Counts, none below the ``low`` of the same place.
            q: The share of values below the quantile.
            alpha: What the mixture is tuned for.
        """
        count = np.clip(q * self.n, low, high)
        if self.design is None:
            g = max(1.0, TUNED_UNITS / 2 / best_pair(alpha))
            mixed = (
                _rising(g * q, count) + _rising(g * (1 - q), self.n - count) - _rising(g, np.full_like(count, self.n))
            )
            return np.asarray(mixed - count * log(q) - (self.n - count) * np.log1p(-q))
        worth = self.n / self.design
        kappa = worth * best_pair(alpha) / (TUNED_UNITS / 2)
        score2 = (count / self.n - q) ** 2 * (worth / (q * (1 - q)))
        return np.asarray(0.5 * (kappa / (1 + kappa) * score2 - np.log1p(kappa)))


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare a quantile of two arms at any time.

    Args:
        metric: A quantile.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the intervals.

    Raises:
        ValueError: If the metric is no quantile.
    """
    if metric.kind != "quantile" or metric.q is None:
        raise ValueError(f"metric {metric.name!r} is no quantile")
    arms: list[Arm] = []
    estimates: list[Estimate] = []
    for name, known in (("treatment", treatment), ("control", control)):
        found, arm = estimate(metric, known), _arm(metric, known, metric.q)
        if isinstance(found, NotEnough):
            return NotEnough(f"{name}: {found.reason}", found.n)
        if isinstance(arm, NotEnough):
            return NotEnough(f"{name}: {arm.reason}", arm.n)
        arms.append(arm)
        estimates.append(found)
    least = 0.0 if metric.exchange in _NEVER_NEGATIVE else -inf
    value = estimates[0].value - estimates[1].value
    exact = all(arm.design is None for arm in arms)
    ends, ratio = _region(arms[0], arms[1], (metric.q, asked.alpha, least))
    return Effect(
        value=value,
        interval=Interval(_bound(min(ends[0], value)), _bound(max(ends[1], value))),
        level=1 - asked.alpha,
        relative=_relative(value, estimates[1], ratio),
        p=p_value(_common(arms[0], arms[1], metric.q, asked.alpha)),
        standard_error=None,
        treatment=estimates[0],
        control=estimates[1],
        method="CDF band" if exact else "clustered CDF band",
        basis="always valid",
        exact=exact,
        notes=() if exact else ("Exchanges of a unit are correlated: the band holds for many units.",),
    )


def band(n: int, alpha: float, start: int = 100) -> float:
    """Return how far the empirical distribution function is from the true one: at most, at all values and all times.

    A sqrt((ln(1 + ln(n/m)) + C)/n) with A = 0.85 and C such that the error is alpha (Howard and Ramdas, Bernoulli 2022,
    Theorem 2): an inequality of Dvoretzky, Kiefer and Wolfowitz that holds from m values on.

    Args:
        n: Values, at least ``start``.
        alpha: Share of bands that ever miss.
        start: m.

    Raises:
        ValueError: If there are fewer values than ``start``, or alpha is no share.
    """
    if not 1 <= start <= n or not 0 < alpha < 1:
        raise ValueError(f"a band takes at least {start} values and an alpha below 1, not {n} and {alpha}")
    constant = float(brentq(lambda c: _least_error(c) - log(alpha), 5.0, 2000.0))
    return _A * sqrt((np.log1p(log(n / start)) + constant) / n)


def _least_error(constant: float) -> float:
    """Return ln of the error of a band with a constant C: the least over the ratio of the epochs that its proof has."""

    def error(eta: float) -> float:
        gamma2 = 2 / eta * max(0.0, _A - sqrt(2 * (eta - 1) / constant)) ** 2
        if gamma2 <= 1 or eta <= 1:
            return 1e3
        return log(4) - gamma2 * constant + log(1 + 1 / ((gamma2 - 1) * log(eta)))

    highest = float(brentq(lambda eta: sqrt(eta / 2) + sqrt(2 * (eta - 1) / constant) - _A, 1.0, 2 * _A * _A))
    found = minimize_scalar(error, bounds=(1.0, highest), method="bounded", options={"xatol": 1e-9})
    return float(found.fun)


def _arm(metric: Metric, known: Aggregate, q: float) -> Arm | NotEnough:
    """Return the counts of an arm, once there are enough of them."""
    sketch = known.sketch if known.sketch is not None else Sketch()
    if not sketch.total:
        return NotEnough("no values", 0)
    buckets = tuple(sorted(sketch.counts))
    reached = tuple(int(count) for count in np.cumsum([sketch.counts[bucket] for bucket in buckets], dtype=np.int64))
    if metric.exchange is None and known.clusters is None:
        return Arm(buckets, reached)
    if known.below is None:
        return NotEnough("its units' shares below a threshold are not known", sketch.total)
    design = _design(known.below, clustered=known.clusters is not None)
    if isinstance(design, NotEnough):
        return design
    beyond = reached[-1] / design * min(q, 1 - q)
    if beyond < LEAST_BEYOND:
        said = f"values beyond the quantile are worth {beyond:.1f} independent ones, and it takes {LEAST_BEYOND:g}"
        return NotEnough(said, sketch.total)
    return Arm(buckets, reached, design)


def _design(below: Moments, *, clustered: bool) -> float | NotEnough:
    """Return how many times the variance of the share below the threshold is that of independent values."""
    least, what = (BURN_IN_CLUSTERS, "clusters") if clustered else (BURN_IN_UNITS, "units")
    if below.n < least:
        return NotEnough(f"{below.n} {what}, and a sequential test begins at {least}", below.n)
    if not finite(below) or below.x <= 0:
        return NotEnough("its sums are not finite", below.n)
    share = below.y / below.x
    if not 0 < share < 1:
        return NotEnough("all its values are on one side of the quantile of both arms", below.n)
    squares = scatter(below, share)
    if squares is None:
        return NotEnough("its sums contradict each other", below.n)
    variance = squares * below.n / (below.n - 1) / (below.x * below.x)
    # Never better than independent values: a ratio below 1 would be luck.
    return max(1.0, variance * below.x / (share * (1 - share)))


def _region(one: Arm, two: Arm, asked: tuple[float, float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of the difference, and of the treatment's quantile over the absolute value of control's.

    Args:
        one: The arm.
        two: Control.
        asked: q, alpha, and the least that a value can be.
    """
    q, alpha, least = asked
    first, second = (_cells(arm, q, alpha, least) for arm in (one, two))
    held = first[2][:, None] + second[2][None, :] <= -log(alpha)
    difference = (
        float(np.min((first[0][:, None] - second[1][None, :])[held])),
        float(np.max((first[1][:, None] - second[0][None, :])[held])),
    )
    low, high = float(second[0][held.any(axis=0)].min()), float(second[1][held.any(axis=0)].max())
    if low <= 0 <= high:
        return difference, (-inf, inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        corners = [
            np.where(held, top[:, None] / np.abs(bottom)[None, :], np.nan) for top in first[:2] for bottom in second[:2]
        ]
    return difference, (
        min(float(np.nanmin(corner)) for corner in corners),
        max(float(np.nanmax(corner)) for corner in corners),
    )


def _cells(arm: Arm, q: float, alpha: float, least: float) -> tuple[Floats, Floats, Floats]:
    """Return where a quantile may be, below, in and above the buckets: low ends, high ends, evidence against each."""
    edges = [_edges(bucket) for bucket in arm.buckets]
    lows = np.array([min(least, edges[0][0]), *(low for low, _ in edges), edges[-1][1]])
    highs = np.array([edges[0][0], *(high for _, high in edges), inf])
    counts = np.array([0, 0, *arm.reached, arm.n], dtype=np.float64)
    return np.maximum(lows, least), np.maximum(highs, least), arm.evidence(counts[_first(counts)], counts[1:], q, alpha)


def _first(counts: Floats) -> slice:
    return slice(0, len(counts) - 1)


def _common(one: Arm, two: Arm, q: float, alpha: float) -> float:
    """Return the least evidence of both arms against any value as the quantile of both."""
    buckets = np.union1d(np.array(one.buckets), np.array(two.buckets))
    total = np.zeros(len(buckets))
    for arm in (one, two):
        counts = np.array([0, *arm.reached], dtype=np.float64)
        low = counts[np.searchsorted(np.array(arm.buckets), buckets, side="left")]
        high = counts[np.searchsorted(np.array(arm.buckets), buckets, side="right")]
        total += arm.evidence(low, high, q, alpha)
    return float(total.min())


def _relative(value: float, control: Estimate, ratio: tuple[float, float]) -> Relative | NotEnough:
    if control.value == 0 or ratio == (-inf, inf):
        return NotEnough("control's value cannot be told from 0", control.n)
    shift = 1.0 if control.value > 0 else -1.0
    relative = value / abs(control.value)
    low, high = min(ratio[0] - shift, relative), max(ratio[1] - shift, relative)
    return Relative(relative, Interval(_bound(low), _bound(high)))


def _edges(bucket: int) -> tuple[float, float]:
    """Return the bounds of a bucket."""
    if bucket == 0:
        return 0.0, 0.0
    near, far = (exp(min(_LARGEST, (abs(bucket) - OFFSET + step) * log(GAMMA))) for step in (-1, 0))
    return (near, far) if bucket > 0 else (-far, -near)


def _rising(start: float, steps: Floats) -> Floats:
    """Return the logarithm of start (start + 1) ... (start + steps - 1), for any real number of steps."""
    return np.asarray(gammaln(start + steps) - gammaln(start))


def _bound(value: float) -> float | None:
    return value if isfinite(value) else None
