"""What a stream is like while it is in control, learned from itself.

Responsible for: mean, spread and lag-1 correlation of what was seen so far, and giving the next measurement in units in
which a stream in control is standard normal.
Does not know: what is measured, what follows from a large one (``router.detect.chart``).

Self-starting (Hawkins 1987, "Self-starting CUSUM charts for location and scale"; Quesenberry 1991, Q charts): the
measurement that comes next is compared with those before it, t = (x - mean) / s * sqrt(n / (n + 1)) has Student's t
distribution with n - 1 degrees of freedom, and the normal score of that is standard normal and independent of all
before. So what is published about charts with known mean and spread holds although both are estimated. Of a stream
that is correlated with itself the residual of an AR(1) forecast is taken (Alwan & Roberts 1988): a chart of the raw
values would cry wolf.

Rules: a measurement is judged before it is learned. What is more than ``CLIP`` from the mean is learned as if it were
there, so that one outlier does not hide the next (Hawkins & Olwell 1998, 7.3). A stream without any spread has no unit:
nothing can be said of the first value that differs, but of the second. After ``MEMORY`` points the oldest are
forgotten.
"""

from math import copysign, isfinite, log1p, sqrt
from typing import Final

from msgspec import Struct

MEMORY: Final = 10_000  # points: a week of minutes
CLIP: Final = 4.0  # standard deviations
LARGEST: Final = 1e100  # beyond it squares overflow: no measurement
MOST_CORRELATED: Final = 0.95
FEWEST: Final = 3  # points from which a spread can be told at all


class Baseline(Struct, frozen=True):
    """What was seen so far.

    Attributes:
        count: Points, at most ``MEMORY``.
        mean: Of them.
        squares: Sum of squared deviations from it.
        products: Sum of products of the deviations of neighbours.
        last: The point before; None after a gap.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    last: float | None = None

    @property
    def deviation(self) -> float:
        """Return the standard deviation; 0 with fewer than two points."""
        return sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0

    @property
    def correlation(self) -> float:
        """Return the correlation of neighbours, from 0: what is below is taken as none.

        Corrected for its bias of -(1 + 3 rho) / n (Kendall 1954).
        """
        if self.count < FEWEST or self.squares <= 0:
            return 0.0
        found = self.products / self.squares
        return min(MOST_CORRELATED, max(0.0, found + (1 + 3 * found) / self.count))

    def score(self, value: float, least: float = 0.0) -> float | None:
        """Return how far a measurement is from what was forecast, standard normal in control.

        Args:
            value: The measurement, finite.
            least: Standard deviation that the stream has at least.

        Returns:
            None where nothing can be said: there are too few points, or all of them are equal.
        """
        deviation = max(self.deviation, least)
        if self.count < FEWEST or deviation <= abs(self.mean) * 1e-12:
            return None
        correlation = self.correlation if self.last is not None else 0.0
        before = self.last if self.last is not None else self.mean
        residual = (value - self.mean) - correlation * (before - self.mean)
        spread = deviation * sqrt((1 - correlation * correlation) * (1 + 1 / self.count))
        return normal_score(residual / spread, self.count - 1)

    def learn(self, value: float) -> "Baseline":
        """Return the baseline with one more point."""
        count = min(self.count + 1, MEMORY)
        kept = 1.0 if self.count < MEMORY else 1 - 1 / MEMORY
        reach = CLIP * self.deviation
        if self.count >= FEWEST and reach > 0:
            value = min(max(value, self.mean - reach), self.mean + reach)
        off = value - self.mean
        mean = self.mean + off / count
        # Deviations of both neighbours from the mean as it is now: no second pass over points that are gone.
        product = (value - mean) * (self.last - mean) if self.last is not None else 0.0
        return Baseline(
            count=count,
            mean=mean,
            squares=kept * self.squares + off * (value - mean),
            products=kept * self.products + product,
            last=value,
        )

    def seen(self, value: float | None) -> "Baseline":
        """Return the baseline after a point that is not learned, or was missing."""
        return Baseline(self.count, self.mean, self.squares, self.products, value)


def normal_score(t: float, degrees: int) -> float:
    """Return the standard normal quantile that has the probability of a value of Student's t.

    Wallace (1959), with the factor that Hawkins (1987) uses; off by less than 0.02 up to 4 from 10 degrees on.

    Args:
        t: The value.
        degrees: Degrees of freedom, at least 2.
    """
    found = (8 * degrees + 1) / (8 * degrees + 3) * sqrt(degrees * log1p(min(t * t, LARGEST) / degrees))
    return copysign(found, t)


def measured(value: float | None) -> float | None:
    """Return a measurement; None for what is none: missing, not a number, infinite, absurdly large."""
    return value if value is not None and isfinite(value) and abs(value) <= LARGEST else None
