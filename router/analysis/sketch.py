"""A distribution as counts in logarithmic buckets, which merge.

Responsible for: quantiles that are at most 1 % off, relatively, of values of any size and sign.
Does not know: where values come from; they are put into buckets by a database (``router.analysis.measure``).

Rules: frozen; ``merge`` is associative and commutative, and the empty sketch is its identity.
"""

from collections.abc import Mapping
from itertools import accumulate
from math import ceil
from typing import Final, Self

from msgspec import Struct

# Relative accuracy of 1 %: buckets whose bounds grow by gamma = (1 + a)/(1 - a), as in DDSketch (Masson, Rim and Lee,
# VLDB 2019). 64-bit floating point ends at |ln x| < 745.2, so buckets are within OFFSET of the middle.
ACCURACY: Final = 0.01
GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
OFFSET: Final = 40_000


class Sketch(Struct, frozen=True):
    """A distribution, as the number of values in logarithmic buckets.

    Bucket 0 holds zeros; bucket ``OFFSET + k`` the values in (gamma^(k-1), gamma^k], ``-(OFFSET + k)`` those of the
    opposite sign, so that buckets are in the order of their values.

    Attributes:
        counts: Bucket to number of values, none of them 0.
    """

    counts: Mapping[int, int] = {}

    @property
    def total(self) -> int:
        """Number of values."""
        return sum(self.counts.values())

    def merge(self, other: Self) -> Self:
        """Return the distribution of the values of both."""
        counts = dict(self.counts)
        for bucket, number in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + number
        return type(self)(counts)

    def quantile(self, q: float) -> float | None:
        """Return a value at most ``ACCURACY`` off, relatively, from the quantile by nearest rank.

        Args:
            q: Share of the values that are at most the result, above 0 and at most 1.

        Returns:
            None when there is no value.
        """
        if not 0 < q <= 1:
            raise ValueError(f"a quantile lies above 0 and at most at 1, not at {q}")
        bucket = self.bucket_at(q)
        return None if bucket is None else middle(bucket)

    def bucket_at(self, q: float) -> int | None:
        """Return the bucket that holds the quantile by nearest rank; None when there is no value.

        Args:
            q: Share of the values that are at most the quantile, above 0 and at most 1.
        """
        if not 0 < q <= 1:
            raise ValueError(f"a quantile lies above 0 and at most at 1, not at {q}")
        rank = ceil(q * self.total)
        ordered = sorted(self.counts)
        reached = accumulate(self.counts[bucket] for bucket in ordered)
        return next((bucket for bucket, sofar in zip(ordered, reached, strict=True) if sofar >= rank), None)

    def level(self, q: float) -> float | None:
        """Return the quantile, values being spread evenly between the bounds of their bucket.

        Args:
            q: Share of the values that are at most the result, above 0 and at most 1.

        Returns:
            None when there is no value. It grows with q within a bucket, where ``quantile`` stands still, so that
            differences of near quantiles mean something.
        """
        bucket = self.bucket_at(q)
        if bucket is None:
            return None
        below = sum(number for other, number in self.counts.items() if other < bucket)
        low, high = bounds(bucket)
        return low + (high - low) * (q * self.total - below) / self.counts[bucket]


def middle(bucket: int) -> float:
    """Return the value that is as far, relatively, from both bounds of a bucket."""
    if bucket == 0:
        return 0.0
    size = 2 * GAMMA ** (abs(bucket) - OFFSET) / (GAMMA + 1)
    return size if bucket > 0 else -size


def bounds(bucket: int) -> tuple[float, float]:
    """Return the values between which those of a bucket lie, the lower first."""
    if bucket == 0:
        return 0.0, 0.0
    power = abs(bucket) - OFFSET
    near, far = GAMMA ** (power - 1), GAMMA**power
    return (near, far) if bucket > 0 else (-far, -near)
