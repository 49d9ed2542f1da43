"""How long units take to come.

Responsible for: days for a number of units, and units in a number of days.
Does not know: where traffic is measured.

Rules: D days bring (units of a day) x D^novelty different units. With 1 every day brings as many new ones; below 1 some
of them were there before (Heaps's law). An experiment runs whole weeks, so that each weekday counts alike, and then
waits until the last unit's window is over.
"""

from math import ceil
from typing import Final

from msgspec import Struct

_CENTURY: Final = 36_525  # days


class Arrivals(Struct, frozen=True):
    """How units come.

    Attributes:
        per_day: Different units on one day.
        share: Of them, those enrolled, above 0 and at most 1.
        novelty: Exponent, 0.05 to 1.
    """

    per_day: float
    share: float = 1.0
    novelty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what are no arrivals.

        Raises:
            ValueError: If a number is out of range.
        """
        if not 1e-9 <= self.per_day <= 1e15:
            raise ValueError(f"units per day are above 0 and at most 1e15, not {self.per_day:g}")
        if not 0 < self.share <= 1:
            raise ValueError(f"the share enrolled lies above 0 and at most at 1, not at {self.share:g}")
        if not 0.05 <= self.novelty <= 1:
            raise ValueError(f"novelty lies from 0.05 to 1, not at {self.novelty:g}")

    def units(self, days: float) -> float:
        """Return how many different units are enrolled within some days."""
        return float(self.per_day * self.share * days**self.novelty)

    def days(self, units: float) -> float:
        """Return how many days it takes to enrol some units.

        Raises:
            ValueError: If it takes more than a century.
        """
        ratio = units / (self.per_day * self.share)
        if not ratio < _CENTURY**self.novelty:
            raise ValueError(f"with these arrivals {units:g} units take more than a century")
        return float(ratio ** (1 / self.novelty))


class Duration(Struct, frozen=True):
    """How long an experiment runs.

    Attributes:
        days: Until it has its units, rounded up.
        run_days: The same in whole weeks: how long to enrol.
        read_days: When it can be read: a window later, rounded up.
    """

    days: int
    run_days: int
    read_days: int


def duration(units: float, arrivals: Arrivals, window_days: float = 0.0) -> Duration:
    """Return how long an experiment has to run.

    Args:
        units: Units of all arms.
        arrivals: How they come.
        window_days: How long after its first exposure a unit's outcomes count.

    Raises:
        ValueError: If the window is below 0, or it takes more than a century.
    """
    if not 0 <= window_days < _CENTURY:
        raise ValueError(f"a window lasts 0 days or more, not {window_days:g}")
    days = max(1, ceil(arrivals.days(units) - 1e-9))
    run = 7 * ceil(days / 7)
    return Duration(days, run, ceil(run + window_days - 1e-9))
