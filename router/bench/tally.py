"""Latencies and failures of one run, counted as they come.

Responsible for: the histograms of latency and of the generator's own lateness, status codes, failures by cause, and
whether the run may be believed.
Does not know: connections, clocks, or how results are shown.

Rules: memory is the same for ten requests and for a billion. The latency of a request is from its intended time to its
last byte; how late the generator was by itself is kept apart, since it is in every latency too.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from router.histogram import BUCKETS, bucket, quantile

QUANTILES: Final = (0.5, 0.9, 0.99, 0.999, 0.9999)

# The generator's own lateness is in each latency, so a run is not valid where it is a visible part of them.
LATE_SHARE: Final = 0.1  # of the 99th percentile of latency
LATE_FLOOR_US: Final = 1000.0  # a scheduler's usual delay; below this nobody measures through a shared machine
BUSY_SHARE: Final = 0.9  # of one core: beyond, answers wait in the generator and look like slowness of the target


class Spread(Struct, frozen=True, kw_only=True):
    """A distribution of times, in microseconds; quantiles are at most 12.5 % off, the rest is exact."""

    count: int
    mean: float
    smallest: float
    largest: float
    quantiles: dict[str, float]
    buckets: list[int]


class Times:
    """A log-linear histogram of times with its exact count, sum and extremes."""

    __slots__ = ("buckets", "count", "largest", "smallest", "total")

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.count = 0
        self.total = 0.0
        self.smallest = float("inf")
        self.largest = 0.0

    def add(self, seconds: float) -> None:
        """Count one time; a negative one is counted as 0."""
        us = seconds * 1e6 if seconds > 0 else 0.0
        self.buckets[bucket(int(us))] += 1
        self.count += 1
        self.total += us
        self.smallest = min(self.smallest, us)
        self.largest = max(self.largest, us)

    def spread(self) -> Spread | None:
        """Return the distribution, or None when nothing was counted."""
        if not self.count:
            return None
        return Spread(
            count=self.count,
            mean=self.total / self.count,
            smallest=self.smallest,
            largest=self.largest,
            quantiles=quantiles(self.buckets, self.smallest, self.largest),
            buckets=list(self.buckets),
        )


def quantiles(buckets: Sequence[int], smallest: float, largest: float) -> dict[str, float]:
    """Return the quantiles that the table shows, in microseconds, by name (`p50`, `p99.9`).

    An estimate is kept within the exact extremes. A quantile beyond the last observation says nothing that the largest
    does not, and is left out.
    """
    count = sum(buckets)
    found: dict[str, float] = {}
    for q in QUANTILES:
        estimate = quantile(buckets, q)
        if estimate is not None and count * (1 - q) >= 1 - 1e-9:
            found[f"p{q * 100:g}"] = min(max(estimate, smallest), largest)
    return found


class Tally:
    """Everything that is counted in a run."""

    __slots__ = ("codes", "failures", "latency", "lateness", "received_bytes", "waited")

    def __init__(self) -> None:
        self.latency = Times()
        self.lateness = Times()
        self.codes: dict[int, int] = {}
        self.failures: dict[str, int] = {}
        self.received_bytes = 0
        self.waited = 0

    def sent(self, intended: float, now: float, *, waited: bool) -> None:
        """Count a request that is sent now; ``waited`` says that until now no connection was free.

        Only without such a wait is a late sending the generator's own fault.
        """
        if waited:
            self.waited += 1
        else:
            self.lateness.add(now - intended)

    def answered(self, intended: float, now: float, status: int) -> None:
        """Count a whole answer; a status of 400 or more is a failure as well as a latency."""
        self.latency.add(now - intended)
        self.codes[status] = self.codes.get(status, 0) + 1
        if status >= 400:
            self.failed(f"status {status}")

    def failed(self, cause: str) -> None:
        """Count a failed request; the causes are a small fixed set."""
        self.failures[cause] = self.failures.get(cause, 0) + 1


def doubt(latency: Spread | None, lateness: Spread | None, busy: float) -> str | None:
    """Say why a run may not be believed, or None when it may.

    Args:
        latency: Latencies of the answered requests.
        lateness: How late requests were sent although a connection was free.
        busy: Share of one core that the generator used.
    """
    if busy > BUSY_SHARE:
        return f"the generator itself used {busy:.0%} of a core; lower the rate or run several"
    if latency is None or lateness is None:
        return None
    late = lateness.quantiles.get("p99", lateness.largest)
    slow = latency.quantiles.get("p99", latency.largest)
    if late > max(LATE_FLOOR_US, LATE_SHARE * slow):
        return f"the generator itself sent 1 % of the requests {late / 1000:.1f} ms late or later; give it its own core"
    return None
