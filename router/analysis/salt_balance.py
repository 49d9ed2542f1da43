"""How evenly a salt spreads the levels of strata over arms, measured for many salts at once.

Responsible for: the counts that a salt's balance follows from, their Mahalanobis distance from what the weights
promise, and the standardised differences that people know.
Does not know: hashing, files; it is told which arm each unit gets.

With x_i the levels of unit i as indicators, preceded by 1, w_a the share of arm a, and d_a the sum of x over the units
of arm a less w_a times the sum over all units, the distance is

    M = sum over a of  d_a' (sum of x x')^-1 d_a / w_a

For two arms it is the criterion of Morgan and Rubin, "Rerandomization to improve covariate balance in experiments"
(Annals of Statistics 2012), with the arms' sizes as one more covariate; for more arms it is the same quadratic form in
the covariance of all d_a, (diag(1/w) being an inverse of diag(w) - ww' on what sums to 0). It does not depend on the
coding of levels, and its mean over salts is (arms - 1) times the rank of x.

Rules: pure. Memory is that of the tables, salts x arms x levels, whatever the number of units.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Cells:
    """Counts of units by salt, arm and level, filled in pieces."""

    def __init__(self, levels: Sequence[int], arms: int, salts: int) -> None:
        """Begin with nothing.

        Args:
            levels: Number of levels of each column.
            arms: Number of arms that have a weight.
            salts: Number of salts to compare.
        """
        self._starts = [1 + sum(levels[:index]) for index in range(len(levels))]
        self._levels = tuple(levels)
        self._arms = arms
        width = 1 + sum(levels)
        self.counts = np.zeros((salts, arms, width), np.int64)  # salt, arm, 1 and levels
        self.gram = np.zeros((width, width), np.int64)  # sum of x x'

    def add_units(self, codes: Integers) -> None:
        """Count units, whatever arm they get.

        Args:
            codes: Level of each unit (row) in each column.
        """
        self.gram[0, 0] += len(codes)
        for one, (start, levels) in enumerate(zip(self._starts, self._levels, strict=True)):
            sums = np.bincount(codes[:, one], minlength=levels)
            self.gram[0, start : start + levels] += sums
            self.gram[start : start + levels, 0] += sums
            for other, (begin, size) in enumerate(zip(self._starts, self._levels, strict=True)):
                pairs = np.bincount(codes[:, one] * size + codes[:, other], minlength=levels * size)
                self.gram[start : start + levels, begin : begin + size] += pairs.reshape(levels, size)

    def add_assignment(self, salt: int, arms: Integers, codes: Integers) -> None:
        """Count what one salt makes of units.

        Args:
            salt: Index of the salt.
            arms: Arm of each unit.
            codes: As for ``add_units``.
        """
        self.counts[salt, :, 0] += np.bincount(arms, minlength=self._arms)
        for column, (start, levels) in enumerate(zip(self._starts, self._levels, strict=True)):
            cells = np.bincount(arms * levels + codes[:, column], minlength=self._arms * levels)
            self.counts[salt, :, start : start + levels] += cells.reshape(self._arms, levels)

    def distances(self, shares: Floats) -> Floats:
        """Return M of each salt; ``shares`` are those of the arms, above 0."""
        inverse = np.linalg.pinv(self.gram.astype(np.float64), hermitian=True)
        deviations = self.counts - shares[:, None] * self.gram[0]
        found: Floats = np.einsum("sai,ij,saj,a->s", deviations, inverse, deviations, 1 / shares, optimize=True)
        return found

    def level_counts(self, salt: int, column: int) -> Integers:
        """Return the units of one salt by arm (row) and level of a column."""
        start = self._starts[column]
        found: Integers = self.counts[salt, :, start : start + self._levels[column]]
        return found


class Spread(Struct, frozen=True):
    """What one salt makes of the units.

    Attributes:
        salt: The salt.
        distance: M; smaller is better.
        largest_difference: The largest standardised difference of a level's share between the first arm and another.
        units: Arm to its units.
        levels: Column to level to arm to units; a level of ``""`` is of units without a value.
    """

    salt: str
    distance: float
    largest_difference: float
    units: dict[str, int]
    levels: dict[str, dict[str, dict[str, int]]]


def standardised_differences(counts: Integers) -> Floats:
    """Return, for a table of units by arm and level, the differences of levels' shares to those in the first arm.

    (p - q) / sqrt((p (1 - p) + q (1 - q)) / 2), as Austin 2009; 0 where neither arm varies.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    spread = np.sqrt((shares * (1 - shares) + (shares * (1 - shares))[0]) / 2)
    found: Floats = np.divide(shares - shares[0], spread, out=np.zeros_like(shares), where=spread > 0)
    return found
