"""Arms of raw values as the sums that a fold would make of them."""

from collections.abc import Iterable, Sequence

import numpy as np

from router.analysis.aggregates import GAMMA, OFFSET, Aggregate, Moments, Sketch
from router.config.schema import Metric
from router.inference.effect import Interval

MEAN = Metric(name="m", kind="mean", outcome="o", goal="up")
PROPORTION = Metric(name="p", kind="proportion", outcome="o", goal="up")
RATIO = Metric(name="r", kind="ratio", numerator="a", denominator="b", goal="up")


def moments(y: Iterable[float], x: Iterable[float] | None = None) -> Moments:
    """Return the sums of values, and of second values beside them."""
    ys = np.asarray(list(y), dtype=float)
    xs = np.zeros_like(ys) if x is None else np.asarray(list(x), dtype=float)
    return Moments(len(ys), *(float(total) for total in (ys.sum(), ys @ ys, xs.sum(), xs @ xs, xs @ ys)))


def arm(y: Iterable[float], x: Iterable[float] | None = None) -> Aggregate:
    """Return an arm of independent units."""
    return Aggregate(units=moments(y, x))


def clustered(groups: Sequence[Sequence[float]]) -> Aggregate:
    """Return an arm whose units are in clusters: each group's values."""
    flat = [value for group in groups for value in group]
    sums, sizes = [sum(group) for group in groups], [float(len(group)) for group in groups]
    return Aggregate(units=moments(flat), clusters=moments(sums, sizes))


def ends(interval: Interval) -> tuple[float, float]:
    """Return both ends of an interval that has them."""
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def successes(number: int, of: int) -> Aggregate:
    """Return an arm of zeros and ones."""
    return Aggregate(units=Moments(of, float(number), float(number)))


def sketch(values: Iterable[float]) -> Sketch:
    """Return the distribution of values."""
    ys = np.asarray(list(values), dtype=float)
    with np.errstate(divide="ignore"):
        steps = np.where(ys == 0, 0, np.ceil(np.log(np.abs(ys)) / np.log(GAMMA)) + OFFSET)
    buckets, counts = np.unique(np.sign(ys) * steps, return_counts=True)
    return Sketch({int(bucket): int(count) for bucket, count in zip(buckets, counts, strict=True)})
