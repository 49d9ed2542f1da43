"""Latency histograms: log-linear over whole microseconds, in words of shared memory.

Responsible for: which bucket a time counts in, what the buckets mean, and reading them.
Does not know: where a histogram lies (``router.counters``), or whose times they are.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import ceil
from typing import Final

# Eight buckets for each doubling, as in HdrHistogram with 3 bits of precision: a bucket is at most 1/8 of its lower
# bound wide, so a quantile read from it is at most 12.5 % off. Below 16 µs every microsecond has its own bucket.
BUCKETS: Final = 240
LARGEST_US: Final = 2**32 - 1  # 71.6 minutes; longer times are counted in the last bucket
HISTOGRAM_SUM: Final = 0  # microseconds, unclamped
HISTOGRAM_BUCKETS: Final = 1  # the first of the buckets
HISTOGRAM_WORDS: Final = 1 + BUCKETS


def bucket(us: int) -> int:
    """Return the bucket of a time in whole microseconds; out of range counts in the first or the last."""
    if us < 8:
        return max(0, us)
    if us > LARGEST_US:
        return BUCKETS - 1
    shift = us.bit_length() - 4
    return (shift << 3) + (us >> shift)


def _upper_bound(index: int) -> int:
    shift = max((index >> 3) - 1, 0)
    return (((index - (shift << 3)) + 1) << shift) - 1


# Largest microsecond that each bucket counts.
bounds_us: Final = tuple(_upper_bound(index) for index in range(BUCKETS))

SHORT_US: Final = 1 << 16
# Bucket of each time below ``SHORT_US``: what ``bucket`` gives, without the 0.1 µs of a call.
SHORT_BUCKETS: Final = b"".join(
    bytes([index]) * (bounds_us[index] - (bounds_us[index - 1] if index else -1)) for index in range(bucket(SHORT_US))
)


def merge(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Add two histograms, or two lists of buckets, of the same length."""
    return [a + b for a, b in zip(left, right, strict=True)]


def quantile(buckets: Sequence[int], q: float) -> float | None:
    """Estimate a quantile in microseconds, by nearest rank and straight within the bucket.

    The estimate lies in the bucket that holds the exact quantile: it is at most 12.5 % off, for times up to
    ``LARGEST_US``.

    Args:
        buckets: The counts, without the sum.
        q: Share of the times that are at most the result, above 0 and at most 1.

    Returns:
        None when nothing has been counted.
    """
    if not 0 < q <= 1:
        raise ValueError(f"a quantile lies above 0 and at most at 1, not at {q}")
    reached = list(accumulate(buckets))
    total = reached[-1]
    if total == 0:
        return None
    rank = ceil(q * total)
    index = bisect_left(reached, rank)
    low = bounds_us[index - 1] + 1 if index else 0
    before = reached[index - 1] if index else 0
    return low + (bounds_us[index] - low) * (rank - before) / buckets[index]
