"""Aggregates made of values, for tests of what is computed from sums."""

from collections import Counter
from math import ceil, log
from typing import Any

import numpy as np
import numpy.typing as npt

from router.analysis.aggregates import GAMMA, OFFSET, Aggregate, Moments, Sketch
from router.config.schema import Metric

Floats = npt.NDArray[np.float64]


def moments(y: Floats, x: Floats | None = None) -> Moments:
    """Return the sums over units of their values."""
    second = np.zeros_like(y) if x is None else x
    sums = (y.sum(), (y * y).sum(), second.sum(), (second * second).sum(), (second * y).sum())
    return Moments(len(y), *map(float, sums))


def arm(y: Floats, x: Floats | None = None, **rest: Any) -> Aggregate:
    """Return what is known of an arm whose units have these values."""
    return Aggregate(units=moments(y, x), **rest)


def share(successes: int, n: int, **rest: Any) -> Aggregate:
    """Return what is known of an arm of which so many units have the value 1, and the others 0."""
    return Aggregate(units=Moments(n, float(successes), float(successes)), **rest)


def sketch(values: Floats) -> Sketch:
    """Return the distribution of values that are 0 or more."""
    buckets = (0 if value == 0 else OFFSET + ceil(log(value) / log(GAMMA)) for value in values.tolist())
    return Sketch(dict(Counter(buckets)))


def metric(kind: str, **rest: Any) -> Metric:
    """Return a metric of a kind, of the outcome ``value`` unless told otherwise."""
    source: dict[str, Any] = {} if "exchange" in rest or kind in ("ratio", "funnel") else {"outcome": "value"}
    return Metric(name="metric", kind=kind, **{"goal": "up", **source, **rest})  # type: ignore[arg-type]
