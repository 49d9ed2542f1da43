"""Bootstrap intervals, where no formula is trusted.

Responsible for: intervals of differences of any statistic of values (by scipy), of quantiles of sketches, and of ratios
of sums over clusters.
Does not know: which statistic is asked for; where randomness comes from: a generator is given.

Rules: what is resampled is what is independent: values, or clusters with all that is theirs; never exchanges of a unit.
The same generator state gives the same interval. Memory is bounded: resamples are made in pieces.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal
from warnings import catch_warnings, simplefilter

import numpy as np
from scipy import stats

from router.analysis.aggregates import Sketch, middle
from router.analysis.estimate import Estimate, NotEnough
from router.inference.effect import Asked, Effect, Interval, Relative

RESAMPLES: Final = 2000
MOST: Final = 100_000
"""Resamples: by default, enough that a 95 % limit is off by some percent of its width; and at most."""

FEWEST: Final = 10
"""Values or clusters of an arm, below which resamples are too few different ones."""

PIECE: Final = 2_000_000
"""Numbers that are drawn at once."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Statistic = Callable[..., Any]
Kind = Literal["BCa", "percentile", "basic"]


def of_values(
    values: tuple[Sequence[float], Sequence[float]],
    statistic: Statistic,
    asked: Asked,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval | NotEnough:
    """Return the BCa interval of the difference of a statistic between two arms (``scipy.stats.bootstrap``).

    Args:
        values: The treatment's and control's values; independent, finite.
        statistic: Of an array along ``axis``, such as ``numpy.mean``.
        asked: Level of the interval.
        generator: Draws the resamples.
        resamples: Their number.

    Raises:
        ValueError: If a value is not finite, or resamples are out of range.
    """
    one, two = (np.asarray(side, dtype=float) for side in values)
    _check(resamples, one, two)
    if min(one.size, two.size) < FEWEST:
        return NotEnough(f"fewer than {FEWEST} values in an arm", int(one.size + two.size))
    if np.ptp(one) == 0 and np.ptp(two) == 0:
        return NotEnough("its values do not vary", int(one.size + two.size))

    def difference(first: Floats, second: Floats, axis: int = -1) -> Any:
        return statistic(first, axis=axis) - statistic(second, axis=axis)

    with np.errstate(all="ignore"), catch_warnings():
        simplefilter("ignore")  # of a statistic that does not vary, which is told below
        found = stats.bootstrap(
            (one, two),
            difference,
            n_resamples=resamples,
            batch=max(1, PIECE // int(one.size + two.size)),
            confidence_level=1 - asked.alpha,
            # The jackknife of BCa takes memory by the square of the number of values.
            method="BCa" if max(one.size, two.size) <= 5000 and 0 not in (np.ptp(one), np.ptp(two)) else "percentile",
            rng=generator,
        ).confidence_interval
    if not (np.isfinite(found.low) and np.isfinite(found.high)):
        return NotEnough("the statistic does not vary between resamples", int(one.size + two.size))
    return Interval(float(found.low), float(found.high))


def of_sketches(
    sketches: tuple[Sketch, Sketch], q: float, asked: Asked, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Effect | NotEnough:
    """Compare a quantile of independent values that are known by their sketches.

    Args:
        sketches: The treatment's and control's distribution.
        q: The quantile, above 0 and below 1.
        asked: Level of the percentile interval.
        generator: Draws the resamples.
        resamples: Their number.

    Raises:
        ValueError: If q is no quantile, or resamples are out of range.
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies above 0 and below 1, not at {q}")
    _check(resamples)
    totals = [sketch.total for sketch in sketches]
    if min(totals) < FEWEST:
        return NotEnough(f"fewer than {FEWEST} values in an arm", sum(totals))
    drawn = []
    for sketch, total in zip(sketches, totals, strict=True):
        buckets = sorted(sketch.counts)
        shares = np.array([sketch.counts[bucket] for bucket in buckets]) / total
        ends = np.array([middle(bucket) for bucket in buckets])
        pieces = [
            ends[np.argmax(np.cumsum(generator.multinomial(total, shares, size=size), axis=1) >= q * total, axis=1)]
            for size in _pieces(resamples, len(buckets))
        ]
        drawn.append(np.concatenate(pieces))
    values = [sketch.quantile(q) or 0.0 for sketch in sketches]
    return _effect((values[0], values[1]), (totals[0], totals[1]), (drawn[0], drawn[1]), asked)


def of_clusters(
    sums: tuple[Floats, Floats], asked: Asked, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Effect | NotEnough:
    """Compare ratios of sums by resampling clusters with all that is theirs.

    Args:
        sums: The treatment's and control's clusters, one a row: sum of y, sum of x.
        asked: Level of the percentile interval.
        generator: Draws the resamples.
        resamples: Their number.

    Raises:
        ValueError: If a sum is not finite, not a pair, or resamples are out of range.
    """
    _check(resamples, *sums)
    if any(side.ndim != 2 or side.shape[1] != 2 for side in sums):
        raise ValueError("a cluster is a pair of sums, of y and of x")
    numbers = [len(side) for side in sums]
    if min(numbers) < FEWEST:
        return NotEnough(f"fewer than {FEWEST} clusters in an arm", sum(numbers))
    if any(side[:, 1].sum() <= 0 or (side[:, 1] < 0).any() for side in sums):
        return NotEnough("its denominator is not above 0", sum(numbers))
    drawn = []
    for side in sums:
        equal = np.full(len(side), 1 / len(side))
        pieces = [generator.multinomial(len(side), equal, size=size) @ side for size in _pieces(resamples, len(side))]
        drawn.append(np.concatenate(pieces))
    if any((side[:, 1] <= 0).any() for side in drawn):
        return NotEnough("too few clusters have a denominator", sum(numbers))
    ratios = [side[:, 0] / side[:, 1] for side in drawn]
    values = [float(side[:, 0].sum() / side[:, 1].sum()) for side in sums]
    return _effect((values[0], values[1]), (numbers[0], numbers[1]), (ratios[0], ratios[1]), asked)


def _pieces(resamples: int, width: int) -> list[int]:
    size = max(1, PIECE // width)
    return [min(size, resamples - done) for done in range(0, resamples, size)]


def _check(resamples: int, *values: Floats) -> None:
    if not 100 <= resamples <= MOST:
        raise ValueError(f"resamples lie between 100 and {MOST}, not at {resamples}")
    if not all(np.isfinite(side).all() for side in values):
        raise ValueError("values have to be finite")


def _effect(
    values: tuple[float, float], totals: tuple[int, int], drawn: tuple[Floats, Floats], asked: Asked
) -> Effect | NotEnough:
    """Return the effect between two statistics, given their resamples."""
    differences = drawn[0] - drawn[1]
    ends = [asked.alpha / 2, 1 - asked.alpha / 2]
    if np.ptp(differences) == 0:
        return NotEnough("the statistic does not vary between resamples", sum(totals))
    low, high = (float(end) for end in np.quantile(differences, ends))
    base = values[1]
    relative: Relative | NotEnough = NotEnough("control's value cannot be told from 0", totals[1])
    if base and (np.sign(drawn[1]) == np.sign(base)).all():
        shares = np.quantile(differences / np.abs(drawn[1]), ends)
        relative = Relative((values[0] - base) / abs(base), Interval(float(shares[0]), float(shares[1])))
    errors = [float(side.std(ddof=1)) for side in drawn]
    return Effect(
        value=values[0] - base,
        interval=Interval(low, high),
        level=1 - asked.alpha,
        relative=relative,
        p=None,
        standard_error=float(differences.std(ddof=1)),
        treatment=Estimate(values[0], errors[0], totals[0]),
        control=Estimate(base, errors[1], totals[1]),
        method="bootstrap",
        basis="fixed horizon",
        notes=(f"Percentiles of {len(differences)} resamples.",),
    )
