"""What an allocator knows of each arm: sums of rewards that merge and age.

Responsible for: adding observations up, letting them lose weight with age, and turning the values of a metric into
rewards, of which more is better.
Does not know: where observations come from, what follows from them.

Rules: frozen. ``merge`` is associative and commutative, floating-point sums up to rounding, and an empty ``Sums`` is
its identity; ``aged`` distributes over it. So sums may be kept and added to, or computed anew, and say the same.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Self

from msgspec import Struct


class Sums(Struct, frozen=True):
    """Rewards of one arm.

    Attributes:
        count: Observations, whatever their age.
        weight: The same, each with what age has left of it: at most ``count``.
        total: Sum of rewards, each with its weight.
        squares: Sum of their squares, likewise.
    """

    count: int = 0
    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what are no sums.

        Raises:
            ValueError: If one is infinite, not a number, or below 0 where there is nothing below 0.
        """
        if not all(map(isfinite, (self.weight, self.total, self.squares))):
            raise ValueError(f"sums of rewards are finite, unlike {self.weight}, {self.total}, {self.squares}")
        if min(self.count, self.weight, self.squares) < 0:
            raise ValueError("numbers of observations and sums of squares are not below 0")

    @property
    def mean(self) -> float | None:
        """Mean reward; None without an observation."""
        return self.total / self.weight if self.weight > 0 else None

    @property
    def spread(self) -> float:
        """Weighted sum of squared deviations from the mean; 0 where rounding would make it less."""
        return max(self.squares - self.total * self.total / self.weight, 0.0) if self.weight > 0 else 0.0

    def merge(self, other: Self) -> Self:
        """Return the sums over the observations of both."""
        return type(self)(
            self.count + other.count,
            self.weight + other.weight,
            self.total + other.total,
            self.squares + other.squares,
        )

    def aged(self, seconds: float, half_life: float | None) -> Self:
        """Return what is left after some time.

        Args:
            seconds: How much later it is.
            half_life: After how many seconds an observation counts half; None if it never loses weight.
        """
        if half_life is None or self.count == 0:
            return self
        left = 0.5 ** max(seconds / half_life, 0.0)
        return type(self)(self.count, self.weight * left, self.total * left, self.squares * left)

    def scaled(self, low: float, high: float) -> Self:
        """Return the sums of (reward - low) / (high - low); turns them round when ``high`` is below ``low``.

        Raises:
            ValueError: If both are the same.
        """
        if low == high:
            raise ValueError(f"a range from {low} to {high} has no width")
        width = high - low
        total = (self.total - self.weight * low) / width
        squares = (self.squares - 2 * low * self.total + self.weight * low * low) / (width * width)
        return type(self)(self.count, self.weight, total, max(squares, 0.0))


class Earned(Struct, frozen=True):
    """What all arms have earned.

    Attributes:
        arms: Arm to its rewards; more is better.
        bounded: Whether rewards lie between 0 and 1.
    """

    arms: Mapping[str, Sums]
    bounded: bool

    def of(self, arms: tuple[str, ...]) -> "Earned":
        """Return the same of some arms only; one that is not known has earned nothing."""
        return Earned({arm: self.arms.get(arm, Sums()) for arm in arms}, self.bounded)


def even(arms: Mapping[str, Sums]) -> dict[str, float]:
    """Return the same share for every arm.

    Raises:
        ValueError: If there are none.
    """
    if not arms:
        raise ValueError("there are no arms")
    return dict.fromkeys(arms, 1 / len(arms))
