"""Streams from the shared counters: what happened on an arm since the last point.

Responsible for: the totals of an arm, and a point or a row of measurements from two of them.
Does not know: when a point is due, detectors.

Rules: reads only. Exchanges and failures are those of the arm, over all phases of the run; times are those of the arm
where they are counted by arm, as for releases, and else those of the route's exchanges with the arm's target. A
quantile waits for ``5 / (1 - q)`` exchanges: the 99th percentile of twenty is their maximum. Counters that fell,
because the router began anew, begin a new count; nothing is measured across.
"""

from math import sqrt
from typing import Final

import numpy as np
from msgspec import Struct

from router import counters
from router.config.schema import Metric
from router.control.subjects import Subject
from router.detect.stream import Point
from router.events.model import Revision
from router.histogram import BUCKETS, HISTOGRAM_BUCKETS, HISTOGRAM_WORDS, quantile
from router.segment import Segment, fold

TOGETHER: Final = ("error_rate", "p50", "p99", "rate")
"""What several streams together are, where an entry does not say it."""
_ENOUGH: Final = 5.0
_ROW: Final = 30  # exchanges from which a row is one
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Totals(Struct, frozen=True):
    """What was counted on an arm so far.

    Attributes:
        exchanges: Exchanges.
        failures: Those of them whose first attempt failed.
        seconds: Counts of times to the last byte, by bucket.
        first_byte: Counts of times to the first byte.
        places: Where these stand: counts of other places are not to be compared.
    """

    exchanges: int = 0
    failures: int = 0
    seconds: tuple[int, ...] = (0,) * BUCKETS
    first_byte: tuple[int, ...] = (0,) * BUCKETS
    places: tuple[str, ...] = ()


class Since(Struct, frozen=True):
    """What happened between two totals.

    Attributes:
        exchanges: As of ``Totals``.
        failures: Likewise.
        seconds: Likewise.
        first_byte: Likewise.
        weight: Share of the experiment's weight that the arm had at the end.
        elapsed_s: Time between them.
    """

    exchanges: int
    failures: int
    seconds: tuple[int, ...]
    first_byte: tuple[int, ...]
    weight: float
    elapsed_s: float


def totals(segment: Segment, revision: Revision, subject: Subject) -> Totals:
    """Read what was counted on the arm of a subject."""
    prefix = f"arm\0{subject.experiment}\0{subject.run}\0"
    suffix = f"\0{subject.arm}"
    rows = [base for key, base in revision.slots.items() if key.startswith(prefix) and key.endswith(suffix)]
    failures = sum(sum(fold(segment, base + counters.ARM_FAILURES, counters.UNIT_BUCKETS)) for base in rows)
    # Exchanges are read after failures, which are counted in them too: so there are never fewer of them.
    exchanges = sum(sum(fold(segment, base + counters.ARM_EXCHANGES, counters.UNIT_BUCKETS)) for base in rows)
    place, seconds, first_byte = _times(segment, revision, subject)
    return Totals(exchanges, failures, seconds, first_byte, (f"{subject.experiment}\0{subject.run}", place))


def _times(segment: Segment, revision: Revision, subject: Subject) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Return where times are counted, and the two histograms."""
    key = counters.times_key(subject.experiment, subject.arm)
    base = revision.slots.get(key)
    if base is not None:
        words = np.asarray(fold(segment, base, counters.TIMES_WORDS), dtype=np.int64)
        both = words.reshape(2, counters.TIME_CLUSTERS, BUCKETS).sum(axis=1)
        return key, tuple(both[0].tolist()), tuple(both[1].tolist())
    key = counters.pair_key(subject.route, subject.target or "")
    base = revision.slots.get(key)
    if base is None:
        return key, (0,) * BUCKETS, (0,) * BUCKETS
    row = fold(segment, base + counters.PAIR_SECONDS, 2 * HISTOGRAM_WORDS)
    return key, tuple(row[HISTOGRAM_BUCKETS:HISTOGRAM_WORDS]), tuple(row[HISTOGRAM_WORDS + HISTOGRAM_BUCKETS :])


def since(before: Totals, now: Totals, weight: float, elapsed_s: float) -> Since | None:
    """Return what happened between two totals; None when they cannot be compared."""
    seconds = _less(now.seconds, before.seconds)
    first_byte = _less(now.first_byte, before.first_byte)
    exchanges, failures = now.exchanges - before.exchanges, now.failures - before.failures
    if before.places != now.places or seconds is None or first_byte is None or min(exchanges, failures) < 0:
        return None
    return Since(exchanges, min(failures, exchanges), seconds, first_byte, weight, elapsed_s)


def measured(name: str, metric: Metric | None, seen: Since) -> Point | None:
    """Return a point of a stream.

    Args:
        name: One of ``router.config.watching.BUILT_IN``, or of a metric.
        metric: The metric; None for what is built in.
        seen: What happened.

    Returns:
        None when there is not enough for one yet.
    """
    if name == "error_rate" or (metric is not None and metric.exchange == "failed"):
        return Point.of_share(seen.failures, seen.exchanges) if seen.exchanges else None
    if name == "rate" and metric is None:
        whole = seen.weight * seen.elapsed_s
        return Point(seen.exchanges / whole) if whole > 0 else Point(None)
    q = metric.q if metric is not None and metric.q is not None else _QUANTILES.get(name, 0.5)
    counts = seen.first_byte if metric is not None and metric.exchange == "first_byte" else seen.seconds
    if sum(counts) < _ENOUGH / (1 - q):
        return None
    found = quantile(counts, q)
    return None if found is None else Point(max(found, 1.0) / 1e6)


def row(names: tuple[str, ...], metrics: dict[str, Metric], seen: Since) -> tuple[float | None, ...] | None:
    """Return several measurements together, each so that its spread does not depend on its size.

    Args:
        names: As of ``measured``.
        metrics: The metrics of the configuration, by name.
        seen: What happened.

    Returns:
        None when there is not enough for one of them yet.
    """
    if seen.exchanges < _ROW:
        return None
    found: list[float | None] = []
    for name in names:
        point = measured(name, metrics.get(name), seen)
        if point is None:
            return None
        value = point.value
        # Of shares and times square roots and more would do; ranks make up for the rest.
        found.append(None if value is None else sqrt(max(value, 0.0)))
    return tuple(found)


def _less(now: tuple[int, ...], before: tuple[int, ...]) -> tuple[int, ...] | None:
    found = tuple(a - b for a, b in zip(now, before, strict=True))
    return None if min(found, default=0) < 0 else found
