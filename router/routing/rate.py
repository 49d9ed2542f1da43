"""Token buckets that several workers share.

Responsible for: whether one more request fits a rate, and when it will.
Does not know: requests, clocks, shared memory. Whoever asks says what time it is and how many were admitted in all.

Rules: every worker keeps its own view of each bucket, and each view sees all admissions: the workers' counts are
summed, and what the sum grew by since the last look was taken by others. A look adds what time refilled, takes off what
others took, and only then cuts at ``burst``: a worker that seldom looks must not refuse what is within the rate.

One worker never admits more than ``burst + rate * t`` in any ``t`` seconds. For N workers, all of which look at least
every ``p`` seconds, the bound is ``burst + rate * (t + p) + N - 1``, since each may have read the sum before the others
wrote theirs. Where nobody looks in between, it is ``N * burst + rate * t + N - 1``.
"""

from array import array
from typing import Final

from msgspec import Struct

UNKNOWN: Final = -1  # in place of a sum: the view has not looked yet, and others may have admitted before it was made


class Rate(Struct, frozen=True):
    """A rate: requests a second, and how many may come at once."""

    per_second: float
    burst: int


class Buckets:
    """One worker's view of some buckets of one rate."""

    __slots__ = ("_levels", "_looked", "_seen", "rate")

    def __init__(self, rate: Rate, count: int, now: float, *, late: bool) -> None:
        """Begin with full buckets.

        Args:
            rate: The rate of each.
            count: How many buckets.
            now: Seconds, on the clock of all later calls.
            late: Whether others may have admitted before, as when a worker is replaced. What is left is not known then,
                so each bucket begins with one token, and not with ``burst``: restarts must not be worth a burst each.
        """
        self.rate = rate
        self._levels = array("d", [1.0 if late else float(rate.burst)]) * count
        self._looked = array("d", [now]) * count
        self._seen = array("q", [UNKNOWN if late else 0]) * count

    def change(self, rate: Rate) -> None:
        """Go on at another rate; what is there of each bucket stays, up to the new burst."""
        self.rate = rate

    def look(self, index: int, now: float, total: int) -> float:
        """Bring the view of a bucket up to date, and return what is in it; below 0 when workers took a token at once.

        Args:
            index: Which bucket.
            now: Seconds.
            total: What all workers have admitted to it, ever.
        """
        seen = self._seen[index]
        if seen == UNKNOWN:
            seen = total
        rate = self.rate
        level = self._levels[index] + max(now - self._looked[index], 0.0) * rate.per_second - (total - seen)
        level = min(level, float(rate.burst))
        self._levels[index] = level
        self._looked[index] = now
        self._seen[index] = total
        return level

    def take(self, index: int, now: float, total: int) -> float:
        """Take a token if there is one.

        Args:
            index: Which bucket.
            now: Seconds.
            total: What all workers have admitted to it, ever. On success the caller adds one to its own share of that.

        Returns:
            0 if the request is admitted; else the seconds until it would be, if nobody else comes.
        """
        level = self.look(index, now, total)
        if level >= 1.0:
            self._levels[index] = level - 1.0
            self._seen[index] = total + 1
            return 0.0
        return (1.0 - level) / self.rate.per_second
