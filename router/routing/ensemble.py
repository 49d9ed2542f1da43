"""Values of several models as one.

Responsible for: reading a value from an answer, the mean, the median and the vote of several, and which of them stand
apart.
Does not know: requests, which models there are, what becomes of one that stands apart.

Rules: pure. What is chosen, by vote or as the middle one, keeps the text it came in; what is computed is a double. A
mean or a median is of finite numbers; a vote is of scalars, which are equal as JSON values: 1 and 1.0 are, 1 and "1"
are not, nor 1 and true.
"""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Final, NamedTuple

from msgspec import Raw

from router.routing.request import Key, scalar_key, value_at

NUMERIC: Final = ("mean", "median")


FAR: Final = 5.0
"""Median absolute deviations from the median beyond which a number stands apart: of a normal, 3.4 deviations."""
ALIKE: Final = 1e-6
"""Share of the median that numbers may always differ by: replicas of one model round differently."""


class Value(NamedTuple):
    """What an answer says: as it was written, and as what it is compared with others."""

    raw: Raw
    key: Key

    @property
    def number(self) -> float | None:
        """Return it as a finite number, if it is one."""
        if not isinstance(self.key, int | float):
            return None
        try:
            number = float(self.key)
        except OverflowError:
            return None
        return number if isfinite(number) else None


def read_value(body: bytes, at: tuple[str, ...], how: str) -> Value | None:
    """Return the value at a pointer of an answer; None when there is none that can be combined.

    Args:
        body: A JSON document.
        at: The pointer.
        how: ``mean``, ``median`` or ``vote``.
    """
    raw = value_at(body, at)
    key = None if raw is None else scalar_key(raw)
    if raw is None or key is None:
        return None
    value = Value(raw, key)
    return None if how in NUMERIC and value.number is None else value


def combine_values(values: Sequence[Value], how: str) -> Raw | float:
    """Return what several values come to.

    Args:
        values: One at least, each as ``read_value`` returns it.
        how: ``mean``, ``median`` (of an even number, between the middle two) or ``vote`` (of equally many, that of the
            earliest).
    """
    if how == "vote":
        counts = Counter(value.key for value in values)
        return next(value.raw for value in values if counts[value.key] == max(counts.values()))
    ordered = sorted((number, place) for place, value in enumerate(values) if (number := value.number) is not None)
    (least, _), (most, _) = ordered[0], ordered[-1]
    if how == "mean":
        parts = [number / len(ordered) for number, _ in ordered]  # so that no sum is beyond a double
        return min(max(sum(parts), least), most)
    (low, place), (high, _) = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return values[place].raw if low == high else min(max(low / 2 + high / 2, low), high)


def apart(values: Sequence[Value], how: str) -> list[bool]:
    """Return which values stand apart from the others, as far as that can be told: of two nobody knows which.

    Numbers do that are further than ``FAR`` median absolute deviations from the median (Hampel's identifier: Davies and
    Gather, JASA 1993); of a vote, those against what more than half say.

    Args:
        values: Each as ``read_value`` returns it.
        how: ``mean``, ``median`` or ``vote``.
    """
    if len(values) < 3:
        return [False] * len(values)
    if how == "vote":
        (common, count), *_ = Counter(value.key for value in values).most_common(1)
        return [2 * count > len(values) and value.key != common for value in values]
    # Halves and quarters, so that no difference of two doubles is beyond a double.
    numbers = [(value.number or 0.0) / 4 for value in values]
    middle = _median(numbers)
    distances = [abs(number - middle) for number in numbers]
    reach = max(FAR * _median(distances), ALIKE * abs(middle))
    return [distance > reach for distance in distances]


def _median(numbers: Sequence[float]) -> float:
    """Return the median; a worker has no need of the ``statistics`` module and what that loads."""
    ordered = sorted(numbers)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
