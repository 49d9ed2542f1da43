"""Arms of raw values as the sums that a fold would make of them."""

from collections.abc import Iterable, Sequence

import numpy as np

from router.analysis.aggregates import Aggregate, Moments
from router.config.schema import Metric

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


def successes(number: int, of: int) -> Aggregate:
    """Return an arm of zeros and ones."""
    return Aggregate(units=Moments(of, float(number), float(number)))
