"""What was measured, as data: one reading a line, medians and paired ratios from them.

Responsible for: the shape of a reading, and what may be computed from the readings of several rounds.
Does not know: how a reading was taken or how it is shown.

Rules: a ratio is taken within each round, between runs minutes apart at most, and then its median: drift of the machine
moves both sides of it and so cancels.
"""

import statistics
from collections.abc import Callable, Sequence

import msgspec


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one case: ``at`` is the case's parameter (connections, offered rate, direction)."""

    case: str
    proxy: str
    at: str
    turn: int
    values: dict[str, float]


class Middle(msgspec.Struct, frozen=True):
    """Median, smallest and largest over the rounds."""

    median: float
    low: float
    high: float


class Readings:
    """Every reading of a benchmark."""

    def __init__(self, rows: Sequence[Reading] = ()) -> None:
        self.rows = list(rows)

    def proxies(self, case: str, at: str) -> list[str]:
        """Return who was measured in a case, in the order of their first turn."""
        return list(dict.fromkeys(row.proxy for row in self.rows if row.case == case and row.at == at))

    def parameters(self, case: str) -> list[str]:
        """Return the parameters of a case, in the order of their first turn."""
        return list(dict.fromkeys(row.at for row in self.rows if row.case == case))

    def turns(self, case: str, proxy: str, at: str, value: str) -> dict[int, float]:
        """Return one value by round."""
        return {
            row.turn: row.values[value]
            for row in self.rows
            if (row.case, row.proxy, row.at) == (case, proxy, at) and value in row.values
        }

    def middle(self, case: str, proxy: str, at: str, value: str) -> Middle | None:
        """Return the median and the extremes of a value, or None when it was not measured."""
        return middle(list(self.turns(case, proxy, at, value).values()))

    def paired(
        self,
        left: tuple[str, str, str, str],
        right: tuple[str, str, str, str],
        combine: Callable[[float, float], float],
    ) -> Middle | None:
        """Combine two values (case, proxy, at, value) round by round; None when no round has both."""
        first, second = self.turns(*left), self.turns(*right)
        return middle([combine(first[turn], second[turn]) for turn in first if turn in second])


def middle(values: Sequence[float]) -> Middle | None:
    """Return the median and the extremes, or None of nothing."""
    if not values:
        return None
    return Middle(statistics.median(values), min(values), max(values))


def ratio(left: float, right: float) -> float:
    """Return left ÷ right."""
    return left / right


def difference(left: float, right: float) -> float:
    """Return left - right."""
    return left - right
